"""The file that kube-scheduler is configured by: KubeSchedulerConfiguration, kubescheduler.config.k8s.io/v1.

Everything in it is read and checked here, and what is unknown or cannot be done is refused by name. Options that only
say how a Go program shares its work out (parallelism, profiling, request rates) are accepted; they mean nothing here.
Upstream: `apis/config/v1` and `apis/config/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from minik8s.machinery.meta import Doc
from minik8s.scheduler.extenders.configuration import ExtenderConfiguration, parse_extenders
from minik8s.scheduler.fields import ConfigurationError, duration, fields, number, sequence, text, truth

KIND = "KubeSchedulerConfiguration"
VERSION = "kubescheduler.config.k8s.io/v1"
MULTI = "multiPoint"
POINTS = (
    "preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve", "permit",
    "preBind", "bind", "postBind",
)  # fmt: skip
DEFAULT_SCHEDULER = "default-scheduler"
_TOP = {
    "apiVersion", "kind", "parallelism", "leaderElection", "clientConnection", "enableProfiling",
    "enableContentionProfiling", "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds",
    "profiles", "extenders", "delayCacheUntilActive",
}  # fmt: skip
_ELECTION = {
    "leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceLock", "resourceName", "resourceNamespace",
}  # fmt: skip
_CONNECTION = {"kubeconfig", "acceptContentTypes", "contentType", "qps", "burst"}


@attrs.frozen
class PluginSet:
    """What a profile says of one extension point: plugins with their weights (0: not said), and those left out."""

    enabled: tuple[tuple[str, int], ...] = ()
    disabled: frozenset[str] = frozenset()


@attrs.frozen
class ProfileConfiguration:
    """One profile: `points` by extension point (multiPoint among them), `args` by plugin."""

    name: str = DEFAULT_SCHEDULER
    percentage: int | None = None
    points: Mapping[str, PluginSet] = attrs.field(factory=dict)
    args: Mapping[str, Doc] = attrs.field(factory=dict)


@attrs.frozen
class SchedulerConfiguration:
    """Times in seconds; `percentage` 0 is the adaptive default. `election` has the fields of a Lease's election that
    were given: leader_elect, lease_duration, renew_deadline, retry_period, name, namespace."""

    profiles: tuple[ProfileConfiguration, ...] = (ProfileConfiguration(),)
    percentage: int = 0
    initial_backoff: float = 1.0
    max_backoff: float = 10.0
    kubeconfig: str = ""
    election: Mapping[str, Any] = attrs.field(factory=dict)
    extenders: tuple[ExtenderConfiguration, ...] = ()


def load_configuration(source: str | Path | Doc) -> SchedulerConfiguration:
    """From a file (YAML or JSON) or its content. Raises ConfigurationError."""
    if isinstance(source, Mapping):
        return parse_configuration(source)
    import yaml  # here, because most clusters never see such a file

    try:
        document = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is no YAML: {error}") from None
    try:
        return parse_configuration(document)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None


def parse_configuration(document: object) -> SchedulerConfiguration:
    """From a KubeSchedulerConfiguration. Raises ConfigurationError."""
    doc = fields(document, "", _TOP)
    if doc.get("kind") != KIND or doc.get("apiVersion") != VERSION:
        raise ConfigurationError(f"need a {KIND} of {VERSION}, not {doc.get('kind')!r} of {doc.get('apiVersion')!r}")
    number(doc, "parallelism", "", 16, least=1)
    initial = number(doc, "podInitialBackoffSeconds", "", 1, least=1)
    longest = number(doc, "podMaxBackoffSeconds", "", 10, least=1)
    if longest < initial:
        raise ConfigurationError("podMaxBackoffSeconds: must not be less than podInitialBackoffSeconds")
    listed = sequence(doc.get("profiles"), "profiles") or [{}]
    profiles = tuple(_profile(profile, f"profiles[{i}]") for i, profile in enumerate(listed))
    names = [profile.name for profile in profiles]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigurationError(f"profiles[{i}].schedulerName: duplicate value {name!r}")
    extenders = parse_extenders(doc.get("extenders"))
    if ignored := sorted({name for extender in extenders for name in extender.ignored}):
        profiles = tuple(_ignoring(profile, ignored) for profile in profiles)
    connection = fields(doc.get("clientConnection") or {}, "clientConnection", _CONNECTION)
    return SchedulerConfiguration(
        profiles,
        number(doc, "percentageOfNodesToScore", "", 0, most=100),
        float(initial),
        float(longest),
        text(connection, "kubeconfig", "clientConnection"),
        _election(fields(doc.get("leaderElection") or {}, "leaderElection", _ELECTION)),
        extenders,
    )


def _election(doc: Doc) -> dict[str, Any]:
    path = "leaderElection"
    if (lock := doc.get("resourceLock", "leases")) != "leases":
        raise ConfigurationError(f"{path}.resourceLock: only leases are supported, not {lock!r}")
    found: dict[str, Any] = {}
    for key, name in (
        ("leaseDuration", "lease_duration"),
        ("renewDeadline", "renew_deadline"),
        ("retryPeriod", "retry_period"),
    ):
        if key in doc:
            found[name] = duration(doc, key, path, 0)
    for key, name in (("resourceName", "name"), ("resourceNamespace", "namespace")):
        if value := text(doc, key, path):
            found[name] = value
    if "leaderElect" in doc:
        found["leader_elect"] = truth(doc, "leaderElect", path)
    return found


def _profile(document: object, path: str) -> ProfileConfiguration:
    doc = fields(document, path, {"schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"})
    plugins = fields(doc.get("plugins") or {}, f"{path}.plugins", {MULTI, *POINTS})
    points = {point: _plugin_set(value, f"{path}.plugins.{point}") for point, value in plugins.items()}
    args: dict[str, Doc] = {}
    for i, entry in enumerate(sequence(doc.get("pluginConfig"), f"{path}.pluginConfig")):
        here = f"{path}.pluginConfig[{i}]"
        one = fields(entry, here, {"name", "args"})
        name = text(one, "name", here)
        if not name or name in args:
            raise ConfigurationError(f"{here}.name: {'repeated: ' + name if name else 'required'}")
        args[name] = one.get("args") or {}
    percentage = number(doc, "percentageOfNodesToScore", path, -1, most=100)
    return ProfileConfiguration(
        text(doc, "schedulerName", path) or DEFAULT_SCHEDULER, None if percentage < 0 else percentage, points, args
    )


def _ignoring(profile: ProfileConfiguration, resources: list[str]) -> ProfileConfiguration:
    """What extenders take care of, NodeResourcesFit shall not look at, whatever else it has been told to ignore."""
    fit = {**profile.args.get("NodeResourcesFit", {}), "ignoredResources": resources}
    return attrs.evolve(profile, args={**profile.args, "NodeResourcesFit": fit})


def _plugin_set(document: object, path: str) -> PluginSet:
    doc = fields(document or {}, path, {"enabled", "disabled"})
    enabled = []
    for i, entry in enumerate(sequence(doc.get("enabled"), f"{path}.enabled")):
        here = f"{path}.enabled[{i}]"
        one = fields(entry, here, {"name", "weight"})
        if not (name := text(one, "name", here)):
            raise ConfigurationError(f"{here}.name: required")
        enabled.append((name, number(one, "weight", here, 0)))
    disabled = []
    for i, entry in enumerate(sequence(doc.get("disabled"), f"{path}.disabled")):
        here = f"{path}.disabled[{i}]"
        disabled.append(text(fields(entry, here, {"name", "weight"}), "name", here))
    return PluginSet(tuple(enabled), frozenset(disabled))

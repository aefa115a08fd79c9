"""One container: image, ports, mounts, probes, hooks, security."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import (
    Causes,
    in_range,
    named,
    no_backsteps,
    non_negative,
    one_of,
    port,
    relative_path,
    required_name,
    unique,
)
from minik8s.api.validation.env import validate_env, validate_env_from
from minik8s.api.validation.resources import validate_requirements
from minik8s.api.validation.security import validate_container_security
from minik8s.api.validation.volumes import PULL_POLICIES
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_found, not_supported, required, too_many

Part = Mapping[str, Any]
Volumes = Mapping[str, Part]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_RESTART_POLICIES = ("Always", "Never", "OnFailure")
_MAX_RULES, _MAX_CODES = 20, 255
_TIMES = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def validate_container(
    container: Part, path: str, volumes: Volumes, claims: frozenset[str], restart: str, host_users: bool
) -> Causes:
    """What holds for every kind of container. `restart` and `host_users` are the pod's."""
    yield from required_name(container.get("name"), f"{path}.name", names.dns1123_label)
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from one_of(container.get("terminationMessagePolicy"), f"{path}.terminationMessagePolicy", _MESSAGE_POLICIES)
    if ports := container.get("ports"):
        yield from _ports(ports, f"{path}.ports")
    if variables := container.get("env"):
        yield from validate_env(variables, f"{path}.env", volumes)
    if sources := container.get("envFrom"):
        yield from validate_env_from(sources, f"{path}.envFrom")
    if mounts := container.get("volumeMounts"):
        yield from _mounts(mounts, container, volumes, f"{path}.volumeMounts")
    if devices := container.get("volumeDevices"):
        yield from _devices(devices, container, volumes, f"{path}.volumeDevices")
    yield from one_of(container.get("imagePullPolicy"), f"{path}.imagePullPolicy", PULL_POLICIES)
    if resources := container.get("resources"):
        yield from validate_requirements(resources, f"{path}.resources", claims)
    if policies := container.get("resizePolicy"):
        yield from _resize_policies(policies, f"{path}.resizePolicy", restart)
    if security := container.get("securityContext"):
        yield from validate_container_security(security, f"{path}.securityContext", host_users=host_users)


def validate_restart_rules(container: Part, path: str) -> Causes:
    """When a container of its own will is started again, whatever its pod says."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    if policy is not None and policy not in _RESTART_POLICIES:
        yield not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES)
    elif policy is None and rules:
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    if len(rules) > _MAX_RULES:
        yield too_many(f"{path}.restartPolicyRules", len(rules), _MAX_RULES)
    for index, rule in enumerate(rules):
        place = f"{path}.restartPolicyRules[{index}]"
        yield from one_of(rule.get("action"), f"{place}.action", ("Restart", "RestartAllContainers"))
        if (codes := rule.get("exitCodes")) is None:
            yield required(f"{place}.exitCodes", "must be specified")
            continue
        yield from one_of(codes.get("operator"), f"{place}.exitCodes.operator", ("In", "NotIn"))
        values = codes.get("values") or ()
        if len(values) > _MAX_CODES:
            yield too_many(f"{place}.exitCodes.values", len(values), _MAX_CODES)
        yield from unique((f"{place}.exitCodes.values[{number}]", value) for number, value in enumerate(values))


def _ports(ports: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, item in enumerate(ports):
        place = f"{path}[{index}]"
        if name := item.get("name"):
            if wrong := names.port_name(name):
                for text in wrong:
                    yield invalid(f"{place}.name", name, text)
            elif name in seen:
                yield duplicate(f"{place}.name", name)
            seen.add(name)
        if not item.get("containerPort"):
            yield required(f"{place}.containerPort")
        else:
            yield from in_range(item["containerPort"], f"{place}.containerPort", 1, 65535)
        if item.get("hostPort"):
            yield from in_range(item["hostPort"], f"{place}.hostPort", 1, 65535)
        yield from one_of(item.get("protocol"), f"{place}.protocol", PROTOCOLS)


def _mounts(mounts: Sequence[Part], container: Part, volumes: Volumes, path: str) -> Causes:
    paths = set()
    devices = container.get("volumeDevices") or ()
    device_names = {device.get("name") for device in devices}
    device_paths = {device.get("devicePath") for device in devices}
    for index, mount in enumerate(mounts):
        place, name, target = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{place}.name")
        if name not in volumes:
            yield not_found(f"{place}.name", name)
        if not target:
            yield required(f"{place}.mountPath")
        if target in paths:
            yield invalid(f"{place}.mountPath", target, "must be unique")
        paths.add(target)
        if name in device_names:
            yield invalid(f"{place}.name", name, "must not already exist in volumeDevices")
        if target in device_paths:
            yield invalid(f"{place}.mountPath", target, "must not already exist as a path in volumeDevices")
        yield from _sub_paths(mount, path, place)
        yield from _mount_modes(mount, container, path)


def _sub_paths(mount: Part, path: str, place: str) -> Causes:
    """Upstream reports subPath errors without the mount's index, and so must we."""
    for field in ("subPath", "subPathExpr"):
        value = mount.get(field, "")
        if not value:
            continue
        if field == "subPathExpr" and mount.get("subPath"):
            yield invalid(f"{place}.subPathExpr", value, "subPathExpr and subPath are mutually exclusive")
        yield from relative_path(value, f"{path}.{field}")


def _mount_modes(mount: Part, container: Part, path: str) -> Causes:
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        if propagation not in _PROPAGATIONS:
            yield not_supported(f"{path}.mountPropagation", propagation, _PROPAGATIONS)
        elif propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            detail = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden(f"{path}.mountPropagation", detail)
    recursive = mount.get("recursiveReadOnly")
    if recursive in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            yield forbidden(f"{path}.recursiveReadOnly", detail)
    elif recursive not in (None, "Disabled"):
        yield not_supported(f"{path}.recursiveReadOnly", recursive, ("Disabled", "Enabled", "IfPossible"))


def _devices(devices: Sequence[Part], container: Part, volumes: Volumes, path: str) -> Causes:
    mounted = {mount.get("name") for mount in container.get("volumeMounts") or ()}
    seen: set[str] = set()
    for index, device in enumerate(devices):
        place, name, target = f"{path}[{index}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            yield required(f"{place}.name")
        if name in seen:
            yield invalid(f"{place}.name", name, "must be unique")
        if name not in volumes:
            yield not_found(f"{place}.name", name)
        elif not {"persistentVolumeClaim", "ephemeral"} & set(volumes[name]):
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(f"{place}.name", name, detail)
        if not target:
            yield required(f"{place}.devicePath")
        elif list(no_backsteps(target, place)):
            yield invalid(f"{place}.devicePath", target, "can not contain backsteps ('..')")
        if target and target in seen:
            yield invalid(f"{place}.devicePath", target, "must be unique")
        if name in mounted:
            yield invalid(f"{place}.name", name, "must not already exist in volumeMounts")
        seen |= {name, target}


def _resize_policies(policies: Sequence[Part], path: str, restart: str) -> Causes:
    seen = set()
    for index, policy in enumerate(policies):
        name = policy.get("resourceName", "")
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)
        yield from one_of(name, path, ("cpu", "memory"))
        yield from one_of(policy.get("restartPolicy"), path, ("NotRequired", "RestartContainer"))
        if restart == "Never" and policy.get("restartPolicy") != "NotRequired":
            detail = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            yield invalid(path, policy.get("restartPolicy", ""), detail)


def validate_probes_and_hooks(container: Part, path: str, grace: int | None) -> Causes:
    """What only containers that keep running have."""
    if lifecycle := container.get("lifecycle"):
        for name in ("postStart", "preStop"):
            if (hook := lifecycle.get(name)) is not None:
                yield from _handler(hook, f"{path}.lifecycle.{name}", grace)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(name)) is not None:
            yield from _probe(probe, name, f"{path}.{name}", grace)


def _probe(probe: Part, name: str, path: str, grace: int | None) -> Causes:
    yield from _handler(probe, path, grace)
    yield from non_negative(probe, path, *_TIMES)
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0")
    if name != "readinessProbe" and probe.get("successThreshold") != 1:
        yield invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")
    if name == "readinessProbe" and seconds is not None:
        detail = "must not be set for readinessProbes"
        yield invalid(f"{path}.terminationGracePeriodSeconds", seconds, detail)


def _handler(handler: Part, path: str, grace: int | None) -> Causes:
    given = [name for name in _HANDLERS if handler.get(name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for extra in given[1:]:
        yield forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    if given:
        yield from _action(given[0], handler[given[0]], f"{path}.{given[0]}", grace)


def _action(name: str, action: Part, path: str, grace: int | None) -> Causes:
    match name:
        case "exec":
            if not action.get("command"):
                yield required(f"{path}.command")
        case "httpGet":
            if not action.get("path"):
                yield required(f"{path}.path")
            yield from port(action.get("port"), f"{path}.port")
            if action.get("scheme") not in ("HTTP", "HTTPS"):
                yield not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
            for header in action.get("httpHeaders") or ():
                yield from named(header.get("name", ""), f"{path}.httpHeaders", names.http_header_name)
        case "tcpSocket" | "grpc":
            yield from port(action.get("port"), f"{path}.port")
        case "sleep":
            seconds = action.get("seconds", 0)
            if grace is not None and not 0 <= seconds <= grace:
                detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                yield invalid(path, seconds, detail)

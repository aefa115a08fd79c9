"""What a cluster may be given as its scheduler, made into a configuration and plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minik8s.scheduler.configuration import SchedulerConfiguration, load_configuration
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.profile import Weighted, implements
from minik8s.scheduler.profiles import PROTOCOLS

ALLOWED = "True, False, None, a KubeSchedulerConfiguration (a file or its content), a plugin or a list of plugins"
IN_A_LIST = "a list of plugins and at most one KubeSchedulerConfiguration"


def read_options(given: object) -> tuple[SchedulerConfiguration, list[Any]]:
    """From True, a KubeSchedulerConfiguration (a file or its content), plugins, or a list of plugins with one of those.

    Raises ConfigurationError, which names the cluster's option.
    """
    configuration: SchedulerConfiguration | None = None
    plugins: list[Any] = []
    several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    for one in given if isinstance(given, Sequence) and several else [given]:
        if one is True:
            continue
        if not isinstance(one, str | Path | Mapping | SchedulerConfiguration):
            _check_plugin(one, IN_A_LIST if several else ALLOWED, given)
            plugins.append(one)
        elif configuration is not None:
            raise ConfigurationError("'scheduler' has one configuration, not several")
        else:
            configuration = one if isinstance(one, SchedulerConfiguration) else _load(one)
    return configuration or SchedulerConfiguration(), plugins


def _load(source: str | Path | Mapping[str, Any]) -> SchedulerConfiguration:
    try:
        return load_configuration(source)
    except ConfigurationError as error:
        raise ConfigurationError(f"'scheduler': {error}") from None


def _check_plugin(one: object, wanted: str, given: object) -> None:
    plugin = one.plugin if isinstance(one, Weighted) else one
    name = getattr(plugin, "name", None)
    extends = any(implements(plugin, protocol) for protocol in PROTOCOLS.values())  # type: ignore[arg-type]
    if not extends and name is None:
        raise ConfigurationError(f"'scheduler' must be {wanted}, not {given!r}")
    if isinstance(plugin, type):
        raise ConfigurationError(f"'scheduler': a plugin is an object, not a class: {plugin.__name__}()")
    if not name:
        raise ConfigurationError(f"'scheduler': every plugin needs a name; {one!r} has none")
    if not extends:
        raise ConfigurationError(f"'scheduler': plugin {name!r} extends no point of the framework")

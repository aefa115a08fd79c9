"""What a cluster may be given as its scheduler, made into a configuration and plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minik8s.scheduler.configuration import ConfigurationError, SchedulerConfiguration, load_configuration


def read_options(given: object) -> tuple[SchedulerConfiguration, list[Any]]:
    """From True, a KubeSchedulerConfiguration (a file or its content), plugins, or a list of plugins with one of those.

    Raises ConfigurationError.
    """
    configuration: SchedulerConfiguration | None = None
    plugins: list[Any] = []
    listed = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for one in listed:
        if one is True:
            continue
        if not isinstance(one, str | Path | Mapping | SchedulerConfiguration):
            plugins.append(one)
        elif configuration is not None:
            raise ConfigurationError("a scheduler has one configuration, not several")
        else:
            configuration = one if isinstance(one, SchedulerConfiguration) else load_configuration(one)
    return configuration or SchedulerConfiguration(), plugins

"""Which plugins a write has to pass: sorted out once for a resource, as most plugins are about one or two.

A pod passes a dozen of the twenty, a ConfigMap three.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from minik8s.apiserver.admission.plugin import AdmissionPlugin


@attrs.frozen
class Chain:
    """The plugins that have an `admit`, those that have a `validate`, and those of the latter that come last."""

    mutating: Sequence[AdmissionPlugin]
    validating: Sequence[AdmissionPlugin]
    counting: Sequence[AdmissionPlugin]


class Chains:
    """The chains of one server. There are as many as plugins name resources, and one for all other resources."""

    def __init__(self, plugins: Sequence[AdmissionPlugin]) -> None:
        self._plugins = plugins
        self._named = {resource for plugin in plugins for resource in plugin.resources or ()}
        self._chains: dict[str, Chain] = {}
        self._others = _chain([plugin for plugin in plugins if plugin.resources is None])

    def of(self, resource: str) -> Chain:
        """The chain of a resource, given by group and plural."""
        if (found := self._chains.get(resource)) is not None:
            return found
        if resource not in self._named:
            return self._others
        concerned = [plugin for plugin in self._plugins if plugin.resources is None or resource in plugin.resources]
        chain = self._chains[resource] = _chain(concerned)
        return chain


def _chain(plugins: Sequence[AdmissionPlugin]) -> Chain:
    validating = [plugin for plugin in plugins if type(plugin).validate is not AdmissionPlugin.validate]
    return Chain(
        [plugin for plugin in plugins if type(plugin).admit is not AdmissionPlugin.admit],
        [plugin for plugin in validating if not plugin.is_last],
        [plugin for plugin in validating if plugin.is_last],
    )

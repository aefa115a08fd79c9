"""Which plugins a write has to pass: sorted out once for a resource, as most plugins are about one or two.

A pod passes a dozen of the twenty, a ConfigMap three.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from minik8s.apiserver.admission.plugin import AdmissionPlugin


@attrs.frozen
class Chain:
    """The plugins that have an `admit`, those that have a `validate`, and those of the latter that come last.

    `stands_on` are the resources that they go by together, but for the last; None if one of them has to be asked
    about every creation, and `wary` are those that have to be about some.
    """

    mutating: Sequence[AdmissionPlugin]
    validating: Sequence[AdmissionPlugin]
    counting: Sequence[AdmissionPlugin]
    stands_on: Collection[str] | None
    wary: Sequence[AdmissionPlugin]


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
    mutating = [plugin for plugin in plugins if type(plugin).admit is not AdmissionPlugin.admit]
    validating = [plugin for plugin in plugins if type(plugin).validate is not AdmissionPlugin.validate]
    deciding = {*mutating, *(plugin for plugin in validating if not plugin.is_last)}
    grounds = [plugin.stands_on for plugin in deciding]
    return Chain(
        mutating,
        [plugin for plugin in validating if not plugin.is_last],
        [plugin for plugin in validating if plugin.is_last],
        None if None in grounds else sorted({resource for ground in grounds for resource in ground or ()}),
        [plugin for plugin in deciding if type(plugin).must_see is not AdmissionPlugin.must_see],
    )

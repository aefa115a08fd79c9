"""Profiles from a configuration: which plugins, at which extension points, in which order.

Upstream: `framework/runtime` (expandMultiPointPlugins). A plugin enabled at a point itself comes there in the order
given; those of multiPoint that nobody has moved or left out keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from minik8s.scheduler.configuration import (
    MULTI,
    VERSION,
    PluginSet,
    ProfileConfiguration,
    SchedulerConfiguration,
    load_configuration,
)
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.framework import (
    BindPlugin,
    FilterPlugin,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScorePlugin,
)
from minik8s.scheduler.plugins.registry import DEFAULTS, REMOVED, Tools, is_known, make
from minik8s.scheduler.profile import Profile, Weighted, implements

PROTOCOLS: dict[str, type] = {
    "preEnqueue": PreEnqueuePlugin,
    "queueSort": QueueSortPlugin,
    "preFilter": PreFilterPlugin,
    "filter": FilterPlugin,
    "postFilter": PostFilterPlugin,
    "preScore": PreScorePlugin,
    "score": ScorePlugin,
    "reserve": ReservePlugin,
    "permit": PermitPlugin,
    "preBind": PreBindPlugin,
    "bind": BindPlugin,
    "postBind": PostBindPlugin,
}


def build_profiles(
    wanted: Sequence[ProfileConfiguration], tools: Tools, more: Iterable[Plugin | Weighted] = ()
) -> list[Profile]:
    """The profiles; `more` are plugins of somebody else's, which join every profile that does not place them itself.

    There they come after the default ones and before the binder. Raises ConfigurationError (a ValueError).
    """
    others = [plugin if isinstance(plugin, Weighted) else Weighted(plugin) for plugin in more]
    names = [getattr(entry.plugin, "name", "") for entry in others]
    for name in names:
        if not isinstance(name, str) or not name or names.count(name) > 1 or is_known(name):
            raise ConfigurationError(f"every scheduler plugin needs a name of its own; {name!r} is not")
    return [_Builder(profile, tools, dict(zip(names, others, strict=True))).build() for profile in wanted]


def check_file(path: Path) -> SchedulerConfiguration:
    """A configuration from a file, of which profiles can be built. Raises ConfigurationError."""
    configuration = load_configuration(path)
    nobody: Any = object()  # a binder that is only made, and never asked
    build_profiles(configuration.profiles, Tools(client=nobody))
    return configuration


@attrs.define
class _Builder:
    wanted: ProfileConfiguration
    tools: Tools
    others: dict[str, Weighted]
    made: dict[str, Plugin | None] = attrs.field(factory=dict)

    def build(self) -> Profile:
        self._check_names()
        multi = self._multi_point()
        points = {point: self._at(point, protocol, multi) for point, protocol in PROTOCOLS.items()}
        name = self.wanted.name
        for point in ("queueSort", "bind"):
            if not points[point]:
                raise ConfigurationError(f"profile {name!r}: at least one {point} plugin is needed")
        if len(points["queueSort"]) > 1:
            raise ConfigurationError(f"profile {name!r}: only one queueSort plugin can be enabled")
        used = {id(w.plugin): w.plugin for listed in points.values() for w in listed}
        rest = [p for n, _ in multi if (p := self.made.get(n)) is not None and id(p) not in used]
        plugins = [*map(Weighted, used.values()), *map(Weighted, rest)]
        return Profile(name, plugins, {PROTOCOLS[point]: listed for point, listed in points.items()})

    def _check_names(self) -> None:
        """Every plugin that is enabled or told something exists; what is disabled need not, as with upstream."""
        where = f"profile {self.wanted.name!r}"
        for name in self.wanted.args:
            if not is_known(name):
                raise ConfigurationError(f"{where}: pluginConfig names {_unknown(name)}")
        for point, chosen in self.wanted.points.items():
            names = [name for name, _ in chosen.enabled]
            for name in names:
                if not is_known(name) and name not in self.others:
                    raise ConfigurationError(f"{where}: {point} names {_unknown(name)}")
                if names.count(name) > 1:
                    raise ConfigurationError(f"{where}: {point} enables {name!r} twice")

    def _plugin(self, name: str) -> Plugin | None:
        if name not in self.made:
            other = self.others.get(name)
            path = f"profile {self.wanted.name!r}: {name}"
            self.made[name] = other.plugin if other else make(name, self.wanted.args.get(name, {}), self.tools, path)
        return self.made[name]

    def _multi_point(self) -> list[tuple[str, int]]:
        """The defaults with what multiPoint changes in them, then what it adds."""
        chosen = self.wanted.points.get(MULTI, PluginSet())
        enabled = dict(chosen.enabled)
        placed = {name for told in self.wanted.points.values() for name in (*dict(told.enabled), *told.disabled)}
        joined = [(name, entry.weight) for name, entry in self.others.items() if name not in placed]
        defaults = [*DEFAULTS[:-1], *joined, DEFAULTS[-1]]
        kept = [] if "*" in chosen.disabled else [entry for entry in defaults if entry[0] not in chosen.disabled]
        if "*" in chosen.disabled:
            kept = joined
        listed = [(name, enabled.pop(name, weight)) for name, weight in kept]
        return [*listed, *enabled.items()]

    def _at(self, point: str, protocol: type, multi: list[tuple[str, int]]) -> list[Weighted]:
        chosen = self.wanted.points.get(point, PluginSet())
        weights = dict(multi)
        here = dict(chosen.enabled)
        for name in here:
            asked = self._plugin(name)
            if asked is not None and not implements(asked, protocol):
                raise ConfigurationError(f"profile {self.wanted.name!r}: plugin {name!r} does not extend {point}")
        left_out = set(weights) if "*" in chosen.disabled else chosen.disabled
        order = [
            *(name for name in here if name in weights),
            *(name for name in weights if name not in here and name not in left_out),
            *(name for name in here if name not in weights),
        ]
        found = []
        for name in order:
            plugin: Any = self._plugin(name)
            if plugin is not None and implements(plugin, protocol):
                found.append(Weighted(plugin, here.get(name) or weights.get(name) or self._own_weight(name)))
        return found

    def _own_weight(self, name: str) -> int:
        return self.others[name].weight if name in self.others else 1


def _unknown(name: str) -> str:
    """A plugin that does not exist, or no longer."""
    if name in REMOVED:
        return f'{name!r}, which was invalid in version "v1" (KubeSchedulerConfiguration is version "{VERSION}")'
    return f"the unknown plugin {name!r}"

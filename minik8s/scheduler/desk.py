"""What each profile of a scheduler works with, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any, TypeAlias

import attrs

from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.clock import Clock
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.configuration import SchedulerConfiguration
from minik8s.scheduler.cycle import Refusal, Scheduling
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.framework import Code, Handle, HandlePlugin, Nomination, PluginFailure, Status
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.outsiders import Judge
from minik8s.scheduler.plugins.defaultpreemption import Candidate, DefaultPreemption
from minik8s.scheduler.profile import Profile, implements
from minik8s.scheduler.reporting import Reporter

Nominated: TypeAlias = tuple[Nomination | None, str]
"""Where room can be made, and what there is to say about it."""


@attrs.define
class SchedulerStatistics:
    """Counters since the start. `attempts` = scheduled + unschedulable + errors, once nothing is in flight."""

    attempts: int = 0
    scheduled: int = 0
    unschedulable: int = 0
    errors: int = 0
    preempted: int = 0


@attrs.frozen
class Desk:
    """What one profile works with."""

    profile: Profile
    scheduling: Scheduling
    reporter: Reporter


def set_up(
    profiles: Iterable[Profile],
    configuration: SchedulerConfiguration,
    cache: Cache,
    rng: Random,
    client: Client,
    clock: Clock,
    recorders: Recorders,
) -> dict[str, Desk]:
    """A desk for every profile, by its name; all must sort the one queue alike. Raises ConfigurationError."""
    said = {profile.name: profile.percentage for profile in configuration.profiles}
    desks: dict[str, Desk] = {}
    for profile in profiles:
        percentage = said.get(profile.name)
        scheduling = Scheduling(profile, cache, rng, configuration.percentage if percentage is None else percentage)
        reporter = Reporter(client, clock, recorders.events_v1(profile.name, client=client), profile.name)
        desks[profile.name] = Desk(profile, scheduling, reporter)
    sorters = {getattr(desk.profile.queue_sort, "name", "") for desk in desks.values()}
    if len(sorters) > 1:
        raise ConfigurationError(f"all profiles need the same queueSort plugin, not {' and '.join(sorted(sorters))}")
    return desks


async def run_post_filters(desk: Desk, pod: PodInfo, refusal: Refusal, cache: Cache, judge: Judge | None) -> Nominated:
    """Where room can be made for the pod, and what there is to say about it; the first plugin that finds room is last.

    The nomination of no node takes an earlier one back; None leaves it.
    """
    nomination: Nomination | None = None
    said: list[str] = []
    for plugin in desk.profile.post_filters:
        asked = (refusal.state, pod, cache, desk.profile, refusal.diagnosis, refusal.statuses)
        if judge is not None and isinstance(plugin, DefaultPreemption):
            found = await _judged(plugin.candidates(*asked), plugin, pod, cache, judge)
        else:
            found = plugin.post_filter(*asked)
        if isinstance(found, Status):
            return None, found.message
        if found[0] is not None and found[0].node:
            return found
        nomination = nomination if found[0] is None else found[0]
        said.append(found[1])
    return nomination, ", ".join(filter(None, said))


async def _judged(
    found: list[Candidate] | Nominated, plugin: DefaultPreemption, pod: PodInfo, cache: Cache, judge: Judge
) -> Nominated | Status:
    """Chooses among the candidates, if there are any, that somebody else leaves."""
    if not isinstance(found, list):
        return found
    try:
        return plugin.choose(await judge(pod, found, cache))
    except PluginFailure as error:
        return Status(Code.ERROR, (f"preemption: {error}",), plugin.name)


def attach(profiles: Iterable[Profile], handle: Handle) -> None:
    """Gives the plugins that ask for it what they may ask of the scheduler; each gets it once."""
    asking: dict[int, Any] = {id(p): p for profile in profiles for p in profile.plugins if implements(p, HandlePlugin)}
    for plugin in asking.values():
        plugin.attach(handle)

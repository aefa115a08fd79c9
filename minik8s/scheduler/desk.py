"""What each profile of a scheduler works with, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import attrs

from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.clock import Clock
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.configuration import ConfigurationError, SchedulerConfiguration
from minik8s.scheduler.cycle import Refusal, Scheduling
from minik8s.scheduler.framework import Handle, HandlePlugin, Nomination, Status
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.profile import Profile, implements
from minik8s.scheduler.reporting import Reporter


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


def run_post_filters(desk: Desk, pod: PodInfo, refusal: Refusal, cache: Cache) -> tuple[Nomination | None, str]:
    """Where room can be made for the pod, and what there is to say about it; the first plugin that finds room is last.

    The nomination of no node takes an earlier one back; None leaves it.
    """
    nomination: Nomination | None = None
    said: list[str] = []
    for plugin in desk.profile.post_filters:
        found = plugin.post_filter(refusal.state, pod, cache, desk.profile, refusal.diagnosis, refusal.statuses)
        if isinstance(found, Status):
            return None, found.message
        if found[0] is not None and found[0].node:
            return found
        nomination = nomination if found[0] is None else found[0]
        said.append(found[1])
    return nomination, ", ".join(filter(None, said))


def attach(profiles: Iterable[Profile], handle: Handle) -> None:
    """Gives the plugins that ask for it what they may ask of the scheduler; each gets it once."""
    asking: dict[int, Any] = {id(p): p for profile in profiles for p in profile.plugins if implements(p, HandlePlugin)}
    for plugin in asking.values():
        plugin.attach(handle)

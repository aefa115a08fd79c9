"""A pod that has a node, through the points that follow: Reserve, Permit, PreBind, Bind, PostBind.

Upstream: `schedule_one.go` (the end of the scheduling cycle, and the binding cycle). What a plugin raises is the pod's
verdict, see `guard`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from minik8s.scheduler.framework import Code, Status, Wait
from minik8s.scheduler.guard import at_fault, blame
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.podclass import Decision
from minik8s.scheduler.profile import Profile


def reserve(profile: Profile, pod: PodInfo, decision: Decision, held_by: dict[str, float]) -> Status | None:
    """Runs Reserve and Permit; `held_by` gets the plugins that want the pod to wait, and for how many seconds."""
    try:
        for plugin in profile.reserves:
            if status := plugin.reserve(decision.state, pod, decision.node):
                return at_fault(status, "Reserve", _name(plugin))
        for permit in profile.permits:
            answer = permit.permit(decision.state, pod, decision.node)
            if isinstance(answer, Wait):
                held_by[_name(permit)] = answer.seconds
            elif answer is not None:
                return at_fault(answer, "Permit", _name(permit))
    except Exception as error:  # a plugin's
        return blame(profile, error, pod.key)
    return None


def unreserve(profile: Profile, pod: PodInfo, decision: Decision) -> None:
    """Takes back what `reserve` did, in the opposite order."""
    for plugin in reversed(profile.reserves):
        try:
            plugin.unreserve(decision.state, pod, decision.node)
        except Exception as error:  # a plugin's
            blame(profile, error, pod.key)


async def bind(
    profile: Profile, pod: PodInfo, decision: Decision, other: Callable[[PodInfo, str], Awaitable[bool]]
) -> Status | None:
    """Runs PreBind, then the first Bind plugin that does not pass the pod on, unless some `other` has bound it."""
    try:
        for plugin in profile.pre_binds:
            if status := await plugin.pre_bind(decision.state, pod, decision.node):
                return at_fault(status, "PreBind", _name(plugin))
        if await other(pod, decision.node):
            return None
        for binder in profile.binds:
            bound = await binder.bind(decision.state, pod, decision.node)
            if bound is None:
                return None
            if bound.code is not Code.SKIP:
                return at_fault(bound, "Bind", _name(binder))
    except Exception as error:  # a plugin's
        return blame(profile, error, pod.key)
    return Status(Code.ERROR, ("no bind plugin took the pod",))


def post_bind(profile: Profile, pod: PodInfo, decision: Decision) -> None:
    """Tells the plugins that want to know."""
    for plugin in profile.post_binds:
        try:
            plugin.post_bind(decision.state, pod, decision.node)
        except Exception as error:  # a plugin's
            blame(profile, error, pod.key)


def _name(plugin: Any) -> str:
    return str(plugin.name)

"""A decision in which extenders have a say: which of the feasible nodes they leave, and how they like them.

They are asked one after the other, each about what the ones before have left; those that are ignorable may fail.
Upstream: `findNodesThatPassExtenders` and `prioritizeNodes` of `schedule_one.go`, `callExtenders` of the preemption.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.meta import Doc
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal, Scheduling
from minik8s.scheduler.extenders.client import Extender
from minik8s.scheduler.extenders.configuration import ExtenderConfiguration
from minik8s.scheduler.extenders.wire import MAX_PRIORITY, ExtenderError, Filtered, Victims
from minik8s.scheduler.framework import MAX_SCORE, Code, PluginFailure, Status
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaultpreemption import Candidate
from minik8s.scheduler.survey import Survey

NAME = "Extender"
"""Who has refused a node, when it was not a plugin."""
_CHANGED = "the nodes that extenders have agreed to do not fit any more"

log = get_logger("minik8s.scheduler")


class Extenders:
    """All of a scheduler's; its `Outsiders`."""

    def __init__(self, configurations: Iterable[ExtenderConfiguration], clock: Clock) -> None:
        self._all = [Extender(each, clock) for each in configurations]

    @property
    def asked(self) -> Sequence[str]:
        return [extender.name for extender in self._all if extender.waiting]

    async def aclose(self) -> None:
        for extender in self._all:
            await extender.aclose()

    def _have_a_say(self, pod: Doc) -> bool:
        """Whether any wants to be asked about the nodes for a pod."""
        return any(each.is_interested(pod) for each in self._all if each.config.filter or each.config.prioritize)

    def _asked(self, pod: Doc, verb: str) -> list[Extender]:
        return [each for each in self._all if getattr(each.config, verb) and each.is_interested(pod)]

    # ------------------------------------------------------------------ a node

    async def decide(self, pod: PodInfo, scheduling: Scheduling, cache: Cache) -> Decision | Refusal:
        if not self._have_a_say(pod.doc):
            return scheduling.decide(pod)
        survey = await self._survey(pod, scheduling, nominated=True)
        if isinstance(survey, Survey) and not survey.nodes and not survey.whole:
            survey = await self._survey(pod, scheduling, nominated=False)
        if isinstance(survey, Refusal):
            return survey
        if not survey.nodes:
            return survey.refusal(cache, NAME)
        scores: dict[str, int] = {}
        if len(survey.nodes) > 1:
            scores = survey.scores(scheduling.profile, cache)
            await self._prioritize(survey, scores)
        decision = scheduling.choose(survey, scores)
        if decision is None:
            raise PluginFailure(_CHANGED)
        return decision

    async def _survey(self, pod: PodInfo, scheduling: Scheduling, *, nominated: bool) -> Survey | Refusal:
        """What plugins and extenders leave of the nodes."""
        survey = scheduling.survey(pod, nominated=nominated)
        if isinstance(survey, Refusal):
            return survey
        for extender in self._asked(pod.doc, "filter"):
            if not survey.nodes:
                break
            try:
                found = await extender.filter(pod.doc, [node.node or {} for node in survey.nodes])
            except ExtenderError as error:
                _ignore(extender, error)
                continue
            survey.keep(found.nodes, verdicts(found))
        return survey

    async def _prioritize(self, survey: Survey, scores: dict[str, int]) -> None:
        """Adds their points to the plugins', all asked at once; who fails has no opinion."""
        pod, nodes = survey.pod.doc, [node.node or {} for node in survey.nodes]

        async def ask(extender: Extender) -> None:
            try:
                found = await extender.prioritize(pod, nodes)
            except ExtenderError as error:
                log.warning("an extender has no opinion", extender=extender.name, error=str(error))
                return
            for name, points in found.items():
                if name in scores:
                    scores[name] += points * extender.config.weight * (MAX_SCORE // MAX_PRIORITY)

        async with anyio.create_task_group() as group:
            for extender in self._asked(pod, "prioritize"):
                group.start_soon(ask, extender)

    # ------------------------------------------------------------------ what follows

    async def bind(self, pod: PodInfo, node: str) -> bool:
        for extender in self._asked(pod.doc, "bind"):
            try:
                await extender.bind(pod.doc, node)
            except ExtenderError as error:
                _ignore(extender, error)
                continue
            return True
        return False

    async def judge(self, pod: PodInfo, candidates: Sequence[Candidate], cache: Cache) -> Sequence[Candidate]:
        """What they leave of the nodes where room can be made, and whom they would evict there."""
        for extender in self._asked(pod.doc, "preempt"):
            if not candidates:
                break
            asked = {one.node: ([victim.doc for victim in one.victims], one.violations) for one in candidates}
            try:
                answer = await extender.preempt(pod.doc, asked)
                candidates = [
                    candidate(extender, node, victims, cache)
                    for node, victims in answer.items()
                    if victims.uids or not extender.config.ignorable
                ]
            except ExtenderError as error:
                _ignore(extender, error)
        return candidates


def verdicts(found: Filtered) -> dict[str, Status]:
    """By node why an extender has refused it; what no eviction would mend counts first."""
    failed = {name: Status(Code.UNSCHEDULABLE, (why,), NAME) for name, why in found.failed.items()}
    hopeless = {name: Status(Code.UNRESOLVABLE, (why,), NAME) for name, why in found.unresolvable.items()}
    return failed | hopeless


def candidate(extender: Extender, node: str, victims: Victims, cache: Cache) -> Candidate:
    """The pods that an extender means. Raises ExtenderError for what is not there."""
    info = cache.node(node)
    if info is None:
        raise ExtenderError(f'nodeinfo not found for node name "{node}"')
    if not victims.uids:
        raise ExtenderError(f'expected at least one victim pod on node "{node}"')
    for uid in victims.uids:
        if uid not in info.pods:
            why = f"claims to preempt pod (UID: {uid}) on node: {node}, but the pod is not found on that node"
            raise ExtenderError(f"extender: {extender.name} {why}")
    return Candidate(node, tuple(info.pods[uid] for uid in victims.uids), victims.violations)


def _ignore(extender: Extender, error: ExtenderError) -> None:
    """Raises PluginFailure unless the extender may fail."""
    if not extender.config.ignorable:
        raise PluginFailure(str(error)) from None
    log.warning("an ignorable extender has failed", extender=extender.name, error=str(error))

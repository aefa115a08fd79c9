"""DefaultPreemption: when a pod fits nowhere, find the node where evicting the least makes room for it.

Upstream: `framework/preemption`. Victims have lower priority; as many as possible are spared again, those first whose
eviction would break a disruption budget, then the most important; of several nodes the one whose victims matter least
is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from minik8s.machinery.meta import Doc, find_condition, name_of, namespace_of
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.diagnosis import Diagnosis, diagnose
from minik8s.scheduler.framework import Code, CycleState, Nomination, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import Profile

_NAME = "DefaultPreemption"
_NOT_HELPFUL = Status(Code.UNRESOLVABLE, ("Preemption is not helpful for scheduling",), _NAME)
_NO_VICTIMS = Status(Code.UNRESOLVABLE, ("No preemption victims found for incoming pod",), _NAME)
_IN_VAIN = Nomination("", ())
MIN_CANDIDATES = 100
MIN_CANDIDATES_PERCENT = 10
"""minCandidateNodesAbsolute and minCandidateNodesPercentage: enough candidates to choose among."""


class DefaultPreemption:
    """`budgets` lists the PodDisruptionBudgets."""

    name = _NAME
    local = True

    def __init__(
        self,
        budgets: Callable[[], Iterable[Doc]] = tuple,
        percentage: int = MIN_CANDIDATES_PERCENT,
        absolute: int = MIN_CANDIDATES,
    ) -> None:
        self._budgets = budgets
        self._percentage, self._absolute = percentage, absolute
        self._next = 0

    def post_filter(
        self,
        state: CycleState,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Any,
        diagnosis: Diagnosis,
        statuses: Mapping[str, Status],
    ) -> tuple[Nomination | None, str]:
        found = self.candidates(state, pod, snapshot, profile, diagnosis, statuses)
        return self.choose(found) if isinstance(found, list) else found

    def candidates(
        self,
        state: CycleState,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Any,
        diagnosis: Diagnosis,
        statuses: Mapping[str, Status],
    ) -> list[Candidate] | tuple[Nomination | None, str]:
        """The nodes where room can be made, which extenders may judge before one is chosen; or why there is none."""
        if why := _ineligible(pod, snapshot, statuses):
            return None, f"preemption: {why}"
        if pod.priority <= snapshot.lowest_priority:  # nobody to evict anywhere: no need to look
            return _IN_VAIN, f"preemption: {_nobody(diagnosis).message}"
        verdicts: dict[str, Status] = {}
        nodes = self._possible(snapshot, statuses)
        enough = max(self._absolute, len(snapshot.nodes) * self._percentage // 100)
        trial = Trial(pod, state, profile, tuple(self._budgets()))
        if found := _candidates(trial, nodes, enough, verdicts):
            return found
        for node in snapshot.nodes:
            verdicts.setdefault(node.name, _NOT_HELPFUL)
        return _IN_VAIN, f"preemption: {diagnose(len(snapshot.nodes), verdicts).message}"

    def choose(self, candidates: Sequence[Candidate]) -> tuple[Nomination | None, str]:
        """The one that does the least harm."""
        if not candidates:
            return _IN_VAIN, "preemption: no candidate node for preemption"
        return min(candidates, key=_harm).nomination, ""

    def _possible(self, snapshot: Snapshot, statuses: Mapping[str, Status]) -> Sequence[NodeInfo]:
        """The nodes where evictions may help, not always beginning with the same one."""
        self._next += 1
        nodes = [n for n in snapshot.nodes if (s := statuses.get(n.name)) is not None and s.code is Code.UNSCHEDULABLE]
        start = self._next % len(nodes) if nodes else 0
        return nodes[start:] + nodes[:start]


@attrs.frozen
class Candidate:
    """A node, and whom to evict from it: the most important victim first; `violations` of them break a budget."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int = 0

    @property
    def nomination(self) -> Nomination:
        return Nomination(self.node, tuple(victim.doc for victim in self.victims))


def _ineligible(pod: PodInfo, snapshot: Snapshot, statuses: Mapping[str, Status]) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = snapshot.node((pod.doc.get("status") or {}).get("nominatedNodeName") or "")
    if nominated is None:
        return ""
    status = statuses.get(nominated.name)
    if status is not None and status.code is Code.UNRESOLVABLE:
        return ""
    if any(p.priority < pod.priority and _is_victim(p) for p in nominated.pods.values()):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _is_victim(pod: PodInfo) -> bool:
    """Whether the pod ends because of a preemption."""
    if not pod.terminating:
        return False
    condition = find_condition((pod.doc.get("status") or {}).get("conditions"), "DisruptionTarget")
    return condition is not None and condition.get("reason") == "PreemptionByScheduler"


def _nobody(diagnosis: Diagnosis) -> Diagnosis:
    """What there is to say when no node has a victim."""
    reasons = {
        _NOT_HELPFUL.message: diagnosis.unresolvable,
        _NO_VICTIMS.message: diagnosis.nodes - diagnosis.unresolvable,
    }
    return Diagnosis(diagnosis.nodes, {reason: count for reason, count in reasons.items() if count})


@attrs.frozen
class Trial:
    """A pod that needs room, and what to try it out with."""

    pod: PodInfo
    state: CycleState
    profile: Profile
    budgets: Sequence[Doc]


def _candidates(trial: Trial, nodes: Iterable[NodeInfo], enough: int, verdicts: dict[str, Status]) -> list[Candidate]:
    found: list[Candidate] = []
    for node in nodes:
        result = _victims(trial, node)
        if isinstance(result, Status):
            verdicts[node.name] = result
        else:
            found.append(result)
            if len(found) >= enough:
                break
    return found


def _victims(trial: Trial, node: NodeInfo) -> Candidate | Status:
    """The pods that must go from this node, or why their going would not help."""
    pod, profile = trial.pod, trial.profile
    lesser = sorted((p for p in node.pods.values() if p.priority < pod.priority), key=_importance)
    if not lesser:
        return _NO_VICTIMS
    copy, state = node.with_pods(()), trial.state.clone()
    copy.nominated = node.nominated
    for victim in lesser:
        copy.remove_pod(victim.uid)
        profile.remove_pod(state, pod, victim, copy)
    if status := profile.fits(state, pod, copy):
        return status
    victims: list[PodInfo] = []
    protected = {p.uid for p in violating(lesser, trial.budgets)}
    for candidate in sorted(lesser, key=lambda p: p.uid not in protected):
        copy.add_pod(candidate)
        profile.add_pod(state, pod, candidate, copy)
        if profile.fits(state, pod, copy):
            copy.remove_pod(candidate.uid)
            profile.remove_pod(state, pod, candidate, copy)
            victims.append(candidate)
    violations = sum(victim.uid in protected for victim in victims)
    return Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def violating(pods: Iterable[PodInfo], budgets: Sequence[Doc]) -> list[PodInfo]:
    """The pods whose eviction, after that of those before them, would break a budget (filterPodsWithPDBViolation)."""
    allowed = [(budget.get("status") or {}).get("disruptionsAllowed") or 0 for budget in budgets]
    selectors = [LabelSelector.from_object((budget.get("spec") or {}).get("selector")) for budget in budgets]
    found = []
    for pod in pods:
        violated = False
        for i, budget in enumerate(budgets):
            if namespace_of(budget) != pod.namespace or selectors[i].is_everything or not pod.labels:
                continue
            if not selectors[i].matches(pod.labels):
                continue
            if name_of(pod.doc) in ((budget.get("status") or {}).get("disruptedPods") or {}):
                continue  # counted already
            allowed[i] -= 1
            violated = violated or allowed[i] < 0
        if violated:
            found.append(pod)
    return found


def _importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the most important first: higher priority, then longer running."""
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> str:
    return (pod.doc.get("status") or {}).get("startTime") or "9999"


def _harm(candidate: Candidate) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Smallest wanted: broken budgets, highest victim priority, sum of priorities, number of victims, then the
    latest started."""
    priorities = [victim.priority for victim in candidate.victims]
    top = max(priorities, default=-(2**31))
    earliest = min((_started(v) for v in candidate.victims if v.priority == top), default="9999")
    total = sum(p + 2**31 for p in priorities)
    return candidate.violations, top, total, len(priorities), tuple(-ord(c) for c in earliest)

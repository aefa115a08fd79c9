"""Why a pod found no node: as data to ask, and as the sentence that upstream puts into the condition and the event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from minik8s.scheduler.framework import Code, Status

NO_NODES = "no nodes available to schedule pods"
"""ErrNoNodesAvailable."""


@attrs.frozen
class Diagnosis:
    """The outcome of an attempt that found no node.

    `reasons` says how many nodes gave each reason, `plugins` who rejected. `rejection` is set when the pod was refused
    as a whole, before any node was looked at; `unresolvable` nodes would not take it even if pods were evicted;
    `post_filter` is what preemption had to say.
    """

    nodes: int
    reasons: Mapping[str, int] = attrs.field(factory=dict)
    plugins: frozenset[str] = frozenset()
    rejection: str = ""
    unresolvable: int = 0
    post_filter: str = ""

    @property
    def message(self) -> str:
        """`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …`."""
        if not self.nodes:
            return NO_NODES
        text = f"0/{self.nodes} nodes are available:"
        detail = self.rejection or ", ".join(sorted(f"{count} {reason}" for reason, count in self.reasons.items()))
        if detail:
            text += f" {detail}."
        return f"{text} {self.post_filter}" if self.post_filter else text


def count_reasons(statuses: Iterable[Status]) -> dict[str, int]:
    """How often each reason was given."""
    return dict(Counter(reason for status in statuses for reason in status.reasons))


def diagnose(nodes: int, statuses: Mapping[str, Status], plugins: Iterable[str] = ()) -> Diagnosis:
    """From the verdict on each node; `plugins` also had a part in it."""
    rejected_by = {status.plugin for status in statuses.values()}
    hopeless = sum(status.code is Code.UNRESOLVABLE for status in statuses.values())
    return Diagnosis(
        nodes, count_reasons(statuses.values()), frozenset(rejected_by | set(plugins) - {""}), unresolvable=hopeless
    )

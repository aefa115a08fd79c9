"""Selectors that take values from the pod's own labels: matchLabelKeys and mismatchLabelKeys.

Upstream: the pod strategy's PrepareForCreate. Whoever reads the stored pod, a scheduler above all, finds plain
expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from minik8s.machinery.meta import Obj

_TERMS = "requiredDuringSchedulingIgnoredDuringExecution"
_WEIGHTED = "preferredDuringSchedulingIgnoredDuringExecution"


def merge_label_keys(pod: Obj) -> None:
    """Adds what the keys stand for to each selector of a new pod."""
    spec = pod["spec"]
    affinity, constraints = spec.get("affinity"), spec.get("topologySpreadConstraints")
    if not affinity and not constraints:
        return
    labels = pod["metadata"].get("labels") or {}
    for term in (*_affinity_terms(affinity or {}), *(constraints or ())):
        selector = term.get("labelSelector")
        if selector is None:
            continue
        added = [
            {"key": key, "operator": operator, "values": [labels[key]]}
            for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
            for key in term.get(field) or ()
            if key in labels
        ]
        if added:
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *added]


def _affinity_terms(affinity: Obj) -> Iterator[Obj]:
    for name in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(name) or {}
        yield from pods.get(_TERMS) or ()
        yield from (weighted["podAffinityTerm"] for weighted in pods.get(_WEIGHTED) or ())

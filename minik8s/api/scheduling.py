"""Which pods may run on which nodes: taints against tolerations, node selectors against nodes.

The scheduler decides by these rules, the daemon set controller predicts with them, the kubelet checks them again and
the taint manager evicts by them, so they stand here, below all four. Upstream: `component-helpers/scheduling/corev1`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence

import attrs

from minik8s.machinery.meta import Doc

Labels = Mapping[str, str]
HARD_EFFECTS = frozenset(("NoSchedule", "NoExecute"))
"""Effects that keep a pod off a node."""


def tolerates(toleration: Doc, taint: Doc) -> bool:
    """Whether one toleration covers one taint; an empty key or effect of the toleration covers all."""
    if (effect := toleration.get("effect")) and effect != taint.get("effect"):
        return False
    if (key := toleration.get("key")) and key != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(
    taints: Iterable[Doc], tolerations: Sequence[Doc], effects: Container[str] = HARD_EFFECTS
) -> Doc | None:
    """The first taint with one of `effects` that no toleration covers, or None."""
    for taint in taints:
        if taint.get("effect", "") in effects and not any(tolerates(t, taint) for t in tolerations):
            return taint
    return None


@attrs.frozen
class Requirement:
    """One `key operator values` of a node selector term."""

    key: str
    operator: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, doc: Doc) -> Requirement:
        return cls(doc.get("key", ""), doc.get("operator", ""), tuple(doc.get("values") or ()))

    def matches(self, labels: Labels) -> bool:
        test = _OPERATORS.get(self.operator)
        return test is not None and test(labels.get(self.key), self.values)


def _greater(value: str | None, values: tuple[str, ...]) -> bool:
    numbers = _integers(value, values)
    return numbers is not None and numbers[0] > numbers[1]


def _less(value: str | None, values: tuple[str, ...]) -> bool:
    numbers = _integers(value, values)
    return numbers is not None and numbers[0] < numbers[1]


def _integers(value: str | None, values: tuple[str, ...]) -> tuple[int, int] | None:
    """Both sides of Gt or Lt; a side that is no integer never matches."""
    try:
        return int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return None


_OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, values: value is not None and value in values,
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": _greater,
    "Lt": _less,
}


@attrs.frozen
class NodeSelectorTerm:
    """Requirements that must all hold; a term without any matches no node."""

    expressions: tuple[Requirement, ...]
    fields: tuple[Requirement, ...]

    @classmethod
    def of(cls, doc: Doc) -> NodeSelectorTerm:
        return cls(
            tuple(map(Requirement.of, doc.get("matchExpressions") or ())),
            tuple(map(Requirement.of, doc.get("matchFields") or ())),
        )

    def matches(self, name: str, labels: Labels) -> bool:
        """Whether the node of that name and those labels is meant; the only field is metadata.name."""
        if not self.expressions and not self.fields:
            return False
        fields = {"metadata.name": name}
        return all(r.matches(labels) for r in self.expressions) and all(r.matches(fields) for r in self.fields)

    @property
    def names(self) -> frozenset[str] | None:
        """The only node names that can match, None when the term does not restrict them."""
        named = [frozenset(r.values) for r in self.fields if r.key == "metadata.name" and r.operator == "In"]
        return frozenset.intersection(*named) if named else None


@attrs.frozen
class RequiredNodeAffinity:
    """A pod's hard demands on a node: `spec.nodeSelector` and required node affinity (`terms` None: no demand)."""

    selector: Labels
    terms: tuple[NodeSelectorTerm, ...] | None

    @classmethod
    def of(cls, spec: Doc) -> RequiredNodeAffinity:
        """From a pod's spec."""
        affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        terms = None if required is None else tuple(map(NodeSelectorTerm.of, required.get("nodeSelectorTerms") or ()))
        return cls(spec.get("nodeSelector") or {}, terms)

    def __bool__(self) -> bool:
        """Whether anything is demanded at all."""
        return bool(self.selector) or self.terms is not None

    def matches(self, name: str, labels: Labels) -> bool:
        """All of nodeSelector, and at least one term."""
        if any(labels.get(key) != value for key, value in self.selector.items()):
            return False
        return self.terms is None or any(term.matches(name, labels) for term in self.terms)

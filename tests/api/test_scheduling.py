"""Taints against tolerations, node selectors against nodes."""

import pytest

from minik8s.api.scheduling import NodeSelectorTerm, RequiredNodeAffinity, tolerates, untolerated

TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Equal", "value": "v"}, True),
        ({"key": "k", "value": "other"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_toleration(toleration: dict[str, str], expected: bool) -> None:
    """Key, value and effect must agree where the toleration names them."""
    assert tolerates(toleration, TAINT) is expected


def test_untolerated_ignores_soft_taints() -> None:
    """PreferNoSchedule keeps no pod off; NoSchedule does."""
    soft = {"key": "s", "effect": "PreferNoSchedule"}
    assert untolerated([soft], []) is None
    assert untolerated([soft, TAINT], []) == TAINT


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["a", "3"], True),
        ("NotIn", ["3"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["2"], True),
        ("Gt", ["3"], False),
        ("Lt", ["4"], True),
        ("Lt", ["x"], False),
        ("Near", ["3"], False),
    ],
)
def test_node_selector_operators(operator: str, values: list[str], expected: bool) -> None:
    """Each operator against the label size=3."""
    term = NodeSelectorTerm.of({"matchExpressions": [{"key": "size", "operator": operator, "values": values}]})
    assert term.matches("n", {"size": "3"}) is expected


def test_absent_labels() -> None:
    """NotIn and DoesNotExist hold for a missing label, Gt does not."""
    for operator, expected in (("NotIn", True), ("DoesNotExist", True), ("Gt", False), ("In", False)):
        term = NodeSelectorTerm.of({"matchExpressions": [{"key": "size", "operator": operator, "values": ["1"]}]})
        assert term.matches("n", {}) is expected, operator


def test_empty_term_matches_nothing() -> None:
    """A term without requirements matches no node."""
    assert not NodeSelectorTerm.of({}).matches("n", {})


def test_required_affinity_is_selector_and_any_term() -> None:
    """nodeSelector must hold and one of the terms; matchFields knows metadata.name."""
    fields = [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]
    required = {
        "nodeSelectorTerms": [{"matchFields": fields}, {"matchExpressions": [{"key": "b", "operator": "Exists"}]}]
    }
    affinity = RequiredNodeAffinity.of(
        {
            "nodeSelector": {"a": "1"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
        }
    )
    assert affinity.matches("n1", {"a": "1"})
    assert affinity.matches("n2", {"a": "1", "b": ""})
    assert not affinity.matches("n2", {"a": "1"})
    assert not affinity.matches("n1", {})
    assert not RequiredNodeAffinity.of({})

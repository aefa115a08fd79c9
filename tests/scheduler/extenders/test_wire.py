"""What extenders are asked and answer, to the letter: Go's field names, and answers that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.extenders.wire import (
    ExtenderError,
    Filtered,
    Victims,
    binding_args,
    nodes_args,
    preemption_args,
    read_binding_result,
    read_filter_result,
    read_preemption_result,
    read_priorities,
)

POD: Any = {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {}}
NODE: Any = {"metadata": {"name": "n"}}
WHERE = "http://x"


def test_arguments() -> None:
    """Nodes and pods are sent whole, or by name and uid to who has a cache."""
    assert nodes_args(POD, [NODE], by_name=False) == {
        "Pod": POD,
        "Nodes": {"metadata": {}, "items": [NODE]},
        "NodeNames": None,
    }
    assert nodes_args(POD, [NODE], by_name=True) == {"Pod": POD, "Nodes": None, "NodeNames": ["n"]}
    assert binding_args(POD, "n") == {"PodName": "p", "PodNamespace": "ns", "PodUID": "u", "Node": "n"}
    victims = {"n": ([POD], 1)}
    assert preemption_args(POD, victims, by_uid=False) == {
        "Pod": POD,
        "NodeNameToVictims": {"n": {"Pods": [POD], "NumPDBViolations": 1}},
        "NodeNameToMetaVictims": None,
    }
    assert preemption_args(POD, victims, by_uid=True) == {
        "Pod": POD,
        "NodeNameToVictims": None,
        "NodeNameToMetaVictims": {"n": {"Pods": [{"UID": "u"}], "NumPDBViolations": 1}},
    }


@pytest.mark.parametrize(
    ("answer", "by_name", "expected"),
    [
        ({}, False, Filtered((), {}, {})),
        ({"Nodes": {"items": [NODE]}, "NodeNames": None}, False, Filtered(("n",), {}, {})),
        ({"nodes": {"items": [NODE]}}, True, Filtered(("n",), {}, {})),
        ({"NodeNames": ["a", "b"], "Nodes": None, "Error": ""}, True, Filtered(("a", "b"), {}, {})),
        ({"NodeNames": ["a"]}, False, Filtered((), {}, {})),
        ({"nodenames": ["a"], "failedNodes": {"b": "x"}}, True, Filtered(("a",), {"b": "x"}, {})),
        ({"FailedAndUnresolvableNodes": {"b": "y"}, "FailedNodes": None}, True, Filtered((), {}, {"b": "y"})),
    ],
)
def test_filter_results(answer: Any, by_name: bool, expected: Filtered) -> None:
    """Names count only for who was asked by name; the case of fields never does, as in Go."""
    assert read_filter_result(answer, WHERE, by_name=by_name) == expected


def test_other_results() -> None:
    """Scores of a node add up; nobody is a list of scores, and of victims."""
    assert read_priorities(None, WHERE) == {}
    assert read_priorities([{"Host": "a", "Score": 3}, {"host": "b"}, {"Host": "a", "Score": 1}], WHERE) == {
        "a": 4,
        "b": 0,
    }
    read_binding_result({"Error": ""}, WHERE)
    meta = {"n": {"Pods": [{"UID": "u"}], "NumPDBViolations": 2}, "m": None}
    found = read_preemption_result({"NodeNameToMetaVictims": meta}, WHERE)
    assert found == {"n": Victims(("u",), 2), "m": Victims((), 0)}
    assert read_preemption_result({}, WHERE) == {}


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (read_priorities, {"Host": "a"}),
        (read_priorities, ["a"]),
        (read_priorities, [{"Host": 1}]),
        (read_priorities, [{"Host": "a", "Score": 1.5}]),
        (read_priorities, [{"Host": "a", "Score": True}]),
        (read_binding_result, "done"),
        (read_preemption_result, None),
        (read_preemption_result, {"NodeNameToMetaVictims": ["n"]}),
        (read_preemption_result, {"NodeNameToMetaVictims": {"n": {"Pods": [1]}}}),
    ],
)
def test_nonsense(read: Any, answer: Any) -> None:
    """It is an error that names the extender, never a traceback."""
    with pytest.raises(ExtenderError, match="cannot make sense of the answer of http://x"):
        read(answer, WHERE)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"NodeNames": "a"},
        {"NodeNames": [1]},
        {"Nodes": []},
        {"Nodes": {"items": {"a": 1}}},
        {"Nodes": {"items": ["a"]}},
        {"Nodes": {"items": [{"metadata": {"name": 1}}]}},
        {"FailedNodes": ["a"]},
        {"FailedNodes": {"a": 1}},
        {"Error": {"why": "x"}},
    ],
)
def test_nonsense_of_filters(answer: Any) -> None:
    """The same for what a filter says."""
    with pytest.raises(ExtenderError, match="cannot make sense"):
        read_filter_result(answer, WHERE, by_name=True)


def test_errors_that_are_told() -> None:
    """An extender's own words are passed on."""
    with pytest.raises(ExtenderError, match=r"^out of order$"):
        read_filter_result({"Error": "out of order"}, WHERE, by_name=False)
    with pytest.raises(ExtenderError, match=r"^no$"):
        read_binding_result({"error": "no"}, WHERE)

"""Stages as manifests say them: which fields there are, how long they wait, and what is refused, with its line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minik8s.kubelet.stages.manifest import StageError, load_stages
from minik8s.kubelet.stages.query import Query
from minik8s.kubelet.stages.stage import Announce, Delete, Finalizers, Patch, Stage, choose

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nmetadata: {name: s}\nspec:\n  resourceRef: {kind: Pod}\n"
CONDITIONS = [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "False"}, {"type": "Odd"}]
POD: dict[str, Any] = {
    "metadata": {"name": "p", "labels": {"app": "web"}, "annotations": {"x.y/delay": "1m30s", "weight": "5"}},
    "status": {"conditions": CONDITIONS, "phase": "Running", "n": 1},
}


def stage(**spec: Any) -> Stage:
    spec = {"resourceRef": {"apiGroup": "v1", "kind": "Pod"}, "selector": {}, "next": {}, **spec}
    document = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": "s"}, "spec": spec}
    return load_stages([document])[0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (".metadata.name", ["p"]),
        ('.metadata.annotations["x.y/delay"]', ["1m30s"]),
        (".metadata.none.below", []),
        (".status.conditions.[].type", ["Ready", "Initialized", "Odd"]),
        (".status.conditions[].status", ["True", "False"]),
        (".status.conditions[1].type", ["Initialized"]),
        ('.status.conditions.[] | select( .type == "Ready" ) | .status', ["True"]),
        ('.status.conditions[] | select(.type != "Ready") | .type', ["Initialized", "Odd"]),
        (".status.n[]", []),
        (".", [POD]),
    ],
)
def test_queries(query: str, found: list[Any]) -> None:
    """Paths and select, with nulls left out."""
    assert Query(query).values(POD) == found


@pytest.mark.parametrize("query", ["metadata", ".a | length", ".a[1:2]", ".a // .b", "", ".a | "])
def test_queries_that_are_refused(query: str) -> None:
    """What jq could do beyond that is refused when it is read."""
    with pytest.raises(ValueError, match=r"not supported|missing"):
        Query(query)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        (None, False),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "other"}}, False),
        ({"matchAnnotations": {"weight": "5"}}, True),
        ({"matchExpressions": [{"key": ".status.phase", "operator": "In", "values": ["Running"]}]}, True),
        ({"matchExpressions": [{"key": ".status.phase", "operator": "NotIn", "values": ["Running"]}]}, False),
        ({"matchExpressions": [{"key": ".status.none", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": ".status.n", "operator": "In", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"jq": {"key": ".metadata.none", "operator": "DoesNotExist"}}]}, True),
        ({"matchExpressions": [{"key": ".metadata.name", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selectors(selector: Any, matches: bool) -> None:
    """All parts have to hold; without a selector a stage is for nothing."""
    assert stage(selector=selector).matches(POD) is matches


@pytest.mark.parametrize(
    ("delay", "low", "high"),
    [
        ({}, 0, 0),
        ({"durationMilliseconds": 1500}, 1.5, 1.5),
        ({"durationMilliseconds": 1000, "jitterDurationMilliseconds": 3000}, 1, 3),
        ({"durationMilliseconds": 3000, "jitterDurationMilliseconds": 1000}, 1, 1),
        ({"durationFrom": {"expressionFrom": '.metadata.annotations["x.y/delay"]'}}, 90, 90),
        ({"durationMilliseconds": 7000, "durationFrom": {"jq": {"expression": ".metadata.none"}}}, 7, 7),
        ({"durationMilliseconds": 1000, "durationFrom": {"expressionFrom": ".metadata.name"}}, 1, 1),
    ],
)
def test_delays(delay: Any, low: float, high: float) -> None:
    """The object's own word counts before the manifest's; jitter lies between the two."""
    rng = Random(1)
    delays = [stage(delay=delay).delay(POD, NOW, rng) for _ in range(20)]
    assert low <= min(delays) <= max(delays) <= high
    assert (len(set(delays)) > 1) is (low != high)


def test_a_delay_until_a_moment() -> None:
    """A time is waited for; one that has passed is now."""
    delay = {"durationFrom": {"expressionFrom": ".metadata.deletionTimestamp"}}
    for moment, seconds in (("2026-01-01T00:00:30Z", 30), ("2025-12-31T00:00:00Z", 0)):
        assert stage(delay=delay).delay({"metadata": {"deletionTimestamp": moment}}, NOW, Random(1)) == seconds


def test_weights() -> None:
    """One of those that match, as often as its weight says; evenly when none has any."""
    rng = Random(1)
    heavy = stage(weight=1, weightFrom={"expressionFrom": ".metadata.annotations.weight"})
    light, never, other = stage(weight=5), stage(), stage(selector=None)
    drawn = [choose([heavy, light, never, other], POD, rng) for _ in range(200)]
    assert 70 < drawn.count(heavy) < 130
    assert drawn.count(heavy) + drawn.count(light) == 200
    assert {choose([never, heavy], {"metadata": {}}, rng) for _ in range(20)} == {heavy}
    assert len({choose([never, light], POD, rng) for _ in range(20)}) == 1
    assert choose([other], POD, rng) is None


def test_steps_of_both_generations() -> None:
    """`next` announces, changes finalizers, patches and deletes, in that order; `steps` are as they stand."""
    event = {"type": "Warning", "reason": "R", "message": "m"}
    first = stage(next={"delete": True, "statusTemplate": "a: 1", "finalizers": {"empty": True}, "event": event})
    assert [type(step) for step in first.steps] == [Announce, Finalizers, Patch, Delete]
    second = stage(
        steps=[{"patch": {"template": "{}", "root": "status", "type": "merge"}}, {"delete": True}], next=None
    )
    assert [type(step) for step in second.steps] == [Patch, Delete]
    assert stage(next={"finalizers": {"add": [{"value": "a"}], "remove": [{"value": "b"}]}}).steps == (
        Finalizers(("a",), ("b",)),
    )


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            HEAD + "  next:\n    statusTemplate: |\n      a: 1\n      {{ Foo }}\n",
            'stage:9: function "Foo" is not supported',
        ),
        (HEAD + "  nexx: {}\n", "stage:6: nexx is not supported; there are resourceRef, selector, weight"),
        (HEAD + "  next:\n    event: {kind: x}\n", "stage:7: kind is not supported; there are type, reason, message"),
        (HEAD, "stage:4: either next or steps is required"),
        (HEAD + "  next: {}\n  weight: much\n", "stage:7: must be a whole number"),
        (HEAD + "  next: {delete: 1}\n", "stage:6: must be true or false"),
        (HEAD.replace("Pod", "Job") + "  next: {}\n", "stage:5: must be one of Node, Pod, not 'Job'"),
        (HEAD.replace("v1alpha1", "v2") + "  next: {}\n", "stage:1: must be a Stage of kwok.x-k8s.io/v1alpha1"),
        (
            HEAD + "  next: {}\n  selector:\n    matchExpressions:\n    - key: .a | length\n      operator: Exists\n",
            "stage:9: '.a | length': 'length' is not supported",
        ),
        (
            HEAD + "  next: {}\n  selector:\n    matchExpressions:\n    - {key: .a, operator: In}\n",
            "stage:9: In takes some values",
        ),
        (HEAD + "  next: {\n", "stage: error converting YAML to JSON: yaml: line"),
    ],
)
def test_what_is_refused(manifest: str, message: str) -> None:
    """What cannot be played is not accepted, and the error says where it stands."""
    with pytest.raises(StageError) as caught:
        load_stages([manifest])
    assert str(caught.value).startswith(message)


def test_where_errors_stand(tmp_path: Path) -> None:
    """In a file by its name and line, also in a later document; in a document by the path."""
    file = tmp_path / "stages.yaml"
    file.write_text(HEAD + "  next: {}\n---\n" + HEAD + "  next: {}\n  delay: {seconds: 1}\n")
    with pytest.raises(StageError, match=rf"{file}:14: seconds is not supported"):
        load_stages([file])
    with pytest.raises(StageError, match=r"s spec\.next\.statusTemplate line 2: undefined variable"):
        stage(next={"statusTemplate": "a: 1\nb: {{ $x }}"})

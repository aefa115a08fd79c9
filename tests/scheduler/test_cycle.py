"""Whole decisions under the default profile: which node, which words, and that reuse changes nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from minik8s.scheduler.cycle import Decision, Refusal, Scheduling, nodes_to_find, signature
from minik8s.scheduler.info import PodInfo

HOST = "kubernetes.io/hostname"


def term(key: str = HOST, **labels: str) -> Any:
    return {"topologyKey": key, "labelSelector": {"matchLabels": labels}}


def near(*terms: Any) -> Any:
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def away(*terms: Any) -> Any:
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def required(*expressions: Any, **fields: Any) -> Any:
    terms = [{"matchExpressions": list(expressions), **fields}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def test_no_nodes(world: Any, pod: Any) -> None:
    """A cluster without nodes has its own message."""
    assert world().why(pod("p")) == "no nodes available to schedule pods"


def test_message_counts_reasons_in_sorted_order(world: Any, node: Any, pod: Any) -> None:
    """Each node gives its first plugin's reasons; they are counted and sorted as text."""
    taint = {"key": "k", "effect": "NoSchedule"}
    nodes = [node("a", cpu="1"), node("b", taints=[taint]), node("c", taints=[taint]), node("d", unschedulable=True)]
    assert world(nodes).why(pod("p", requests={"cpu": "2"})) == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, 2 node(s) had untolerated taint(s)."
    )


def test_all_lacking_resources_are_named(world: Any, node: Any, pod: Any) -> None:
    """One node may lack several things, its pod slots among them."""
    message = world([node("a", pods="0")]).why(pod("p", requests={"cpu": "9", "memory": "9Gi", "x.io/gpu": "1"}))
    assert message == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Insufficient x.io/gpu, 1 Too many pods."
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"nodeName": "z"}, "node(s) didn't match the requested node name"),
        ({"nodeSelector": {"disk": "ssd"}}, "node(s) didn't match Pod's node affinity/selector"),
        (
            {"affinity": required({"key": "disk", "operator": "Exists"})},
            "node(s) didn't match Pod's node affinity/selector",
        ),
        ({"ports": [80]}, "node(s) didn't have free ports for the requested pod ports"),
        ({"affinity": near(term(app="none"))}, "node(s) didn't match pod affinity rules"),
        ({"affinity": away(term(app="web"))}, "node(s) didn't match pod anti-affinity rules"),
        ({"labels": {"app": "shy"}}, "node(s) didn't satisfy existing pods anti-affinity rules"),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
                ]
            },
            "node(s) didn't match pod topology spread constraints (missing required label)",
        ),
    ],
)
def test_reasons(world: Any, node: Any, pod: Any, spec: Any, reason: str) -> None:
    """Every filter speaks upstream's words."""
    resident = pod("old", labels={"app": "web"}, ports=[80], nodeName="a", affinity=away(term(app="shy")))
    assert world([node("a")], [resident]).why(pod("p", **spec)) == f"0/1 nodes are available: 1 {reason}."


def test_named_nodes_leave_the_others_unsatisfied(world: Any, node: Any, pod: Any) -> None:
    """A daemon set's pod looks at its own node only; the others are counted as excluded."""
    fields = [{"key": "metadata.name", "operator": "In", "values": ["b"]}]
    wanted = pod("p", requests={"cpu": "3"}, affinity=required(matchFields=fields))
    where = world([node("a"), node("b"), node("c")])
    assert where.place(wanted) == "b"
    again = {**wanted, "metadata": {**wanted["metadata"], "uid": "2", "name": "q"}}
    assert where.why(again) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_emptiest_node_is_preferred(world: Any, node: Any, pod: Any) -> None:
    """LeastAllocated: the node with most room left wins."""
    busy = pod("old", requests={"cpu": "3", "memory": "6Gi"}, nodeName="a")
    assert world([node("a"), node("b")], [busy]).place(pod("p")) == "b"


def test_preferred_node_affinity_outweighs(world: Any, node: Any, pod: Any) -> None:
    """A preferred term draws the pod to the node that meets it, though it is fuller."""
    wish = {"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    busy = pod("old", requests={"cpu": "2"}, nodeName="a")
    assert world([node("a", labels={"disk": "ssd"}), node("b")], [busy]).place(pod("p", affinity=affinity)) == "a"


def test_soft_taints_repel(world: Any, node: Any, pod: Any) -> None:
    """PreferNoSchedule costs points, but does not keep the pod off the last node."""
    soft = [{"key": "k", "effect": "PreferNoSchedule"}]
    busy = pod("old", requests={"cpu": "2"}, nodeName="b")
    assert world([node("a", taints=soft), node("b")], [busy]).place(pod("p")) == "b"
    assert world([node("a", taints=soft)]).place(pod("p")) == "a"


def test_images_attract(world: Any, node: Any, pod: Any) -> None:
    """A node that has the pod's large image is preferred among equals."""
    big = node("b")
    big["status"]["images"] = [{"names": ["x:latest"], "sizeBytes": 2_000_000_000}]
    assert world([node("a"), big, node("c")]).place(pod("p")) == "b"


def test_affinity_group_founds_itself(world: Any, node: Any, pod: Any) -> None:
    """The first pod of a self-affine group may go anywhere; the rest follow it."""
    where = world([node("a"), node("b"), node("c")])
    first = where.place(pod("p0", labels={"app": "g"}, affinity=near(term(app="g"))))
    assert {where.place(pod(f"p{i}", labels={"app": "g"}, affinity=near(term(app="g")))) for i in (1, 2, 3)} == {first}


def test_anti_affinity_gives_one_a_node(world: Any, node: Any, pod: Any) -> None:
    """Three pods that repel each other take three nodes; the fourth waits."""
    where = world([node("a"), node("b"), node("c")])
    pods = [pod(f"p{i}", labels={"app": "g"}, affinity=away(term(app="g"))) for i in range(4)]
    assert {where.place(p) for p in pods[:3]} == {"a", "b", "c"}
    assert where.why(pods[3]) == "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."


def test_affinity_respects_namespaces(world: Any, node: Any, pod: Any) -> None:
    """A term means its own namespace unless it names or selects others."""
    other = pod("old", namespace="other", labels={"app": "g"}, nodeName="a")
    where = world([node("a"), node("b")], [other])
    where.cache.set_namespace("other", {"metadata": {"name": "other", "labels": {"team": "x"}}})
    assert isinstance(where.decide(pod("p", affinity=near(term(app="g")))), Refusal)
    named = {**term(app="g"), "namespaces": ["other"]}
    selected = {**term(app="g"), "namespaceSelector": {"matchLabels": {"team": "x"}}}
    for wish in (named, selected):
        found = where.decide(pod("p", affinity=near(wish)))
        assert isinstance(found, Decision)
        assert found.node == "a"


def test_preferred_pod_affinity_and_its_opposite(world: Any, node: Any, pod: Any) -> None:
    """Preferred terms attract to and repel from the domain of matching pods."""
    wish = [{"weight": 50, "podAffinityTerm": term("zone", app="db")}]
    nodes = [node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"})]
    db = pod("db", labels={"app": "db"}, requests={"cpu": "1"}, nodeName="a")
    key = "preferredDuringSchedulingIgnoredDuringExecution"
    assert world(nodes, [db]).place(pod("p", affinity={"podAffinity": {key: wish}})) == "a"
    assert world(nodes, [db]).place(pod("p", affinity={"podAntiAffinity": {key: wish}})) == "b"


def test_spread_keeps_the_skew(world: Any, node: Any, pod: Any) -> None:
    """DoNotSchedule with maxSkew 1 never lets two zones differ by more than one, whatever the nodes' load."""
    nodes = [node("a1", labels={"zone": "a"}), node("a2", labels={"zone": "a"}), node("b1", labels={"zone": "b"})]
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    rule["labelSelector"] = {"matchLabels": {"app": "g"}}
    where, zones = world(nodes), {"a": 0, "b": 0}
    for i in range(8):
        zones[where.place(pod(f"p{i}", labels={"app": "g"}, topologySpreadConstraints=[rule]))[0]] += 1
        assert abs(zones["a"] - zones["b"]) <= 1


def test_soft_spread_prefers_the_emptier_zone(world: Any, node: Any, pod: Any) -> None:
    """ScheduleAnyway draws to where fewer matching pods are."""
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    rule["labelSelector"] = {"matchLabels": {"app": "g"}}
    nodes = [node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"})]
    old = [pod("o", labels={"app": "g"}, nodeName="b"), pod("heavy", requests={"cpu": "1"}, nodeName="a")]
    assert world(nodes, old).place(pod("p", labels={"app": "g"}, topologySpreadConstraints=[rule])) == "a"


@pytest.mark.parametrize(("nodes", "expected"), [(50, 50), (100, 100), (1000, 420), (5000, 500), (6000, 300)])
def test_nodes_to_find(nodes: int, expected: int) -> None:
    """Upstream's adaptive percentage: 50 % falling to 5 %, at least 100 nodes."""
    assert nodes_to_find(nodes) == expected


def test_reuse_decides_as_well_as_starting_over(world: Any, node: Any, pod: Any) -> None:
    """With verdicts reused, every pod gets as good a score as a decision from scratch would have found."""
    rng = Random(7)
    where = world([node(f"n{i}", cpu=str(rng.choice((2, 4, 8)))) for i in range(30)])
    for i in range(150):
        shape = rng.choice(({"cpu": "250m"}, {"cpu": "500m", "memory": "1Gi"}, {"memory": "100Mi"}))
        wanted = PodInfo(pod(f"p{i}", requests=shape))
        fresh = Scheduling(where.profile, where.cache, Random(i)).decide(wanted)
        reused = where.scheduling.decide(wanted)
        if isinstance(fresh, Refusal):
            assert isinstance(reused, Refusal)
            assert reused.diagnosis == fresh.diagnosis
            continue
        assert isinstance(reused, Decision)
        assert reused.score == fresh.score
        where.cache.assume(wanted, reused.node)
        if i % 10 == 9:
            where.cache.remove_pod(f"uid-p{i - 5}")
        if i % 25 == 24:
            where.cache.set_node(node(f"n{i % 30}", cpu="6", unschedulable=i % 2 == 0))


def test_waiting_replicas_share_one_diagnosis(world: Any, node: Any, pod: Any) -> None:
    """Equal pods that fit nowhere get the same object, until something changes."""
    where = world([node("a")])
    first, second = (where.decide(pod(f"p{i}", requests={"cpu": "9"})) for i in range(2))
    assert first.diagnosis is second.diagnosis
    where.cache.set_node(node("a", cpu="16"))
    assert isinstance(where.decide(pod("p2", requests={"cpu": "9"})), Decision)


def test_large_clusters_are_filled_evenly(world: Any, node: Any, pod: Any) -> None:
    """Sampling does not keep replicas of one class on the first sample of nodes."""
    where = world([node(f"n{i}") for i in range(300)])
    placed = [where.place(pod(f"p{i}", requests={"cpu": "100m"})) for i in range(300)]
    assert len(set(placed)) > 250


def test_signature_ignores_what_no_plugin_reads(pod: Any) -> None:
    """Name and labels do not part two replicas; a request does, and labels do where terms look at them."""
    one, two = PodInfo(pod("a", labels={"i": "1"})), PodInfo(pod("b", labels={"i": "2"}))
    assert signature(one, {}) == signature(two, {})
    assert signature(one, {"i": 1}) != signature(two, {"i": 1})
    assert signature(one, {}) != signature(PodInfo(pod("c", requests={"cpu": "1"})), {})

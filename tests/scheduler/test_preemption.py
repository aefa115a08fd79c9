"""Making room: who is evicted, where, and what is said when nobody can be."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.cycle import Decision, Refusal
from minik8s.scheduler.framework import Nomination
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaultpreemption import DefaultPreemption


def preempt(where: Any, wanted: Any, budgets: Any = ()) -> tuple[Nomination | None, str]:
    refusal = where.decide(wanted)
    assert isinstance(refusal, Refusal)
    return DefaultPreemption(lambda: budgets).post_filter(
        refusal.state, PodInfo(wanted), where.cache, where.profile, refusal.diagnosis, refusal.statuses
    )


def test_nobody_to_evict(world: Any, node: Any, pod: Any) -> None:
    """Equal priorities: nodes that are merely full have no victims, nodes that never fit are not helped."""
    where = world([node("a"), node("b", unschedulable=True)], [pod("old", nodeName="a", requests={"cpu": "4"})])
    nomination, message = preempt(where, pod("p", requests={"cpu": "1"}))
    assert nomination == Nomination("", ())
    assert message == (
        "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )


def test_same_words_when_victims_exist_elsewhere(world: Any, node: Any, pod: Any) -> None:
    """Looking at every node says the same as knowing beforehand that nobody can be evicted."""
    lesser = pod("low", nodeName="b", priority=-1)
    where = world([node("a"), node("b", unschedulable=True)], [pod("old", nodeName="a", requests={"cpu": "4"}), lesser])
    assert preempt(where, pod("p", requests={"cpu": "1"}))[1] == (
        "preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )


def test_least_important_victims_go(world: Any, node: Any, pod: Any) -> None:
    """The node whose most important victim matters least is chosen, and no more pods go than must."""
    pods = [
        pod("a1", nodeName="a", priority=50, requests={"cpu": "4"}),
        pod("b1", nodeName="b", priority=10, requests={"cpu": "2"}),
        pod("b2", nodeName="b", priority=20, requests={"cpu": "2"}),
    ]
    nomination, message = preempt(world([node("a"), node("b")], pods), pod("p", priority=100, requests={"cpu": "2"}))
    assert message == ""
    assert nomination is not None
    assert nomination.node == "b"
    assert [victim["metadata"]["name"] for victim in nomination.victims] == ["b1"]


def test_never_preempting(world: Any, node: Any, pod: Any) -> None:
    """preemptionPolicy Never is respected and said."""
    where = world([node("a")], [pod("old", nodeName="a", requests={"cpu": "4"})])
    nomination, message = preempt(where, pod("p", priority=9, preemptionPolicy="Never", requests={"cpu": "1"}))
    assert nomination is None
    assert message == "preemption: not eligible due to preemptionPolicy=Never."


def test_victims_are_awaited(world: Any, node: Any, pod: Any) -> None:
    """While victims on the nominated node still terminate, nobody else is evicted."""
    old = pod("old", nodeName="a", requests={"cpu": "4"})
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    old["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
    wanted = pod("p", priority=9, requests={"cpu": "1"})
    wanted["status"]["nominatedNodeName"] = "a"
    nomination, message = preempt(world([node("a")], [old]), wanted)
    assert nomination is None
    assert message == "preemption: not eligible due to a terminating pod on the nominated node."


def test_anti_affinity_can_be_resolved(world: Any, node: Any, pod: Any) -> None:
    """The dry run counts without the victims: a repelling pod of lower priority makes way."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    where = world([node("a")], [pod("old", nodeName="a", labels={"app": "x"})])
    nomination, _ = preempt(where, pod("p", priority=9, affinity=affinity))
    assert nomination is not None
    assert [victim["metadata"]["name"] for victim in nomination.victims] == ["old"]


def test_room_made_is_kept(world: Any, node: Any, pod: Any) -> None:
    """Pods that come no earlier in rank do not take the room that a nominated pod waits for; it itself may."""
    where = world([node("a")])
    winner = pod("winner", priority=9, requests={"cpu": "4"})
    where.cache.nominate(PodInfo(winner), "a")
    assert where.why(pod("thief", requests={"cpu": "1"})) == "0/1 nodes are available: 1 Insufficient cpu."
    assert isinstance(where.decide(winner), Decision)
    where.cache.denominate("uid-winner")
    assert isinstance(where.decide(pod("thief", requests={"cpu": "1"})), Decision)


def budget(allowed: int, *, disrupted: Any = None, **labels: str) -> Any:
    status = {"disruptionsAllowed": allowed, "disruptedPods": disrupted or {}}
    return {"metadata": {"namespace": "ns"}, "spec": {"selector": {"matchLabels": labels}}, "status": status}


@pytest.mark.parametrize(
    ("budgets", "where", "victims"),
    [
        ([], "b", ["b1"]),
        ([budget(0, app="b")], "a", ["a1"]),
        ([budget(0, app="a"), budget(0, app="b")], "b", ["b1"]),
        ([budget(1, app="b")], "b", ["b1"]),
        ([budget(0, app="b", disrupted={"b1": "now"})], "b", ["b1"]),
        ([budget(0)], "b", ["b1"]),
    ],
)
def test_disruption_budgets(world: Any, node: Any, pod: Any, budgets: Any, where: str, victims: list[str]) -> None:
    """A node whose victims break no budget is preferred to one with less important victims; budgets that select
    nothing, allow it, or have counted the pod already do not matter."""
    pods = [
        pod("a1", nodeName="a", priority=50, labels={"app": "a"}, requests={"cpu": "4"}),
        pod("b1", nodeName="b", priority=10, labels={"app": "b"}, requests={"cpu": "4"}),
    ]
    nomination, _ = preempt(world([node("a"), node("b")], pods), pod("p", priority=100, requests={"cpu": "4"}), budgets)
    assert nomination is not None
    assert (nomination.node, [v["metadata"]["name"] for v in nomination.victims]) == (where, victims)


def test_protected_pods_are_spared_first(world: Any, node: Any, pod: Any) -> None:
    """Of two pods, one of which has to go, the protected one stays, though it matters less."""
    pods = [
        pod("mighty", nodeName="a", priority=50, requests={"cpu": "2"}),
        pod("protected", nodeName="a", priority=1, labels={"app": "db"}, requests={"cpu": "2"}),
    ]
    wanted = pod("p", priority=100, requests={"cpu": "2"})
    nomination, _ = preempt(world([node("a")], pods), wanted, [budget(0, app="db")])
    assert nomination is not None
    assert [v["metadata"]["name"] for v in nomination.victims] == ["mighty"]


def test_spreading_counts_without_the_victims(world: Any, node: Any, pod: Any) -> None:
    """A skewed zone is open to a pod that evicts what skews it."""
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    rule["labelSelector"] = {"matchLabels": {"app": "g"}}
    nodes = [node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}, cpu="1")]
    old = pod("old", nodeName="a", labels={"app": "g"})
    wanted = pod("p", priority=9, labels={"app": "g"}, topologySpreadConstraints=[rule], requests={"cpu": "2"})
    nomination, _ = preempt(world(nodes, [old]), wanted)
    assert nomination is not None
    assert (nomination.node, nomination.victims[0]["metadata"]["name"]) == ("a", "old")


def test_the_nominated_node_comes_first(world: Any, node: Any, pod: Any) -> None:
    """A pod for which room was made goes there, though another node would score better."""
    where = world([node("a"), node("b")], [pod("old", nodeName="a", requests={"cpu": "2"})])
    wanted = pod("p", priority=9, requests={"cpu": "1"})
    wanted["status"]["nominatedNodeName"] = "a"
    assert where.place(wanted) == "a"

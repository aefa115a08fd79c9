"""What the scheduler believes about nodes, kept by increments."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal
from minik8s.scheduler.framework import Event
from minik8s.scheduler.info import PodInfo


def test_assumed_pod_is_confirmed_without_counting_twice(world: Any, node: Any, pod: Any) -> None:
    """The informer's report of an assumed pod confirms it and changes nothing else."""
    cache = world([node("a")]).cache
    wanted = pod("p", requests={"cpu": "1"})
    cache.assume(PodInfo(wanted), "a")
    generation = cache.generation
    cache.set_pod({**wanted, "spec": {**wanted["spec"], "nodeName": "a"}})
    assert cache.node("a").requested_cpu == 1000
    assert cache.generation == generation
    cache.forget("uid-p")
    assert cache.node("a").requested_cpu == 1000, "a confirmed pod is not forgotten"


def test_a_label_that_nobody_counts_by_changes_nothing(world: Any, node: Any, pod: Any) -> None:
    """The zone that a pod gets when it is bound does not make its node look changed; a label that a tally counts by
    does, and is counted."""
    where = world([node("a", labels={"zone": "z"})])
    away = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
    terms = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [away]}}
    wary, cache = pod("w", affinity=terms), where.cache
    assert isinstance(where.decide(wary), Decision)
    old = pod("p", nodeName="a", labels={"app": "y"})
    cache.set_pod(old)
    generation = cache.generation
    cache.set_pod({**old, "metadata": {**old["metadata"], "labels": {"app": "y", "zone": "z"}}})
    assert cache.generation == generation
    assert cache.pod("uid-p").labels == {"app": "y", "zone": "z"}
    cache.set_pod({**old, "metadata": {**old["metadata"], "labels": {"app": "x", "zone": "z"}}})
    assert isinstance(where.decide(wary), Refusal)


def test_forgetting_frees_the_node(world: Any, node: Any, pod: Any) -> None:
    """A failed binding takes back everything the assumption added."""
    cache = world([node("a")]).cache
    cache.assume(PodInfo(pod("p", requests={"cpu": "1", "x.io/gpu": "2"}, ports=[80])), "a")
    cache.forget("uid-p")
    info = cache.node("a")
    assert (info.requested_cpu, info.pods, info.ports, info.requested["x.io/gpu"]) == (0, {}, {}, 0)


def test_node_updates_say_what_changed(node: Any) -> None:
    """Each kind of change is told apart; a heartbeat is none."""
    cache = Cache()
    assert cache.set_node(node("a")) == Event.NODE_ADD
    assert not cache.set_node(node("a"))
    assert cache.set_node(node("a", cpu="8")) == Event.NODE_ALLOCATABLE
    assert cache.set_node(node("a", cpu="8", labels={"x": "y"})) == Event.NODE_LABEL
    assert cache.set_node(node("a", cpu="8", labels={"x": "y"}, unschedulable=True)) == Event.NODE_TAINT


def test_changed_since_gives_only_what_changed(node: Any, pod: Any) -> None:
    """A reader that remembers a generation sees each node changed since, once, the last change first."""
    cache = Cache()
    for name in "abc":
        cache.set_node(node(name))
    seen = cache.generation
    for i, name in enumerate("aca"):
        cache.assume(PodInfo(pod(f"p{i}")), name)
    assert [info.name for info in cache.changed_since(seen)] == ["a", "c"]
    assert not list(cache.changed_since(cache.generation))


def test_pods_outlive_their_node_object(node: Any, pod: Any) -> None:
    """A node that goes and comes back still has the pods that never left."""
    cache = Cache()
    cache.set_node(node("a", taints=[{"key": "k", "effect": "PreferNoSchedule"}]))
    cache.set_pod(pod("p", nodeName="a", requests={"cpu": "1"}))
    cache.remove_node("a")
    assert cache.node("a") is None
    assert not cache.nodes
    assert not cache.has_soft_taints
    cache.set_node(node("a"))
    assert cache.node("a").requested_cpu == 1000


def test_lowest_priority_follows_the_pods(node: Any, pod: Any) -> None:
    """The lowest priority on any node is known without a scan."""
    cache = Cache()
    cache.set_node(node("a"))
    cache.set_pod(pod("p", nodeName="a", priority=5))
    cache.set_pod(pod("q", nodeName="a", priority=-3))
    assert cache.lowest_priority == -3
    cache.remove_pod("uid-q")
    assert cache.lowest_priority == 5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["assume", "forget", "confirm", "remove"]), st.integers(0, 4), st.integers(0, 2))
    )
)
def test_sums_equal_a_recount(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whatever order, each node's sums are those of the pods on it."""
    cache = Cache()
    for i in range(3):
        status = {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}}
        cache.set_node({"metadata": {"name": f"n{i}"}, "status": status})
    for action, number, where in steps:
        uid, requests = f"u{number}", {"cpu": f"{number + 1}00m", "x.io/y": "1"}
        ports = [{"hostPort": 80 + number}]
        container = {"name": "c", "resources": {"requests": requests}, "ports": ports}
        doc = {"metadata": {"name": uid, "namespace": "n", "uid": uid}, "spec": {"containers": [container]}}
        if action == "assume" and cache.pod(uid) is None:
            cache.assume(PodInfo(doc), f"n{where}")
        elif action == "forget":
            cache.forget(uid)
        elif action == "confirm":
            cache.set_pod({**doc, "spec": {**doc["spec"], "nodeName": f"n{where}"}})
        elif action == "remove":
            cache.remove_pod(uid)
    for info in cache.nodes:
        pods = info.pods.values()
        assert info.requested_cpu == sum(p.cpu for p in pods)
        assert info.requested.get("x.io/y", 0) == len(pods)
        assert set(info.ports) == {port for p in pods for port in p.ports}

"""Tallies that are kept current, and decisions that rest on them, against counting anew."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal, Scheduling
from minik8s.scheduler.framework import CycleState
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.interpodaffinity import InterPodAffinity
from minik8s.scheduler.plugins.podtopologyspread import PodTopologySpread
from minik8s.scheduler.plugins.registry import default_plugins
from minik8s.scheduler.profile import Profile
from tests.scheduler.conftest import make_node, make_pod

HOST = "kubernetes.io/hostname"
GROUP = {"matchLabels": {"app": "g"}}
AWAY = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": HOST, "labelSelector": GROUP}]
    }
}
NEAR = {
    "podAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 7, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": GROUP}}
        ]
    }
}


def spread(key: str, when: str = "DoNotSchedule", skew: int = 1, **more: Any) -> Any:
    return {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": GROUP, **more}


def zoned(number: int) -> Any:
    return make_node(f"n{number}", labels={"zone": f"z{number % 3}"})


STEP = st.tuples(
    st.sampled_from(["come", "come", "come", "go", "end", "relabel", "leave", "back"]),
    st.integers(0, 5),
    st.integers(0, 4),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_kept_counts_equal_counting_anew(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens to pods and nodes: each zone holds what a count of the pods on its nodes says, and the
    domains from which an anti-affine pod is kept are those of the pods that say so."""
    cache = Cache()
    for i in range(5):
        cache.set_node(zoned(i))
    spreading, affine = PodTopologySpread(), InterPodAffinity()
    wanted = PodInfo(make_pod("w", labels={"app": "g"}, topologySpreadConstraints=[spread("zone")], affinity=AWAY))
    for action, number, where in steps:
        uid, labels = f"uid-p{number}", {"app": "g" if number % 2 else "x"}
        doc = make_pod(f"p{number}", labels=labels, nodeName=f"n{where}", affinity=AWAY if number > 2 else {})
        match action:
            case "come":
                cache.set_pod(doc)
            case "go":
                cache.remove_pod(uid)
            case "end" if (known := cache.pod(uid)) is not None:
                cache.set_pod({**known.doc, "metadata": {**known.doc["metadata"], "deletionTimestamp": "now"}})
            case "relabel":
                cache.set_node(make_node(f"n{where}", labels={"zone": f"z{number % 3}"}))
            case "leave":
                cache.remove_node(f"n{where}")
            case "back":
                cache.set_node(zoned(where))
        state = CycleState()
        spreading.pre_filter(state, wanted, cache)
        affine.pre_filter(state, wanted, cache)
        zones = {("zone", node.labels["zone"]): 0 for node in cache.nodes}
        existing: Counter[tuple[str, str]] = Counter()
        for node in cache.nodes:
            for pod in node.pods.values():
                zones[("zone", node.labels["zone"])] += pod.labels == {"app": "g"} and not pod.terminating
                existing[(HOST, node.name)] += bool(pod.terms)
        (constraint,) = state.data[spreading.name].listed
        assert constraint.tally.counts == {zone: count for zone, count in zones.items() if count}
        assert constraint.tally.domains.size == len(zones)
        assert constraint.tally.fewest == min(zones.values(), default=0)
        tally = state.data[affine.name].listed.get("existing")
        assert (tally.counts if tally else {}) == +existing


SHAPES: dict[str, Any] = {
    "hard zones": {"topologySpreadConstraints": [spread("zone")]},
    "hard hosts": {"topologySpreadConstraints": [spread(HOST)]},
    "soft zones and hosts": {
        "topologySpreadConstraints": [spread("zone", "ScheduleAnyway"), spread(HOST, "ScheduleAnyway")]
    },
    "away": {"affinity": AWAY},
    "near": {"affinity": NEAR},
    "both": {"affinity": {**AWAY, **NEAR}, "topologySpreadConstraints": [spread("zone", skew=2)]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_reuse_decides_as_well_as_starting_over(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared verdicts give the score, or the reasons, that a decision from scratch would have given."""
    scratch: list[Scheduling] = []
    start_over = Scheduling._from_scratch

    def counted(self: Scheduling, *args: Any, **options: Any) -> Any:
        scratch.append(self)
        return start_over(self, *args, **options)

    monkeypatch.setattr(Scheduling, "_from_scratch", counted)
    rng, cache = Random(3), Cache()
    for i in range(12):
        cache.set_node(zoned(i))
    profile = Profile("default-scheduler", default_plugins())
    kept = Scheduling(profile, cache, Random(1))
    for i in range(40):
        pod = PodInfo(make_pod(f"p{i}", labels={"app": "g"}, requests={"cpu": "100m"}, **SHAPES[shape]))
        other = make_pod(f"o{i}", labels={"app": rng.choice("gx")}, nodeName=f"n{rng.randrange(12)}")
        if i % 4 == 1:
            cache.set_pod(other)
        elif i % 7 == 6:
            cache.remove_pod(f"uid-o{i - 1}")
            cache.remove_pod(f"uid-p{i - 3}")
        fresh, found = Scheduling(profile, cache, Random(i)).decide(pod), kept.decide(pod)
        if isinstance(fresh, Refusal):
            assert isinstance(found, Refusal)
            assert found.diagnosis == fresh.diagnosis
            continue
        assert isinstance(found, Decision)
        assert found.score == fresh.score
        cache.assume(pod, found.node)
    assert scratch.count(kept) < 10, "the others shared verdicts"


def test_a_tried_change_leaves_the_tally_alone() -> None:
    """What a dry run adds is seen by the clone and by nobody else."""
    cache = Cache()
    for i in range(2):
        cache.set_node(zoned(i))
    plugin, wanted = PodTopologySpread(), PodInfo(make_pod("w", topologySpreadConstraints=[spread("zone")]))
    state, node = CycleState(), cache.nodes[0]
    plugin.pre_filter(state, wanted, cache)
    tried = state.clone()
    plugin.add_pod(tried, wanted, PodInfo(make_pod("o", labels={"app": "g"})), node)
    (before,), (after,) = state.data[plugin.name].listed, tried.data[plugin.name].listed
    assert (before.held(node), after.held(node)) == (0, 1)


def test_another_selector_costs_no_look_at_everything() -> None:
    """Once nodes are divided and a label is indexed, a first count looks at the pods it may mean and at no node."""

    class Watched(list[Any]):
        walks = 0

        def __iter__(self) -> Any:
            Watched.walks += 1
            return super().__iter__()

    cache = Cache()
    for i in range(6):
        cache.set_node(zoned(i))
        cache.set_pod(make_pod(f"p{i}", labels={"app": f"a{i % 3}"}, nodeName=f"n{i}"))
    plugin = PodTopologySpread()
    looked_at: list[int] = []
    for app in ("a0", "a1", "none"):
        constraint = {**spread("zone"), "labelSelector": {"matchLabels": {"app": app}}}
        wanted = PodInfo(make_pod("w", labels={"app": app}, topologySpreadConstraints=[constraint]))
        cache.nodes = Watched(cache.nodes)
        Watched.walks = 0
        state = CycleState()
        plugin.pre_filter(state, wanted, cache)
        (counted,) = state.data[plugin.name].listed
        looked_at.append(Watched.walks)
        assert sum(counted.tally.counts.values()) == (0 if app == "none" else 2)
        assert counted.tally.fewest == 0
    assert looked_at[0] > 0
    assert looked_at[1:] == [0, 0]


def test_candidates() -> None:
    """Whatever the selector: nobody whom it means is left out, and the rarest label decides who is looked at."""
    cache = Cache()
    cache.set_node(zoned(0))
    for i in range(12):
        labels = {"app": f"a{i % 2}", "tier": f"t{i % 6}"}
        cache.set_pod(make_pod(f"p{i}", labels=labels, nodeName="n0"))

    def found(selector: Any, namespaces: Any = ("ns",)) -> list[str]:
        return sorted(pod.key for pod, _ in cache.pods.candidates(namespaces, LabelSelector.from_object(selector)))

    assert len(found({"matchLabels": {"app": "a1"}})) == 6
    assert len(found({"matchLabels": {"app": "a1", "tier": "t3"}})) == 2
    assert len(found({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a1"]}]})) == 6
    assert len(found({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a1"]}]})) == 12
    assert found({"matchLabels": {"app": "a1"}}, ("elsewhere",)) == []
    assert len(found({"matchLabels": {"app": "a1"}}, None)) == 12
    cache.remove_pod("uid-p1")
    assert len(found({"matchLabels": {"app": "a1"}})) == 5

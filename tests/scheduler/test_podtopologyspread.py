"""PodTopologySpread against its definition, counted by brute force; and golden scores."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.framework import SKIP, CycleState
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.podtopologyspread import PodTopologySpread
from tests.scheduler.conftest import make_node, make_pod

TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}
NODES = st.lists(st.tuples(st.sampled_from("abc-"), st.booleans(), st.booleans()), min_size=1, max_size=6)
"""Zone (- for none), whether tainted, whether it has the label that the pod selects by."""
PODS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("gx"), st.booleans()), max_size=12)
"""Node, label, whether it is ending."""
RULES = st.fixed_dictionaries(
    {"maxSkew": st.integers(1, 3)},
    optional={
        "minDomains": st.integers(1, 4),
        "nodeAffinityPolicy": st.sampled_from(["Honor", "Ignore"]),
        "nodeTaintsPolicy": st.sampled_from(["Honor", "Ignore"]),
    },
)


def by_definition(rule: Any, nodes: Any, pods: Any, label: str) -> list[str | None]:
    """What the API says of each node: the reason why not, None for a node that keeps the skew."""

    def counts(node: tuple[str, bool, bool]) -> bool:
        zone, tainted, selected = node
        if zone == "-" or (rule.get("nodeAffinityPolicy", "Honor") == "Honor" and not selected):
            return False
        return rule.get("nodeTaintsPolicy", "Ignore") == "Ignore" or not tainted

    domains = {node[0]: 0 for node in nodes if counts(node)}
    for where, its_label, ending in pods:
        if where < len(nodes) and counts(nodes[where]) and its_label == "g" and not ending:
            domains[nodes[where][0]] += 1
    fewest = min(domains.values(), default=0) if len(domains) >= rule.get("minDomains", 1) else 0
    verdicts: list[str | None] = []
    for zone, _, _ in nodes:
        if zone == "-":
            verdicts.append("node(s) didn't match pod topology spread constraints (missing required label)")
        elif domains.get(zone, 0) + (label == "g") - fewest > rule["maxSkew"]:
            verdicts.append("node(s) didn't match pod topology spread constraints")
        else:
            verdicts.append(None)
    return verdicts


@settings(max_examples=150, deadline=None)
@given(NODES, PODS, RULES, st.sampled_from("gx"))
def test_skew_is_as_defined(nodes: Any, pods: Any, rule: Any, label: str) -> None:
    """Any nodes, pods and policies: the filter says what the definition says."""
    cache = Cache()
    for i, (zone, tainted, selected) in enumerate(nodes):
        labels = ({} if zone == "-" else {"zone": zone}) | ({"fit": "yes"} if selected else {})
        cache.set_node(make_node(f"n{i}", labels=labels, taints=[TAINT] if tainted else []))
    for i, (where, its_label, ending) in enumerate(pods):
        doc = make_pod(f"p{i}", labels={"app": its_label}, nodeName=f"n{where}")
        if ending:
            doc["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        cache.set_pod(doc)
    constraint = {"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", **rule}
    constraint["labelSelector"] = {"matchLabels": {"app": "g"}}
    wanted = make_pod("w", labels={"app": label}, nodeSelector={"fit": "yes"}, topologySpreadConstraints=[constraint])
    plugin, state, info = PodTopologySpread(), CycleState(), PodInfo(wanted)
    plugin.pre_filter(state, info, cache)
    found = [plugin.filter(state, info, node) for node in cache.nodes]
    assert [status and status.message for status in found] == by_definition(rule, nodes, pods, label)


@pytest.mark.parametrize(
    ("pods", "raw", "points"),
    [
        ({}, [6, 6, 6], [100, 100, 100]),
        ({"a1": 1}, [9, 7, 6], [66, 88, 100]),
        ({"a1": 2, "b": 1}, [12, 9, 9], [75, 100, 100]),
    ],
)
def test_default_constraints_score(pods: dict[str, int], raw: list[int], points: list[int]) -> None:
    """Golden scores of the built-in constraints (hosts 3, zones 5) on three nodes in two zones: pods on the host weigh
    ln 5, those in the zone ln 4, and 2 and 4 are added for the skew that is tolerated."""
    cache = Cache()
    zones = {"a1": "a", "a2": "a", "b": "b"}
    for name, zone in zones.items():
        cache.set_node(make_node(name, labels={"topology.kubernetes.io/zone": zone}))
    for name, number in pods.items():
        for i in range(number):
            cache.set_pod(make_pod(f"{name}-{i}", labels={"app": "g"}, nodeName=name))
    plugin = PodTopologySpread(lambda pod: LabelSelector.from_map({"app": "g"}))
    state, wanted = CycleState(), PodInfo(make_pod("w", labels={"app": "g"}))
    assert plugin.pre_filter(state, wanted, cache) is SKIP
    plugin.pre_score(state, wanted, cache, cache.nodes)
    scores = {node.name: plugin.score(state, wanted, node) for node in cache.nodes}
    assert list(scores.values()) == raw
    plugin.normalize(state, wanted, scores)
    assert list(scores.values()) == points

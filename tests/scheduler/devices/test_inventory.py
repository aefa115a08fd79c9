"""What is known of claims, classes and slices, and that nothing is given away twice."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.devices.slices import DeviceId
from minik8s.scheduler.info import NodeInfo
from tests.scheduler.devices.builders import DRIVER, allocation, claim, device, offer

A = DeviceId(DRIVER, "n", "a")
B = DeviceId(DRIVER, "n", "b")


def at(revision: int, doc: Any, **status: Any) -> Any:
    found = {**doc, "metadata": {**doc["metadata"], "resourceVersion": str(revision)}}
    return {**found, "status": status} if status else {k: v for k, v in found.items() if k != "status"}


def test_usage_follows_claims() -> None:
    """What a claim has counts once, until it has it no more or is gone."""
    world, doc = Inventory(), claim()
    held = at(2, doc, allocation=allocation(("n", "a")))
    world.set_claim(None, doc)
    assert not world.usage.is_used(A)
    world.set_claim(doc, held)
    world.set_claim(held, at(3, held, allocation=allocation(("n", "a")), reservedFor=[]))
    assert world.usage.is_taken(A)
    world.set_claim(held, at(4, doc))
    assert not world.usage.is_used(A)
    world.set_claim(None, at(5, doc, allocation=allocation(("n", "a"))))
    world.set_claim(at(6, held, allocation=allocation(("n", "a"))), None)
    assert not world.usage.is_used(A)
    assert world.claim("default", "c") is None


def test_a_decision_counts_before_it_is_written() -> None:
    """From the decision on, whatever the informer shows meanwhile; and no longer when it is taken back."""
    world, doc = Inventory(), claim()
    world.set_claim(None, doc)
    world.reserve("uid-c", allocation(("n", "a")))
    world.set_claim(doc, at(2, doc))
    assert world.usage.is_taken(A)
    assert world.is_pending("uid-c")
    world.release(doc)
    assert not world.usage.is_used(A)
    assert not world.is_pending("uid-c")


def test_what_was_written_stands_before_it_is_seen() -> None:
    """An informer that lags behind does not undo what the API server has confirmed."""
    world, doc = Inventory(), claim()
    world.set_claim(None, doc)
    world.reserve("uid-c", allocation(("n", "a")))
    world.assume(at(5, doc, allocation=allocation(("n", "a"))))
    world.release(doc)
    world.set_claim(doc, at(3, doc))
    assert world.usage.is_taken(A)
    world.set_claim(doc, at(6, doc))
    assert not world.usage.is_used(A)


def test_a_claim_of_the_same_name() -> None:
    """A new claim has nothing of what its predecessor had."""
    world, doc = Inventory(), claim()
    world.set_claim(None, at(1, doc, allocation=allocation(("n", "a"))))
    other = {**at(2, doc, allocation=allocation(("n", "b")))}
    other["metadata"] = {**other["metadata"], "uid": "new"}
    world.set_claim(doc, other)
    assert (world.usage.is_used(A), world.usage.is_used(B)) == (False, True)
    world.reserve("uid-c", allocation(("n", "a")))
    world.release(doc)
    assert (world.usage.is_used(A), world.usage.is_used(B)) == (False, True)


def node(name: str, **labels: str) -> NodeInfo:
    info = NodeInfo(name)
    info.set_node({"metadata": {"name": name, "labels": labels}})
    return info


def test_pools_are_kept_and_renewed() -> None:
    """They are gathered once for a node, and again when its labels, its slices or others of their pools change."""
    world, n = Inventory(), node("n")
    first = offer(device("a"), pool="p", count=2)
    world.set_slice(None, first)
    [pool] = world.pools(n)
    assert pool.is_incomplete
    assert world.pools(n)[0] is pool
    second = offer(device("b"), name="m", node="m", pool="p", count=2)
    world.set_slice(None, second)
    [pool] = world.pools(n)
    assert [each.id.device for each in pool.devices] == ["a"]
    world.set_slice(second, None)
    assert world.pools(n)[0].is_incomplete
    newer = offer(device("c"), name="p-1", pool="p", generation=2)
    world.set_slice(first, newer)
    assert [each.id.device for each in world.pools(n)[0].devices] == ["c"]
    world.set_slice(newer, None)
    assert world.pools(n) == []


def test_pools_by_labels() -> None:
    """A slice for nodes with a label is there as soon as a node has it."""
    world = Inventory()
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}
    world.set_slice(None, offer(device("a"), pool="p", nodeSelector=terms))
    assert world.pools(node("n")) == []
    assert len(world.pools(node("n", gpu="yes"))) == 1
    assert world.pools(node("n")) == []


def named(name: str, created: str, resource: str = "example.com/gpu") -> Any:
    spec = {"extendedResourceName": resource} if resource else {}
    return {"metadata": {"name": name, "creationTimestamp": f"2026-01-0{created}T00:00:00Z"}, "spec": spec}


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        ([], None),
        ([named("a", "1", "")], None),
        ([named("a", "1")], "a"),
        ([named("a", "2"), named("b", "1")], "a"),
        ([named("b", "1"), named("a", "1")], "a"),
    ],
)
def test_classes_of_extended_resources(classes: Any, found: str | None) -> None:
    """The newest class that names the resource; every class stands for a resource of its own name too."""
    world = Inventory()
    for each in classes:
        world.set_class(None, each)
    chosen = world.class_for("example.com/gpu")
    assert (chosen and chosen["metadata"]["name"]) == found
    for each in classes:
        assert world.class_for(f"deviceclass.resource.kubernetes.io/{each['metadata']['name']}") is each
        world.set_class(each, None)
    assert world.class_for("example.com/gpu") is None


def test_a_class_that_changes_its_resource() -> None:
    """It no longer stands for the old one."""
    world = Inventory()
    world.set_class(None, named("a", "1"))
    world.set_class(named("a", "1"), named("a", "1", "example.com/other"))
    assert world.class_for("example.com/gpu") is None
    assert world.class_for("example.com/other") is not None


def test_uids_come_from_the_seed() -> None:
    """Equal seeds, equal names of shares; no two alike."""
    one, other = Inventory(Random(1)), Inventory(Random(1))
    assert [one.new_uid() for _ in range(3)] == [other.new_uid() for _ in range(3)]
    assert one.new_uid() != one.new_uid()

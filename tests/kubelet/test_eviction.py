"""Who is evicted when a node runs short of something, and who is not let in, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.kubelet.eviction import DISK, MEMORY, Candidate, Pressure, next_victim, turned_away

MIB = 1 << 20


def pod(name: str, *, memory: str = "", priority: int = 0, created: int = 0, **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"memory": memory}} if memory else {}
    containers = [{"name": "c", "resources": resources}]
    metadata = {"name": name, "creationTimestamp": f"2026-01-01T00:00:{created:02}Z"}
    return {"metadata": metadata, "spec": {"containers": containers, "priority": priority, **spec}}


def using(found: dict[str, Any], mib: int) -> Candidate:
    return Candidate(found, {"c": mib * MIB})


@pytest.mark.parametrize(
    ("pressure", "candidates", "victim"),
    [
        (MEMORY, [using(pod("a", memory="100Mi"), 50), using(pod("b", priority=9), 1)], "b"),
        (MEMORY, [using(pod("a", priority=1), 90), using(pod("b"), 10)], "b"),
        (MEMORY, [using(pod("a", memory="100Mi"), 150), using(pod("b", memory="10Mi"), 80)], "b"),
        (MEMORY, [using(pod("a", memory="100Mi"), 10), using(pod("b", memory="100Mi"), 20)], "b"),
        (MEMORY, [using(pod("a", priority=2_000_000_000), 900)], None),
        (DISK, [using(pod("a"), 900), using(pod("b", created=1), 1)], "b"),
        (DISK, [using(pod("a", priority=1, created=1), 1), using(pod("b"), 1)], "b"),
        (DISK, [], None),
    ],
)
def test_victims(pressure: Pressure, candidates: list[Candidate], victim: str | None) -> None:
    """Short of memory: who exceeds its request, by priority, by how much; of disk: by priority, the youngest."""
    found = next_victim(pressure, candidates)
    assert (found and found.pod["metadata"]["name"]) == victim


TOLERATES = {"tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]}


@pytest.mark.parametrize(
    ("asking", "pressures", "says"),
    [
        (pod("p"), [], ""),
        (pod("p"), ["MemoryPressure"], "[MemoryPressure]"),
        (pod("p", memory="1Mi"), ["MemoryPressure"], ""),
        (pod("p", **TOLERATES), ["MemoryPressure"], ""),
        (pod("p", memory="1Mi"), ["MemoryPressure", "DiskPressure"], "[DiskPressure MemoryPressure]"),
        (pod("p", priority=2_000_000_000), ["DiskPressure"], ""),
    ],
)
def test_who_is_turned_away(asking: dict[str, Any], pressures: list[str], says: str) -> None:
    """A node that is only short of memory takes pods that ask for some, or tolerate it; critical ones always."""
    rejection = turned_away(asking, pressures)
    assert (rejection.message if rejection else "") == (f"The node had condition: {says}. " if says else "")

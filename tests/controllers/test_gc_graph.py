"""The ownership graph: what each change of the world sets off."""

from __future__ import annotations

from typing import Any

from minik8s.controllers.gc_graph import ABSENT_CACHE, Graph


def obj(
    uid: str, *owners: tuple[str, bool], namespace: str = "ns", finalizers: Any = None, deleted: bool = False
) -> Any:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": f"name-{owner}", "uid": owner, "blockOwnerDeletion": blocks}
        for owner, blocks in owners
    ]
    metadata: dict[str, Any] = {"name": f"name-{uid}", "uid": uid, "ownerReferences": references}
    if namespace:
        metadata["namespace"] = namespace
    if finalizers:
        metadata["finalizers"] = finalizers
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_nothing_to_do_for_what_is_in_order() -> None:
    """An owner and then its dependent set nothing off."""
    graph = Graph()
    assert graph.observe(obj("o")) == []
    assert graph.observe(obj("d", ("o", True))) == []


def test_an_unseen_owner_is_looked_at_once() -> None:
    """The first reference to an unseen owner asks for a look at it, the second does not."""
    graph = Graph()
    assert graph.observe(obj("d", ("o", True))) == [("delete", "o")]
    assert graph.observe(obj("e", ("o", True))) == []
    assert graph.observe(obj("o")) == []
    assert graph.nodes["o"].observed


def test_a_virtual_owner_goes_with_its_last_dependent() -> None:
    """Nothing is remembered of an owner that was never seen and that nobody refers to any more."""
    graph = Graph()
    graph.observe(obj("d", ("o", True)))
    graph.forget("d")
    assert graph.nodes == {}
    graph.observe(obj("d", ("o", True)))
    graph.observe(obj("d"))
    assert list(graph.nodes) == ["d"]


def test_dependents_of_the_deleted() -> None:
    """When an owner goes all its dependents are looked at, and it is remembered as absent."""
    graph = Graph()
    for change in (obj("o"), obj("d", ("o", True)), obj("e", ("o", False))):
        graph.observe(change)
    assert graph.forget("o") == [("delete", "d"), ("delete", "e")]
    assert graph.is_absent("o", "ns")
    assert not graph.is_absent("o", "elsewhere")


def test_foreground() -> None:
    """Beginning looks at every dependent and the owner; each that goes, or stops blocking, looks at the owner again."""
    graph = Graph()
    for change in (obj("o"), obj("d", ("o", True)), obj("e", ("o", False)), obj("f", ("o", True))):
        graph.observe(change)
    begun = graph.observe(obj("o", finalizers=["foregroundDeletion"], deleted=True))
    assert begun == [("delete", "d"), ("delete", "e"), ("delete", "f"), ("delete", "o")]
    assert graph.observe(obj("o", finalizers=["foregroundDeletion"], deleted=True)) == []
    assert [node.uid for node in graph.nodes["o"].blocking()] == ["d", "f"]
    assert graph.forget("d") == [("delete", "o")]
    assert graph.observe(obj("f", ("o", False))) == [("delete", "o")]
    assert graph.nodes["o"].blocking() == []


def test_orphan() -> None:
    """An orphaning deletion is announced once."""
    graph = Graph()
    graph.observe(obj("o"))
    assert graph.observe(obj("o", finalizers=["orphan"], deleted=True)) == [("orphan", "o")]
    assert graph.observe(obj("o", finalizers=["orphan"], deleted=True)) == []


def test_references_that_name_something_else() -> None:
    """Whoever refers to a uid by a wrong namespace is looked at, whether it comes before or after the owner."""
    graph = Graph()
    graph.observe(obj("early", ("o", True), namespace="wrong"))
    assert graph.observe(obj("o")) == [("delete", "early"), ("misplaced", "early")]
    assert graph.observe(obj("late", ("o", True), namespace="wrong")) == [("delete", "late"), ("misplaced", "late")]


def test_not_found_where_one_dependent_said() -> None:
    """A virtual owner that is not where its first dependent says is looked for where the next one says."""
    graph = Graph()
    graph.observe(obj("a", ("o", True), namespace="ns1"))
    graph.observe(obj("b", ("o", True), namespace="ns2"))
    node = graph.nodes["o"]
    assert graph.not_found(node) == [("delete", "a"), ("delete", "o")]
    assert node.namespace == "ns2"
    assert graph.not_found(node) == [("delete", "b")]
    assert "o" not in graph.nodes


def test_absence_is_remembered_for_a_while() -> None:
    """The memory of absent owners is bounded; the oldest goes first."""
    graph = Graph()
    for number in range(ABSENT_CACHE + 1):
        graph.note_absent(str(number), "")
    assert not graph.is_absent("0", "any")
    assert graph.is_absent("1", "any")

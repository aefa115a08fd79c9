"""Laws of patches and of ownership, over random documents of a kind that has every way of merging in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from minik8s.machinery.errors import Conflict
from minik8s.machinery.fieldset import SELF, difference, is_member, is_valid, union
from minik8s.machinery.managedfields import owned_by, read_managers, track_update
from minik8s.machinery.patch.apply import Applied, Kind, apply_config
from minik8s.machinery.patch.typed import UNTYPED, Node, Relation, shape_node
from minik8s.schema.structural import root_type
from tests.machinery.patch.generation import LAWS, NAMES, VALUES, Doc

NOW = datetime(2026, 11, 23, 10, 35, 8, tzinfo=UTC)
TEXT: Doc = {"type": "string"}
PORT: Doc = {
    "type": "object",
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "name": TEXT,
        "hosts": {"type": "array", "items": TEXT},
    },
}
SPEC: Doc = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "map": {"type": "object", "additionalProperties": TEXT},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": TEXT},
        "atoms": {"type": "array", "items": TEXT},
        "selector": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": TEXT},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": PORT,
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
WIDGET = root_type({"type": "object", "properties": {"spec": SPEC}}, "example.com/v1.Widget")
KIND = Kind("example.com/v1", WIDGET)
ROOT = shape_node(WIDGET)

MAPS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=3)
PORTS = st.lists(
    st.fixed_dictionaries(
        {"port": st.integers(1, 3)},
        optional={
            "protocol": st.sampled_from(["TCP", "UDP"]),
            "name": VALUES,
            "hosts": st.lists(VALUES, min_size=1, max_size=2),
        },
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda port: (port["port"], port.get("protocol", "TCP")),
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 3),
        "map": MAPS,
        "set": st.lists(VALUES, min_size=1, max_size=3, unique=True),
        "atoms": st.lists(VALUES, min_size=1, max_size=3),
        "selector": MAPS,
        "ports": PORTS,
        "free": st.dictionaries(NAMES, MAPS | VALUES, min_size=1, max_size=2),
    },
)
CONFIGS = st.builds(
    lambda spec, labels: {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", **({"labels": labels} if labels else {})},
        **({"spec": spec} if spec else {}),
    },
    SPECS,
    st.dictionaries(NAMES, VALUES, max_size=2),
)


class Server:
    """One Widget and the writes to it."""

    def __init__(self) -> None:
        self.live: Doc | None = None
        self.now = NOW

    @property
    def entries(self) -> list[Doc]:
        return (self.live or {}).get("metadata", {}).get("managedFields", [])

    def apply(self, manager: str, config: Doc, *, force: bool = False) -> Doc:
        before = copy.deepcopy((self.live, config))
        done: Applied = apply_config(self.live, config, self.entries, KIND, manager=manager, now=self.now, force=force)
        assert (self.live, config) == before, "an apply changes neither the object nor the configuration"
        return self._store(done.document, done.managed_fields)

    def update(self, manager: str, new: Doc) -> Doc:
        entries = track_update(self.live, new, self.entries, manager, KIND.api_version, "", self.now, WIDGET)
        return self._store(new, entries)

    def _store(self, document: Doc, entries: list[Doc]) -> Doc:
        metadata = {k: v for k, v in document["metadata"].items() if k != "managedFields"}
        self.live = {**document, "metadata": {**metadata, "uid": "1", "managedFields": entries}}
        self.now += timedelta(seconds=1)
        return self.live

    def content(self) -> Any:
        """The object without managedFields, empty maps and the order of lists that have none."""
        live = self.live or {}
        metadata = {k: v for k, v in live["metadata"].items() if k != "managedFields"}
        return normal({**live, "metadata": metadata}, ROOT)


def normal(value: Any, node: Node) -> Any:
    """A value without what does not count: the order of sets and keyed lists, maps that are empty, default keys."""
    if isinstance(value, dict):
        members = {k: normal(v, node.child(k) or UNTYPED) for k, v in value.items()}
        return {k: v for k, v in members.items() if v not in ({}, [])}
    if node.relation is Relation.KEYED:
        full = [{"protocol": "TCP", **normal(item, node.item_node)} for item in value]
        return sorted(full, key=lambda item: (item["port"], item["protocol"]))
    return sorted(value) if node.relation is Relation.SET else value


def value_at(value: Any, path: tuple[str, ...], node: Node) -> Any:
    """What stands at a path of FieldsV1 elements; None where nothing does."""
    for element in path:
        if value is None:
            return None
        if element.startswith("f:"):
            value, node = value.get(element[2:]), node.child(element[2:]) or UNTYPED
        else:
            value = next((item for item in value if node.element(item) == element), None)
            node = node.item_node
    return normal(value, node) if value is not None else None


def members(fields: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, below in fields.items():
        if key != SELF:
            if is_member(below):
                yield (*prefix, key)
            yield from members(below, (*prefix, key))


@LAWS
@given(CONFIGS, CONFIGS, st.booleans())
def test_apply_is_idempotent(live: Doc, config: Doc, exists: bool) -> None:
    """Applying the same configuration again changes nothing, not even a time."""
    server = Server()
    if exists:
        server.update("u", live)
    first = server.apply("m", config, force=True)
    assert server.apply("m", config) == first


@LAWS
@given(CONFIGS, CONFIGS)
def test_what_is_applied_is_there(live: Doc, config: Doc) -> None:
    """After a forced apply every field that the configuration states has the stated value, and is the applier's."""
    server = Server()
    server.update("u", live)
    server.apply("m", config, force=True)
    [entry] = [e for e in server.entries if e["manager"] == "m"] or [{"fieldsV1": {}}]
    for path in members(entry["fieldsV1"]):
        stated = value_at(config, path, ROOT)
        if not isinstance(stated, dict):
            assert value_at(server.live, path, ROOT) == stated, path


@LAWS
@given(CONFIGS, CONFIGS)
def test_giving_everything_up_undoes_an_apply(live: Doc, config: Doc) -> None:
    """An apply without conflicts, followed by an empty one of the same manager, leaves the object as it was."""
    server = Server()
    server.update("u", live)
    before = server.content()
    try:
        server.apply("m", config)
    except Conflict:
        assume(False)
    server.apply("m", {key: config[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": "w"}})
    assert server.content() == before
    assert [e["manager"] for e in server.entries] == (["u"] if server.entries else [])


@LAWS
@given(CONFIGS, CONFIGS)
def test_appliers_that_agree_converge(one: Doc, two: Doc) -> None:
    """Whoever comes first: two appliers without conflict make the same object, and own the same of it."""
    results = []
    for first, second in ((("a", one), ("b", two)), (("b", two), ("a", one))):
        server = Server()
        server.apply(*first)
        try:
            server.apply(*second)
        except Conflict as conflict:
            results.append((conflict.code, None))
            continue
        results.append((server.content(), {e["manager"]: e["fieldsV1"] for e in server.entries}))
    assert results[0] == results[1]


@LAWS
@given(st.lists(st.tuples(st.sampled_from("abu"), CONFIGS), min_size=1, max_size=5))
def test_nobody_owns_what_is_not_there_or_not_his(writes: list[tuple[str, Doc]]) -> None:
    """After any writes: no entry is empty, every owned field exists, nothing is owned below an atomic value, and
    everything in the object is somebody's."""
    server = Server()
    for manager, config in writes:
        if manager == "u":
            server.update(manager, {**config, "metadata": {**config["metadata"], "uid": "1"}})
        else:
            server.apply(manager, config, force=True)
        entries = server.entries
        assert len({(e["manager"], e["operation"]) for e in entries}) == len(entries)
        for entry in entries:
            assert entry["fieldsV1"]
            for path in members(entry["fieldsV1"]):
                node = ROOT
                for element in path[:-1]:
                    node = (node.child(element[2:]) if element[:2] == "f:" else node.item_node) or UNTYPED
                    assert not node.is_leaf, f"{path} is below an atomic value"
                assert value_at(server.live, path, ROOT) is not None, f"{path} is not there"


@LAWS
@given(CONFIGS, st.lists(st.tuples(st.sampled_from("uvw"), CONFIGS), max_size=4))
def test_updates_leave_nothing_without_owner(first: Doc, writes: list[tuple[str, Doc]]) -> None:
    """What a create and any updates have written is owned, each field by exactly one of the writers."""
    server = Server()
    server.update("creator", first)
    assume(server.entries)
    for manager, new in writes:
        server.update(manager, {**new, "metadata": {**new["metadata"], "uid": "1"}})
    if not server.entries:
        return
    fresh = Server()
    assert server.live is not None
    fresh.update(
        "all", {**server.live, "metadata": {k: v for k, v in server.live["metadata"].items() if k == "labels"}}
    )
    everything = owned_by(read_managers(fresh.entries) or ())
    owned = owned_by(read_managers(server.entries) or ())
    leaves = [path for path in members(everything) if not isinstance(value_at(server.live, path, ROOT), dict | list)]
    for path in leaves:
        holders = [e["manager"] for e in server.entries if path in set(members(e["fieldsV1"]))]
        assert len(holders) == 1, f"{path} of {owned} is owned by {holders}"


@LAWS
@given(CONFIGS, CONFIGS)
def test_entries_survive_the_wire(live: Doc, config: Doc) -> None:
    """managedFields read back are what was written, and their field sets are valid tries whose algebra is exact."""
    server = Server()
    server.update("u", live)
    server.apply("m", config, force=True)
    entries = json.loads(json.dumps(server.entries))
    managers = read_managers(entries)
    assert managers is not None
    assert [manager.to_entry() for manager in managers] == server.entries
    for left in managers:
        assert is_valid(left.fields)
        for right in managers:
            assert difference(union(left.fields, right.fields), right.fields) == difference(left.fields, right.fields)

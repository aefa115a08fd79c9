"""What the suite of stores and its parts stand on: a codec, a key, and a store for each test.

The part about narrow watches (of a namespace, a term, one key) stands here as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from minik8s.store.protocol import Change, Key, Revision, Store, Watch


class PlainCodec:
    """Values are dicts; a value's words for properties are its items under "terms"; encodings are counted."""

    def __init__(self) -> None:
        self.encodings = 0

    def stamp(self, value: dict[str, Any], revision: Revision) -> dict[str, Any]:
        return {**value, "revision": revision}

    def encode(self, value: dict[str, Any]) -> bytes:
        self.encodings += 1
        return repr(value).encode()

    def word(self, key: Key, value: dict[str, Any], property: str) -> str | None:
        word: str | None = value.get("terms", {}).get(property)
        return word


def pod(name: str, namespace: str = "default") -> Key:
    return ("pods", namespace, name)


async def take(watch: Watch, count: int) -> list[Change]:
    """The next `count` changes of a watch; fails the test when they do not come."""
    changes: list[Change] = []
    with anyio.fail_after(5):
        while len(changes) < count:
            changes += await anext(watch)
    assert len(changes) == count, "a watch delivered more than was written"
    return changes


class NarrowWatches:
    """Watches of less than all of a resource."""

    def make_store(self, codec: PlainCodec, history: int) -> Store:
        """A fresh store that keeps at least `history` changes."""
        raise NotImplementedError

    def run(self, body: Callable[[Store, PlainCodec], Awaitable[None]], history: int = 1000) -> None:
        """Runs a test's body on a store of its own."""

        async def main() -> None:
            codec = PlainCodec()
            store = self.make_store(codec, history)
            try:
                await body(store, codec)
            finally:
                await store.aclose()

        anyio.run(main)

    def test_watch_of_a_namespace_and_of_a_term(self) -> None:
        """Narrow watches see exactly what concerns them, also an object that leaves their term."""

        async def body(store: Store, codec: PlainCodec) -> None:
            start = store.revision
            await store.put(pod("a"), {"terms": {"node": "n1"}})
            inside = store.watch(("pods", "other"), after=start)
            on_node = store.watch(("pods",), after=start, term=("node", "n1"))
            await store.put(pod("b", "other"), {"terms": {"node": "n2"}})
            await store.put(pod("a"), {"terms": {"node": "n2"}})
            await store.put(pod("a"), {"terms": {"node": "n2"}, "more": 1})
            assert [c.entry.key[2] for c in await take(inside, 1)] == ["b"], "promise 4: bounded by namespace"
            changes = await take(on_node, 2)
            assert [c.entry.key[2] for c in changes] == ["a", "a"], "promise 4: old or new entry has the term"
            found = await store.range(("pods",), term=("node", "n2"))
            assert [e.key[2] for e in found.entries] == ["a", "b"], "a range by term finds what has it now"

        self.run(body)

    def test_a_whole_key_is_a_prefix(self) -> None:
        """Ranges, past ones too, and watches of one key see that key alone."""

        async def body(store: Store, codec: PlainCodec) -> None:
            for name, namespace in (("a", "default"), ("a", "other"), ("ab", "default")):
                await store.put(pod(name, namespace), {"terms": {"node": "n1"}})
            before = store.revision
            watch = store.watch(pod("a"), after=0)
            await store.put(pod("a"), {"terms": {"node": "n2"}})
            await store.delete(pod("ab"))
            changes = await take(watch, 2)
            assert [c.entry.key for c in changes] == [pod("a"), pod("a")], "promise 4: bounded by the key"
            for at in (before, None):
                page = await store.range(pod("a"), at=at)
                assert [e.key for e in page.entries] == [pod("a")], "promise 3: bounded by the key"
            assert store.scan(pod("a"), term=("node", "n1")) == [], "a term narrows a key as well"
            assert store.scan(pod("ab")) == [], "what is gone is not found"

        self.run(body)

    def test_a_narrow_watch_reaches_back_behind_another(self) -> None:
        """Who watches the same from an earlier revision gets what lies between; who was there first misses nothing."""

        async def body(store: Store, codec: PlainCodec) -> None:
            start = store.revision
            await store.put(pod("a", "other"), {})
            late = store.watch(("pods", "other"), after=store.revision)
            await store.put(pod("b", "other"), {})
            assert [c.entry.key[2] for c in await take(late, 1)] == ["b"], "promise 4: nothing from before"
            early = store.watch(("pods", "other"), after=start)
            await store.put(pod("c", "other"), {})
            assert [c.entry.key[2] for c in await take(early, 3)] == ["a", "b", "c"], "promise 4: nothing is missing"
            assert [c.entry.key[2] for c in await take(late, 1)] == ["c"], "promise 4: nothing twice"

        self.run(body)

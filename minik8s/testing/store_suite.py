"""The suite that every `Store` passes: one test for each promise of store/protocol.py, named in its failure.

class TestMyStore(StoreSuite):
    def make_store(self, codec, history): return MyStore(codec, history=history)
"""

from __future__ import annotations

import anyio
import pytest

from minik8s.store.protocol import Compacted, FutureRevision, Prefix, RevisionMismatch, Store, Watch
from minik8s.testing.store_narrow import NarrowWatches, PlainCodec, pod, take


class StoreSuite(NarrowWatches):
    """Subclass it and give it a store to test."""

    def test_every_write_raises_the_revision_by_one(self) -> None:
        """Creates, updates and deletions share one revision, and each takes the next."""

        async def body(store: Store, codec: PlainCodec) -> None:
            start = store.revision
            first = await store.put(pod("a"), {})
            second = await store.put(("nodes", "", "n"), {})
            third = await store.put(pod("a"), {})
            gone = await store.delete(pod("a"))
            revisions = [first.modified, second.modified, third.modified, gone.modified if gone else 0]
            assert revisions == [start + 1, start + 2, start + 3, start + 4], "promise 1: one revision for the store"
            assert store.revision == start + 4, "promise 1: the store's revision is that of its last write"
            assert third.created == first.modified, "an entry remembers the revision it was created at"

        self.run(body)

    def test_what_has_happened(self) -> None:
        """`changes` is what a watch would deliver, without waiting; `occupied` says whether anything is left."""

        async def body(store: Store, codec: PlainCodec) -> None:
            assert not store.occupied("pods"), "nothing has been written"
            first = await store.put(pod("a"), {})
            second = await store.put(pod("a"), {"n": 2})
            await store.put(("nodes", "", "n"), {})
            assert store.occupied("pods"), "a pod is there"
            assert [c.revision for c in store.changes("pods", 0)] == [first.modified, second.modified]
            assert store.changes("pods", second.modified) == [], "nothing has happened since"
            await store.delete(pod("a"))
            (gone,) = store.changes("pods", second.modified)
            assert (gone.deleted, gone.entry.key) == (True, pod("a")), "the deletion has happened"
            assert not store.occupied("pods"), "the last pod has gone"
            assert store.changes("jobs", 0) == [], "a resource that nobody has written"
            await store.compact(store.revision)
            with pytest.raises(Compacted):
                store.changes("pods", 0)

        self.run(body)

    def test_who_waits_for_the_first(self) -> None:
        """`when_occupied` calls once, after the first entry stands, and not at all where there is one already."""

        async def body(store: Store, codec: PlainCodec) -> None:
            calls: list[bool] = []
            await store.put(("nodes", "", "n"), {})
            assert store.when_occupied("pods", lambda: calls.append(store.occupied("pods"))) == store.revision
            await store.put(("nodes", "", "m"), {})
            assert calls == [], "there is no pod"
            await store.put(pod("a"), {})
            await store.put(pod("b"), {})
            assert calls == [True], "the first pod is there"
            assert store.when_occupied("pods", lambda: calls.append(False)) is None, "there are pods"

        self.run(body)

    def test_scans_are_ranges(self) -> None:
        """What a scan finds, by prefix and by term, is what a range finds at the same moment."""

        async def body(store: Store, codec: PlainCodec) -> None:
            for name, node in (("a", "n1"), ("b", "n2"), ("c", "n1")):
                await store.put(pod(name), {"terms": {"node": node}})
            await store.put(pod("d", "other"), {"terms": {"node": "n1"}})
            for prefix in (("pods",), ("pods", "default")):
                for term in (None, ("node", "n1"), ("node", "n9")):
                    page = await store.range(prefix, term=term)
                    assert store.scan(prefix, term=term) == page.entries, "a scan and a range differ"
            assert store.scan(("nodes",)) == [], "a resource that nobody has written"

        self.run(body)

    def test_the_last_change_of_resources(self) -> None:
        """It is the newest write to any of them, deletions included, and others' writes do not count."""

        async def body(store: Store, codec: PlainCodec) -> None:
            assert store.last_change(["pods", "nodes"]) == 0, "nothing has been written"
            first = await store.put(pod("a"), {})
            other = await store.put(("nodes", "", "n"), {})
            assert store.last_change(["pods"]) == first.modified, "another resource's write does not count"
            assert store.last_change(["pods", "nodes"]) == other.modified, "the newest of several counts"
            await store.delete(pod("a"))
            assert store.last_change(["pods"]) == store.revision, "a deletion is a change"

        self.run(body)

    def test_sizes_count_what_there_is(self) -> None:
        """Objects of each resource, in all namespaces; a resource that has none left is not named."""

        async def body(store: Store, codec: PlainCodec) -> None:
            assert store.sizes() == {}, "nothing has been written"
            for key in (pod("a"), ("pods", "elsewhere", "a"), ("nodes", "", "n")):
                await store.put(key, {})
            assert store.sizes() == {"pods": 2, "nodes": 1}, "every namespace counts"
            prefixes: tuple[Prefix, ...] = (("pods",), ("pods", "elsewhere"), ("pods", "nowhere"), ("secrets",))
            assert [store.size(prefix) for prefix in prefixes] == [2, 1, 0, 0], "`size` counts what is under a prefix"
            await store.delete(("nodes", "", "n"))
            assert store.sizes() == {"pods": 2}, "the last node has gone"

        self.run(body)

    def test_expect_zero_creates_only(self) -> None:
        """With expect=0 a second writer is refused and changes nothing."""

        async def body(store: Store, codec: PlainCodec) -> None:
            first = await store.put(pod("a"), {"n": 1}, expect=0)
            with pytest.raises(RevisionMismatch) as caught:
                await store.put(pod("a"), {"n": 2}, expect=0)
            assert caught.value.actual == first.modified, "promise 2: the mismatch names what was found"
            kept = await store.get(pod("a"))
            assert kept is not None, "promise 2: a refused write deletes nothing"
            assert kept.value["n"] == 1, "promise 2: a refused write changes nothing"
            assert store.revision == first.modified, "promise 2: a refused write takes no revision"

        self.run(body)

    def test_stale_expectations_are_refused(self) -> None:
        """An update and a deletion with an old revision both raise RevisionMismatch."""

        async def body(store: Store, codec: PlainCodec) -> None:
            first = await store.put(pod("a"), {})
            await store.put(pod("a"), {}, expect=first.modified)
            with pytest.raises(RevisionMismatch):
                await store.put(pod("a"), {}, expect=first.modified)
            with pytest.raises(RevisionMismatch):
                await store.delete(pod("a"), expect=first.modified)
            with pytest.raises(RevisionMismatch):
                await store.delete(pod("missing"), expect=7)
            assert await store.delete(pod("missing")) is None, "deleting nothing without expectation answers None"

        self.run(body)

    def test_range_is_ordered_and_bounded_by_its_prefix(self) -> None:
        """A range lists its prefix in order of namespace and name, and nothing else."""

        async def body(store: Store, codec: PlainCodec) -> None:
            for key in (pod("b"), pod("a", "z"), pod("a"), pod("c", "a"), ("pods2", "default", "x")):
                await store.put(key, {})
            everywhere = [e.key for e in (await store.range(("pods",))).entries]
            assert everywhere == [pod("c", "a"), pod("a"), pod("b"), pod("a", "z")], "ranges are ordered by key"
            inside = [e.key for e in (await store.range(("pods", "default"))).entries]
            assert inside == [pod("a"), pod("b")], "a namespace prefix bounds the range"

        self.run(body)

    def test_pages_of_a_past_revision_are_one_snapshot(self) -> None:
        """Reading on from a cursor at the first page's revision ignores what was written since."""

        async def body(store: Store, codec: PlainCodec) -> None:
            for name in "abcde":
                await store.put(pod(name), {"v": 1})
            first = await store.range(("pods",), limit=2)
            await store.put(pod("bb"), {"v": 2})
            await store.put(pod("d"), {"v": 2})
            await store.delete(pod("e"))
            assert first.remaining == 3, "a page counts what follows it"
            second = await store.range(("pods",), at=first.revision, after=first.after, limit=2)
            third = await store.range(("pods",), at=first.revision, after=second.after)
            names = [e.key[2] for page in (first, second, third) for e in page.entries]
            assert names == list("abcde"), "promise 3: pages at one revision are one snapshot"
            assert all(e.value["v"] == 1 for e in second.entries), "promise 3: values are those of the past revision"
            assert third.after is None, "the last page has no cursor"

        self.run(body)

    def test_unreachable_revisions_are_errors(self) -> None:
        """The future raises FutureRevision, compacted history Compacted."""

        async def body(store: Store, codec: PlainCodec) -> None:
            for name in "abc":
                await store.put(pod(name), {})
            with pytest.raises(FutureRevision):
                await store.range(("pods",), at=store.revision + 1)
            await store.compact(store.revision - 1)
            with pytest.raises(Compacted):
                await store.range(("pods",), at=store.revision - 2)
            assert len((await store.range(("pods",))).entries) == 3, "compaction keeps current values"

        self.run(body)

    def test_watch_is_ordered_complete_and_resumable(self) -> None:
        """A watch delivers every change once and in order; a second one goes on where the first stopped."""

        async def body(store: Store, codec: PlainCodec) -> None:
            start = store.revision
            await store.put(pod("a"), {})
            watch = store.watch(("pods",), after=start)
            await store.put(pod("b"), {})
            await store.put(("nodes", "", "n"), {})
            await store.delete(pod("a"))
            seen = await take(watch, 3)
            assert [(c.entry.key[2], c.deleted) for c in seen] == [("a", False), ("b", False), ("a", True)], (
                "promise 4: ordered and complete"
            )
            assert seen[2].old is not None, "promise 4: a deletion carries the old entry"
            assert seen[2].entry.value["revision"] == seen[2].revision, "promise 4: the last state has its own revision"
            watch.close()
            again = await take(store.watch(("pods",), after=seen[0].revision), 2)
            assert [c.revision for c in again] == [c.revision for c in seen[1:]], "promise 4: resumable, no repetition"

        self.run(body)

    def test_a_slow_watch_is_told_compacted(self) -> None:
        """A reader that history has left behind raises Compacted instead of missing changes silently."""

        async def body(store: Store, codec: PlainCodec) -> None:
            slow = store.watch(("pods",), after=store.revision)
            for index in range(100):
                await store.put(pod(f"p{index}"), {})
            with pytest.raises(Compacted), anyio.fail_after(5):
                await anext(slow)
            with pytest.raises(Compacted), anyio.fail_after(5):
                await anext(store.watch(("pods",), after=1))

        self.run(body, history=10)

    def test_a_cancelled_wait_loses_nothing(self) -> None:
        """A watch whose wait was cancelled delivers the next change as if nothing had happened."""

        async def body(store: Store, codec: PlainCodec) -> None:
            watch = store.watch(("pods",), after=store.revision)
            with anyio.move_on_after(0) as scope:
                await anext(watch)
            assert scope.cancelled_caught, "there was nothing to deliver yet"
            await store.put(pod("a"), {})
            assert [c.entry.key[2] for c in await take(watch, 1)] == ["a"], "a cancelled wait loses nothing"

        self.run(body)

    def test_poke_wakes_without_changes(self) -> None:
        """A poked watch returns an empty batch, and goes on."""

        async def body(store: Store, codec: PlainCodec) -> None:
            watch = store.watch(("pods",), after=store.revision)
            watch.poke()
            with anyio.fail_after(5):
                assert await anext(watch) == [], "a poke is an empty batch"
            await store.put(pod("a"), {})
            assert len(await take(watch, 1)) == 1, "a poked watch goes on"

        self.run(body)

    def test_closing_ends_watches(self) -> None:
        """Closing a watch, or the store, ends the iteration of whoever waits."""

        async def body(store: Store, codec: PlainCodec) -> None:
            ended: list[str] = []

            async def read(watch: Watch, name: str) -> None:
                async for _ in watch:
                    pass
                ended.append(name)

            one = store.watch(("pods",), after=store.revision)
            other = store.watch(("nodes",), after=store.revision)
            with anyio.fail_after(5):
                async with anyio.create_task_group() as group:
                    group.start_soon(read, one, "watch")
                    group.start_soon(read, other, "store")
                    await anyio.lowlevel.checkpoint()
                    one.close()
                    await store.aclose()
            assert sorted(ended) == ["store", "watch"], "closing ends the iteration"
            assert store.statistics().watchers == 0, "a closed watch holds nothing"

        self.run(body)

    def test_bytes_are_made_once(self) -> None:
        """An entry's encoding is computed at first use and shared by get, range and watch."""

        async def body(store: Store, codec: PlainCodec) -> None:
            watch = store.watch(("pods",), after=store.revision)
            await store.put(pod("a"), {})
            assert codec.encodings == 0, "promise 7: nothing is encoded before somebody asks"
            entry = await store.get(pod("a"))
            (listed,) = (await store.range(("pods",))).entries
            (change,) = await take(watch, 1)
            assert entry is not None
            assert entry.encoded is listed.encoded is change.entry.encoded, "promise 7: the bytes are shared"
            assert codec.encodings == 1, "promise 7: the bytes are made once"

        self.run(body)

    def test_statistics_count(self) -> None:
        """Statistics tell the revision, the keys and the writes."""

        async def body(store: Store, codec: PlainCodec) -> None:
            await store.put(pod("a"), {})
            await store.put(pod("b"), {})
            await store.delete(pod("a"))
            statistics = store.statistics()
            assert (statistics.keys, statistics.writes) == (1, 3)
            assert statistics.revision == store.revision

        self.run(body)

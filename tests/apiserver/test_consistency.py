"""What reads say agrees: a list, its pages, a watch from the beginning and one from any point in between."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LAWS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
NAMES = st.sampled_from("abcde")
WRITES = st.lists(
    st.tuples(st.sampled_from(["create", "update", "delete", "apply"]), NAMES, st.sampled_from("xyz")), max_size=12
)
PATH = "/api/v1/namespaces/default/configmaps"


async def write(server: Any, verb: str, name: str, value: str) -> None:
    """One write; that it may be refused does not matter here."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}}
    url = f"{PATH}/{name}"
    if verb == "create":
        await server.call("POST", PATH, body)
    elif verb == "update":
        await server.call("PUT", url, body)
    elif verb == "apply":
        await server.call("PATCH", f"{url}?fieldManager=m&force=true", body, type="application/apply-patch+yaml")
    else:
        await server.call("DELETE", url)


def replayed(state: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    """The objects by name after the events of a watch."""
    state = dict(state)
    for event in events:
        name, known = event["object"]["metadata"]["name"], event["object"]["metadata"]["name"] in state
        assert known == (event["type"] != "ADDED"), (
            f"{event['type']} of {name} while it is {'' if known else 'not '}there"
        )
        if event["type"] == "DELETED":
            del state[name]
        else:
            state[name] = event["object"]
    return state


async def watched(server: Any, version: str, count: int) -> list[Any]:
    """The next `count` events of a watch from a version."""
    if not count:
        return []
    async with server.watching(f"{PATH}?watch=true&resourceVersion={version}") as events:
        return [await events.next() for _ in range(count)]


def by_name(items: list[Any]) -> dict[str, Any]:
    """List items, which do not say their kind, as watch events show them."""
    return {item["metadata"]["name"]: {"kind": "ConfigMap", "apiVersion": "v1", **item} for item in items}


def test_a_list_is_a_watch_from_zero(start: Any) -> None:
    """A watch from zero shows what a list has; one from an older list's version leads from that to the present."""

    @LAWS
    @given(WRITES, WRITES)
    def run(first: Any, second: Any) -> None:
        async def body() -> None:
            async with start() as server:
                for one in first:
                    await write(server, *one)
                before = await server.ok("GET", PATH)
                revision = server.ctx.store.revision
                for one in second:
                    await write(server, *one)
                now = await server.ok("GET", PATH)
                present = by_name(now["items"])
                assert replayed({}, await watched(server, "0", len(present))) == present
                changes = server.ctx.store.revision - revision  # every revision is one change of a ConfigMap here
                past = by_name(before["items"])
                assert replayed(past, await watched(server, before["metadata"]["resourceVersion"], changes)) == present

        anyio.run(body)

    run()


def test_pages_are_one_list(start: Any) -> None:
    """Pages of any size are the list as it was at the first, whatever is written meanwhile; remaining counts down."""

    @LAWS
    @given(st.sets(st.sampled_from("abcdefgh")), st.integers(1, 9), WRITES)
    def run(names: set[str], limit: int, between: Any) -> None:
        async def body() -> None:
            async with start() as server:
                for name in sorted(names):
                    await write(server, "create", name, "0")
                whole = await server.ok("GET", PATH)
                items: list[Any] = []
                token, writes = "", list(between)
                while True:
                    page = await server.ok("GET", f"{PATH}?limit={limit}&continue={quote(token)}")
                    items += page["items"]
                    assert page["metadata"]["resourceVersion"] == whole["metadata"]["resourceVersion"]
                    token = page["metadata"].get("continue", "")
                    if not token:
                        break
                    assert len(page["items"]) == limit
                    assert page["metadata"]["remainingItemCount"] == len(whole["items"]) - len(items)
                    if writes:
                        await write(server, *writes.pop())
                assert items == whole["items"]

        anyio.run(body)

    run()

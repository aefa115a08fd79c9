"""Equal bodies make equal objects, whether the server works them out or casts them from the first one's mould."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from minik8s.api.resources import PODS
from minik8s.apiserver.admission.hooks import Review
from minik8s.machinery.errors import Forbidden
from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio

OF_ONE_OBJECT = ("name", "uid", "creationTimestamp", "resourceVersion")
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
NAMESPACE = "/api/v1/namespaces/default"


def pod(name: str = "", **metadata: Any) -> dict[str, Any]:
    named = {"name": name} if name else {"generateName": "web-"}
    labelled = {**named, "labels": {"app": "web"}, **metadata}
    return {"metadata": labelled, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def likeness(made: dict[str, Any]) -> dict[str, Any]:
    """What an object has in common with its equals: not its identity, dates and the name of its token volume."""
    metadata = {key: value for key, value in made["metadata"].items() if key not in OF_ONE_OBJECT}
    metadata["managedFields"] = [{**entry, "time": ""} for entry in metadata["managedFields"]]
    text = re.sub("kube-api-access-.....", "kube-api-access", json.dumps({**made, "metadata": metadata}))
    alike: dict[str, Any] = json.loads(text)
    return alike


async def create(server: Any, body: Any, **options: Any) -> Any:
    """The answer to a creation: code, what there is to compare, and warnings."""
    response = await server.call("POST", "pods", body, **options)
    shown = likeness(response.json()) if response.is_success else response.json()["message"]
    shown = re.sub("web-.....", "web-", shown) if isinstance(shown, str) else shown
    return response.status_code, shown, response.headers.get_list("warning")


async def test_casts_have_an_identity_of_their_own(server: Any) -> None:
    """Name, uid, version and dates differ from cast to cast, and all else is the same, down to the stored parts."""
    made = []
    for _ in range(3):
        made.append(await server.ok("POST", "pods", pod()))
        server.clock.advance(60)
    assert all(re.fullmatch("web-.{5}", one["metadata"]["name"]) for one in made)
    for key in OF_ONE_OBJECT:
        assert len({one["metadata"][key] for one in made}) == 3, key
    assert len({one["metadata"]["managedFields"][0]["time"] for one in made}) == 3
    assert likeness(made[0]) == likeness(made[1]) == likeness(made[2])
    named = await server.ok("POST", "pods", pod("mine"))
    again = await server.ok("POST", "pods", pod("other"))
    assert (named["metadata"]["name"], again["metadata"]["name"]) == ("mine", "other")
    assert "generateName" not in again["metadata"]


async def test_what_is_done_to_one_is_not_done_to_the_others(server: Any) -> None:
    """Parts are shared, but a write makes new ones."""
    for name in ("a", "b"):
        await server.ok("POST", "pods", pod(name))
    await server.ok("PATCH", "pods/a", {"metadata": {"labels": {"app": "changed"}}}, type=MERGE)
    await server.ok("PATCH", "pods/a", {"spec": {"activeDeadlineSeconds": 5}}, type=MERGE)
    await server.ok("PATCH", "pods/a/status", {"status": {"phase": "Running"}}, type=MERGE)
    other, new = await server.ok("GET", "pods/b"), await server.ok("POST", "pods", pod("c"))
    assert likeness(other) == likeness(new)
    assert other["metadata"]["labels"] == {"app": "web"}
    assert (other["spec"].get("activeDeadlineSeconds"), other["status"]["phase"]) == (None, "Pending")


LIMITS = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]}
TOO_MUCH = {"limits": [{"type": "Container", "min": {"cpu": "100m"}}]}
CHANGES: dict[str, list[tuple[Any, ...]]] = {
    "a LimitRange that sets": [("POST", "limitranges", {"metadata": {"name": "l"}, "spec": LIMITS})],
    "a LimitRange that refuses": [("POST", "limitranges", {"metadata": {"name": "l"}, "spec": TOO_MUCH})],
    "an account without token": [("PATCH", "serviceaccounts/default", {"automountServiceAccountToken": False})],
    "an account that is gone": [("DELETE", "serviceaccounts/default")],
    "a PriorityClass for all": [("POST", CLASSES, {"metadata": {"name": "p"}, "value": 7, "globalDefault": True})],
    "a stricter namespace": [
        ("PATCH", NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    ],
    "a namespace that warns": [
        ("PATCH", NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/warn": "baseline"}}})
    ],
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_admission_goes_by_changes(server: Any, name: str) -> None:
    """The next equal body fares as on a server that has never seen the first, and so does the one after it."""
    spec = {"spec": {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": True}}]}}
    body = {**pod(), **spec} if "warns" in name else pod()
    before = await create(server, body)
    assert await create(server, body) == before
    for method, path, *change in CHANGES[name]:
        await server.ok(method, path, *change, **({"type": MERGE} if method == "PATCH" else {}))
    after, again = await create(server, body), await create(server, body)
    server.ctx.moulds._known.clear()
    assert after == again == await create(server, body)
    assert after != before


async def test_every_cast_is_counted(server: Any) -> None:
    """A quota is used up by casts as by any other object."""
    await server.ok("POST", "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
    for name in ("a", "b"):
        await server.ok("POST", "pods", pod(name))
    why = 'pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2'
    await server.refused("POST", "pods", 403, "Forbidden", why, pod("c"))


async def test_what_is_wrong_with_one_name(server: Any) -> None:
    """A cast is refused for its name in the words that the first object of its kind would have met."""
    first = await server.call("POST", "pods", pod("Wrong_Name"))
    await server.ok("POST", "pods", pod("right"))
    cast = await server.call("POST", "pods", pod("Wrong_Name"))
    assert (cast.status_code, cast.json()) == (first.status_code, first.json())
    assert first.status_code == 422
    taken = 'pods "right" already exists'
    await server.refused("POST", "pods", 409, "AlreadyExists", taken, pod("right"))
    numeric = {**pod(), "metadata": {"name": 5}}
    assert (await server.call("POST", "pods", numeric)).status_code == 400


async def test_the_one_who_asks_and_how(server: Any) -> None:
    """Another field manager owns what it creates; who is strict about unknown fields is told, who ignores is not."""
    await server.ok("POST", "pods", pod())
    other = await server.ok("POST", "pods", pod(), params={"fieldManager": "other"})
    assert other["metadata"]["managedFields"][0]["manager"] == "other"
    unknown = {**pod(), "odd": 1}
    for _ in range(2):
        warned = await create(server, unknown)
        assert warned[0] == 201
        assert "unknown field" in warned[2][0]
        assert (await create(server, unknown, params={"fieldValidation": "Strict"}))[0] == 400
        assert (await create(server, unknown, params={"fieldValidation": "Ignore"}))[2] == []
        twice = (
            b'{"metadata": {"generateName": "x-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}, "spec": 1}'
        )
        assert (await server.call("POST", "pods", twice, params={"fieldValidation": "Strict"})).status_code == 400


async def test_a_dry_run_makes_no_object_and_its_mould_serves_nobody_else(server: Any) -> None:
    """Neither does a real creation turn a later dry run into one."""
    for name in ("a", "b"):
        await server.ok("POST", "pods", pod(name), params={"dryRun": "All"})
    assert (await server.ok("GET", "pods"))["items"] == []
    await server.ok("POST", "pods", pod("a"))
    await server.ok("POST", "pods", pod("b"), params={"dryRun": "All"})
    assert [one["metadata"]["name"] for one in (await server.ok("GET", "pods"))["items"]] == ["a"]


async def test_admission_of_users_sees_every_object(server: Any) -> None:
    """From the registration of a hook on nothing is cast, and what it did to one is done to the next by itself."""
    seen: list[str] = []

    def hook(review: Review) -> None:
        assert review.object is not None
        seen.append(review.name)
        review.object["metadata"]["labels"] = {"seen": str(len(seen))}

    await server.ok("POST", "pods", pod("a"))
    server.ctx.dynamic.hooks.add(hook, resources=["pods"], operations=["CREATE"])
    made = [await server.ok("POST", "pods", pod(name)) for name in ("b", "c")]
    assert seen == ["b", "c"]
    assert [one["metadata"]["labels"] for one in made] == [{"seen": "1"}, {"seen": "2"}]


async def test_pods_that_name_their_node_are_looked_at(server: Any) -> None:
    """They get the labels that their node has now: nodes change too often for a mould to go by them."""
    body = pod()
    body["spec"]["nodeName"] = "n"
    node = {"metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "east"}}}
    before = await server.ok("POST", "pods", body)
    await server.ok("POST", "/api/v1/nodes", node)
    after = await server.ok("POST", "pods", body)
    assert before["metadata"]["labels"] == {"app": "web"}
    assert after["metadata"]["labels"] == {"app": "web", "topology.kubernetes.io/zone": "east"}


async def test_moulds_are_bounded(server: Any) -> None:
    """However many templates there are, a fixed number is remembered: those that were used last."""
    server.ctx.moulds.limit = 3
    for number in range(5):
        await server.ok("POST", "pods", pod(f"p{number}", labels={"n": str(number)}))
        await server.ok("POST", "pods", pod(f"q{number}", labels={"n": "0"}))
    assert len(server.ctx.moulds._known) == 3
    labels = [mould.metadata["labels"]["n"] for mould in server.ctx.moulds._known.values()]
    assert labels == ["3", "4", "0"]


def event(**changes: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "apiVersion": "v1", "namespace": "default", "name": "p", "uid": "u", "resourceVersion": "7"}
    now = "2026-01-01T00:00:00Z"
    plain = {
        "metadata": {"generateName": "p."},
        "involvedObject": about,
        "reason": "Started",
        "message": "Container started",
        "source": {"component": "kubelet", "host": "n"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "n",
    }
    for path, value in changes.items():
        part, _, field = path.rpartition("__")
        (plain[part] if part else plain)[field] = value
    return plain


MOMENT = {"eventTime": "2026-01-01T00:00:00.000000Z", "action": "a"}
VARIANTS: list[dict[str, Any]] = [
    {"involvedObject__name": "other", "involvedObject__uid": "v", "involvedObject__resourceVersion": "8"},
    {"message": "something else", "source__host": "m", "reportingInstance": "m"},
    {"lastTimestamp": "2026-01-01T01:00:00Z"},
    {"lastTimestamp": "2026-01-01T01:00:00+01:00"},
    {"lastTimestamp": "0001-01-01T00:00:00Z"},
    {"lastTimestamp": "2026-13-01T00:00:00Z"},
    {"lastTimestamp": "soon"},
    {"lastTimestamp": None},
    {"lastTimestamp": 5},
    {"message": ""},
    {"message": None},
    {"message": 5},
    {"message": "long " * 1000},
    {"involvedObject__uid": ""},
    {"involvedObject__namespace": "elsewhere"},
    {"involvedObject": None},
    {"involvedObject": "p"},
    {"source": {}},
    {"metadata__name": "my.event"},
    {"metadata__name": "my/event"},
    {"metadata__labels": {"a": "b"}},
    {"unknown": 1},
    {"involvedObject__unknown": 1},
    MOMENT,
    {**MOMENT, "message": "x" * 1024},
    {**MOMENT, "message": "\N{GRINNING FACE}" * 257},
    {**MOMENT, "reportingInstance": "x" * 129},
    {**MOMENT, "reportingInstance": ""},
]


@pytest.mark.parametrize("number", range(len(VARIANTS)))
async def test_events_differ_where_they_may(server: Any, number: int) -> None:
    """Behind any other event, each fares as it would as the first of all: what fills a hole well is as good as any
    other text, and what does not is looked at."""
    body = event(**VARIANTS[number])

    async def outcome() -> Any:
        response = await server.call("POST", "events", body)
        made = response.json()
        if response.is_success:
            await server.ok("DELETE", f"events/{made['metadata']['name']}")
            return likeness(made), response.headers.get_list("warning")
        return response.status_code, made["message"].replace(made.get("details", {}).get("name", "") or "-", "-")

    alone = await outcome()
    server.ctx.moulds._known.clear()
    for other in ({}, MOMENT, VARIANTS[number - 1]):
        await server.call("POST", "events", event(**other))
        await server.call("POST", "events", event(**other))
    behind, again = await outcome(), await outcome()
    assert alone == behind == again


NEW_VARIANTS: list[dict[str, Any]] = [
    {"regarding__name": "other", "note": "something else", "eventTime": "2026-01-01T00:00:01.000005Z"},
    {"eventTime": "2026-01-01T00:00:01Z"},
    {"eventTime": "soon"},
    {"eventTime": None},
    {"note": "\N{GRINNING FACE}" * 257},
    {"reportingInstance": "x" * 129},
    {"reportingInstance": ""},
    {"regarding__namespace": "elsewhere"},
]


@pytest.mark.parametrize("number", range(len(NEW_VARIANTS)))
async def test_events_of_the_newer_kind(server: Any, number: int) -> None:
    """The same of events.k8s.io/v1, which is stored as core's."""
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    plain: dict[str, Any] = {
        "metadata": {"generateName": "p-"},
        "regarding": {"kind": "Pod", "apiVersion": "v1", "namespace": "default", "name": "p", "uid": "u"},
        "reason": "Started",
        "action": "Starting",
        "note": "n",
        "type": "Normal",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "kubelet",
        "reportingInstance": "n",
    }
    changes = {key: value for key, value in NEW_VARIANTS[number].items() if "__" not in key}
    about = {key.removeprefix("regarding__"): value for key, value in NEW_VARIANTS[number].items() if "__" in key}
    body = {**plain, **changes, "regarding": {**plain["regarding"], **about}}

    async def outcome() -> Any:
        response = await server.call("POST", path, body)
        made = response.json()
        if not response.is_success:
            return response.status_code, re.sub("p-[a-z0-9]{5}", "p", made["message"])
        return likeness(made), likeness(await server.ok("GET", f"events/{made['metadata']['name']}"))

    alone = await outcome()
    server.ctx.moulds._known.clear()
    for _ in range(2):
        await server.ok("POST", path, plain)
    assert alone == await outcome() == await outcome()


async def test_a_kubelet_is_looked_at_whatever_it_creates_after_others(server: Any) -> None:
    """Its credentials are good for mirror pods of its own node only, also of a pod that somebody else may have made."""
    await server.ok("POST", "pods", pod("a"))
    kubelet = server.client.as_user("system:node:n", groups=["system:nodes"])
    with pytest.raises(Forbidden, match="pod does not have"):
        await kubelet.create(PODS, {**pod("b"), "metadata": {**pod("b")["metadata"], "namespace": "default"}})

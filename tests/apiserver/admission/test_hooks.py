"""Functions of the process as admission hooks: what they are asked, what they may change, how they refuse."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.apiserver.admission.hooks import Hook, Hooks, Review
from minik8s.machinery.errors import Conflict

pytestmark = pytest.mark.anyio
POD: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def label(review: Review) -> None:
    assert review.object is not None
    review.object["metadata"].setdefault("labels", {})["hooked"] = "yes"


async def test_a_mutating_hook_changes_what_is_stored(server: Any) -> None:
    """What a hook leaves is stored; its fields belong to nobody, and its object is a copy of its own."""
    server.ctx.dynamic.hooks.add(label, resources=["configmaps"])
    made = await server.ok("POST", "configmaps", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    assert made["metadata"]["labels"] == {"hooked": "yes"}
    assert "f:labels" not in made["metadata"]["managedFields"][0]["fieldsV1"].get("f:metadata", {})
    secret = await server.ok("POST", "secrets", {"metadata": {"name": "a"}})
    assert "labels" not in secret["metadata"]


async def test_a_hook_adds_a_container(server: Any) -> None:
    """A container that a hook adds is defaulted and validated like one that the client sent."""

    async def inject(review: Review) -> None:
        await anyio.lowlevel.checkpoint()
        assert review.object is not None
        review.object["spec"]["containers"].append({"name": review.name + "-side", "image": "proxy"})

    server.ctx.dynamic.hooks.add(inject, resources=["pods"], operations=["CREATE"])
    made = await server.ok("POST", "pods", POD)
    assert [c["name"] for c in made["spec"]["containers"]] == ["c", "p-side"]
    assert made["spec"]["containers"][1]["terminationMessagePath"] == "/dev/termination-log"
    refused = await server.call("POST", "pods", {**POD, "metadata": {"name": "q.q"}})
    assert refused.status_code == 422
    assert "spec.containers[1].name" in refused.text


async def test_a_hook_refuses(server: Any) -> None:
    """`deny` is a 403 in a webhook's words; an ApiError goes out as it is; a bug is a 500 that names the hook."""

    def strict(review: Review) -> None:
        if review.name == "bad":
            review.deny("not that name")
        if review.name == "later":
            raise Conflict("come back later")
        review.warnings.append("seen")

    server.ctx.dynamic.hooks.add(strict, resources=["configmaps"], operations=["*"], mutating=False)
    why = 'admission hook "strict" denied the request: not that name'
    await server.refused("POST", "configmaps", 403, "Forbidden", why, {"metadata": {"name": "bad"}})
    await server.refused("POST", "configmaps", 409, "Conflict", "come back later", {"metadata": {"name": "later"}})
    answer = await server.call("POST", "configmaps", {"metadata": {"name": "good"}})
    assert "seen" in answer.headers["warning"]
    gone = await server.call("DELETE", "configmaps/good")
    assert "seen" in gone.headers["warning"]


async def test_a_bug_in_a_hook_is_said(server: Any) -> None:
    """The client hears which hook failed and how."""

    def broken(review: Review) -> None:
        raise KeyError("oops")

    server.ctx.dynamic.hooks.add(broken, resources=["configmaps"])
    answer = await server.call("POST", "configmaps", {"metadata": {"name": "a"}}, failing=True)
    why = "Internal error occurred: failed calling admission hook \"broken\": KeyError: 'oops'"
    assert (answer.status_code, answer.json()["message"]) == (500, why)


async def test_scale_and_status(server: Any) -> None:
    """A hook sees a Scale where the client writes one, and what it makes of it is what the workload gets."""
    seen: list[tuple[str, str]] = []

    def at_most_two(review: Review) -> None:
        assert review.object is not None
        seen.append((review.resource, review.object["kind"]))
        review.object["spec"]["replicas"] = min(review.object["spec"]["replicas"], 2)

    server.ctx.dynamic.hooks.add(at_most_two, resources=["deployments.apps/scale"])
    template = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, "replicas": 5}
    path = "/apis/apps/v1/namespaces/default/deployments"
    await server.ok("POST", path, {"metadata": {"name": "d"}, "spec": spec})
    scale = await server.ok("PATCH", path + "/d/scale", {"spec": {"replicas": 9}}, type="application/merge-patch+json")
    assert scale["spec"] == {"replicas": 2}
    assert seen == [("deployments.apps/scale", "Scale")]


async def test_somebody_writes_while_a_hook_waits(server: Any) -> None:
    """A patch is applied again to what is stored by then; a PUT of a version that is gone by then conflicts."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "a"}, "data": {"n": "0"}})
    rounds, spare = 0, ["x"]

    async def interfere(review: Review) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            await server.ok(
                "PATCH", "configmaps/a", {"data": {"other": str(len(spare))}}, type="application/merge-patch+json"
            )

    hook = server.ctx.dynamic.hooks.add(interfere, resources=["configmaps"], operations=["UPDATE"])
    done = await server.ok("PATCH", "configmaps/a", {"data": {"n": "2"}}, type="application/merge-patch+json")
    assert done["data"] == {"n": "2", "other": "1"}
    assert rounds == 3  # the patch, the interfering one, and the patch again
    rounds = 0
    spare.append("y")
    stale = await server.ok("GET", "configmaps/a")
    answer = await server.call("PUT", "configmaps/a", {**stale, "data": {"n": "3"}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    server.ctx.dynamic.hooks.remove(hook)


async def test_quota_is_counted_last(server: Any) -> None:
    """Ten creations that wait side by side in a hook still do not pass a quota of three."""
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "3"}}}
    await server.ok("POST", "resourcequotas", quota)

    async def slow(review: Review) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()

    server.ctx.dynamic.hooks.add(slow, resources=["configmaps"], mutating=False)
    codes: list[int] = []

    async def make(number: int) -> None:
        codes.append((await server.call("POST", "configmaps", {"metadata": {"name": f"c{number}"}})).status_code)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(make, number)
    assert sorted(codes) == [201] * 3 + [403] * 7


async def test_a_namespace_that_ends_while_a_hook_waits(server: Any) -> None:
    """Nothing is created in a namespace that has gone in the meantime."""
    await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "brief"}})

    async def slow(review: Review) -> None:
        await server.ok("DELETE", "/api/v1/namespaces/brief")

    server.ctx.dynamic.hooks.add(slow, resources=["configmaps"], mutating=False)
    answer = await server.call("POST", "/api/v1/namespaces/brief/configmaps", {"metadata": {"name": "a"}})
    assert answer.status_code == 403
    assert "because it is being terminated" in answer.text


def test_what_a_hook_is_asked_about() -> None:
    """Resources match as in a webhook's rules: `*` without subresources, `*/*` with them."""
    cases = [
        (("*",), "pods", True),
        (("*",), "pods/status", False),
        (("*/*",), "pods/status", True),
        (("*/*",), "pods", True),
        (("pods/*",), "pods/exec", True),
        (("pods/*",), "pods", True),
        (("pods/*",), "services", False),
        (("*/scale",), "deployments.apps/scale", True),
        (("pods",), "deployments.apps", False),
    ]
    for resources, resource, expected in cases:
        assert Hook(label, resources, ("*",)).wants("CREATE", resource) is expected, (resources, resource)
    assert not Hook(label).wants("DELETE", "pods")


def test_what_cannot_be_registered() -> None:
    """An operation that does not exist, or a name where a list is meant, is refused at once."""
    with pytest.raises(ValueError, match="not PATCH"):
        Hooks().add(label, operations=["PATCH"])
    with pytest.raises(ValueError, match="lists of names"):
        Hooks().add(label, resources="pods")

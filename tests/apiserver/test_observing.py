"""What is remembered of requests: audit events and counters; and the checks that probes ask for."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minik8s import Cluster
from minik8s.api.request import ApiRequest, User
from minik8s.api.resources import CONFIG_MAPS
from minik8s.apiserver.audit import AuditLog
from minik8s.apiserver.dispatch import dispatch
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio

CM = {"metadata": {"name": "a"}}


def samples(text: str) -> dict[str, float]:
    """Series with its labels -> value; every line must be well-formed."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


async def test_a_request_leaves_an_event(server: Any) -> None:
    """Who, what, from where, with which outcome; under the id that the answer carries."""
    response = await server.call("POST", "configmaps?dryRun=All", CM, headers={"user-agent": "kubectl/v1.36"})
    (event,) = server.ctx.audit.events(verb="create", resource="configmaps")
    assert event.id == response.headers["audit-id"]
    assert (event.namespace, event.code, event.user.name) == ("default", 201, "system:admin")
    assert event.uri == "/api/v1/namespaces/default/configmaps?dryRun=All"
    assert event.annotations["authorization.k8s.io/decision"] == "allow"
    assert event.received == server.clock.now()
    document = event.to_dict()
    assert (document["kind"], document["apiVersion"], document["stage"]) == (
        "Event",
        "audit.k8s.io/v1",
        "ResponseComplete",
    )
    assert document["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert document["user"]["groups"] == ["system:masters", "system:authenticated"]
    assert (document["userAgent"], document["sourceIPs"]) == ("kubectl/v1.36", ["127.0.0.1"])
    json.dumps(document)


async def test_a_client_may_choose_the_id(server: Any) -> None:
    """Within limits; ids of our own are all different."""
    chosen = await server.call("GET", "configmaps", headers={"audit-id": "mine"})
    assert chosen.headers["audit-id"] == "mine"
    long = await server.call("GET", "configmaps", headers={"audit-id": "x" * 100})
    assert long.headers["audit-id"] == "x" * 64
    ids = {(await server.call("GET", "configmaps")).headers["audit-id"] for _ in range(3)}
    assert len(ids) == 3


async def test_refusals_are_events_too(guarded: Any, admin: dict[str, str]) -> None:
    """A stranger, somebody who acts as somebody else, a path that does not exist."""
    assert (await guarded.call("GET", "configmaps")).status_code == 403
    await guarded.call("GET", "configmaps", headers={**admin, "impersonate-user": "jane"})
    await guarded.call("GET", "/api/v1/nonsense", headers=admin)
    stranger, acting, lost = guarded.ctx.audit
    assert (stranger.user.name, stranger.code, stranger.verb) == ("system:anonymous", 403, "list")
    text = (await guarded.call("GET", "/metrics", headers=admin)).text
    refused = [line for line in text.splitlines() if line.startswith("apiserver_request_total{") and '"403"' in line]
    assert len(refused) == 1
    assert 'resource="configmaps"' in refused[0]
    assert stranger.annotations["authorization.k8s.io/decision"] == "forbid"
    assert (acting.user.name, acting.impersonated.name) == ("system:admin", "jane")
    assert (lost.code, lost.resource, lost.verb) == (404, "nonsense", "list")


async def test_requests_within_the_process(server: Any) -> None:
    """Those of users are kept, those of the cluster itself are not."""
    await server.client.list(CONFIG_MAPS)
    await dispatch(server.ctx, ApiRequest("list", CONFIG_MAPS, user=User("kubelet", trusted=True)))
    assert not list(server.ctx.audit)
    await dispatch(server.ctx, ApiRequest("list", CONFIG_MAPS, user=User("jane"), user_agent="test"))
    (event,) = server.ctx.audit
    assert (event.user.name, event.verb, event.code, event.source) == ("jane", "list", 200, "")


async def test_the_ring_forgets_the_oldest(server: Any) -> None:
    """It never holds more than its size."""
    log = server.ctx.audit = AuditLog(2, Random(1), server.clock)
    for name in ("a", "b", "c"):
        await dispatch(server.ctx, ApiRequest("list", CONFIG_MAPS, name, user=User("jane")))
    assert [event.namespace for event in log] == ["b", "c"]
    log.clear()
    assert len(log) == 0


def test_events_are_appended_to_a_file(tmp_path: Path) -> None:
    """One document a line, beside what stands there."""
    path = tmp_path / "audit.log"
    for _ in range(2):
        log = AuditLog(1, Random(1), ManualClock())
        log.open(path)
        log.keep((log.identify(None), "get", "/é", "", User("jane"), None, None, 200, 0.0, 0.5, b"ua", None, {}))
        log.close()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["requestURI"] for line in lines] == ["/%C3%A9", "/%C3%A9"]
    assert lines[0]["user"] == {"username": "jane"}


async def test_a_cluster_is_told_how_to_audit(tmp_path: Path) -> None:
    """How many events to remember, which file to write; the file ends with the cluster."""
    path = tmp_path / "audit.jsonl"
    options: dict[str, Any] = {"nodes": 0, "controllers": (), "scheduler": False, "proxy": False, "serve": False}
    async with Cluster(audit_events=1, audit_log=str(path), **options) as cluster:
        for name in ("a", "b"):
            await cluster.http.get(f"/api/v1/namespaces/default/configmaps/{name}")
        (event,) = cluster.audit
        assert (event.name, event.code) == ("b", 404)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["objectRef"]["name"] for line in lines] == ["a", "b"]


async def test_requests_are_counted(server: Any) -> None:
    """By verb, resource, scope and code, with how long they took and how much was sent."""
    await server.ok("POST", "configmaps", CM)
    for _ in range(3):
        await server.call("GET", "configmaps/a")
    await server.call("GET", "configmaps/b")
    await server.call("GET", "configmaps")
    response = await server.call("GET", "/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(response.text)
    fixed = 'component="apiserver",dry_run="",group="",resource="configmaps"'
    labels = fixed + ',scope="{}",subresource="",verb="{}",version="v1"'
    got = labels.format("resource", "GET")
    assert found[f'apiserver_request_total{{code="200",{got}}}'] == 3
    assert found[f'apiserver_request_total{{code="404",{got}}}'] == 1
    assert found[f"apiserver_request_duration_seconds_count{{{got}}}"] == 4
    assert found[f'apiserver_request_total{{code="200",{labels.format("namespace", "LIST")}}}'] == 1
    assert found[f'apiserver_request_total{{code="201",{labels.format("resource", "POST")}}}'] == 1
    assert found['apiserver_storage_objects{resource="configmaps"}'] == 1
    assert found['apiserver_current_inflight_requests{request_kind="readOnly"}'] == 1
    assert found["process_resident_memory_bytes"] > 0
    buckets = [v for k, v in found.items() if k.startswith("apiserver_request_duration_seconds_bucket") and "GET" in k]
    assert buckets
    assert buckets[:24] == sorted(buckets[:24])


async def test_watches_are_counted_while_they_last(server: Any) -> None:
    """As long-running ones with the events that they sent; then as requests."""
    async with server.watching("configmaps?watch=1") as events:
        await server.ok("POST", "configmaps", CM)
        await events.next()
        during = (await server.call("GET", "/metrics")).text
    await server.settle()
    after = (await server.call("GET", "/metrics")).text
    assert 'apiserver_watch_events_total{group="",resource="configmaps",version="v1"} 1' in during
    assert 'scope="namespace",subresource="",verb="WATCH",version="v1"} 1' in during
    assert not [line for line in after.splitlines() if line.startswith("apiserver_longrunning_requests{")]
    assert [line for line in after.splitlines() if line.startswith("apiserver_request_total{") and "WATCH" in line]


async def test_strangers_cannot_make_the_tables_grow(server: Any) -> None:
    """Paths, methods and resources that do not exist are counted together."""
    for number in range(20):
        await server.call(f"FOO{number}", f"/api/v1/x{number}")
        await server.call("GET", f"/apis/g{number}/v1/x")
    text = (await server.call("GET", "/metrics")).text
    assert len([line for line in text.splitlines() if line.startswith("apiserver_request_total{")]) < 6


@pytest.mark.parametrize("root", ["healthz", "livez", "readyz"])
async def test_health(server: Any, root: str) -> None:
    """All checks, one of them, all but some; unknown ones are 404."""
    assert (await server.call("GET", f"/{root}")).text == "ok"
    assert (await server.call("HEAD", f"/{root}")).status_code == 200
    for check in ("ping", "etcd", "poststarthook/rbac/bootstrap-roles"):
        assert (await server.call("GET", f"/{root}/{check}")).text == "ok"
    assert (await server.call("GET", f"/{root}/nonsense")).status_code == 404
    verbose = (await server.call("GET", f"/{root}?verbose")).text
    assert verbose.startswith("[+]ping ok\n[+]log ok\n[+]etcd ok\n")
    assert verbose.endswith(f"{root} check passed\n")
    some = (await server.call("GET", f"/{root}?verbose&exclude=etcd&exclude=ping&exclude=foo")).text
    assert some.startswith("[+]ping excluded: ok\n[+]log ok\n[+]etcd excluded: ok\n")
    assert 'warn: some health checks cannot be excluded: no matches for "foo"\n' in some


@pytest.mark.parametrize("path", ["/debug/pprof/", "/debug/flags/v", "/logs", "/metrics/slis/x", "/foo"])
async def test_what_is_not_there(server: Any, path: str) -> None:
    """Paths of other servers' insides are 404 as any unknown path."""
    response = await server.call("GET", path)
    assert (response.status_code, response.text) == (404, "404 page not found\n")

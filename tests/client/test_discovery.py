"""What a server serves, whichever way it says so: aggregated documents, or one list a group version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minik8s.api.resources import BUILTIN, PODS
from minik8s.apiserver.discovery import aggregated_core, aggregated_groups
from minik8s.client.discovery import ACCEPT, PATHS, Discovery, documents, resources_of
from minik8s.machinery.errors import ServiceUnavailable
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio
CRON = {"name": "crontabs", "singularName": "crontab", "namespaced": True, "kind": "CronTab", "verbs": ["get"]}
SCALE = {"name": "crontabs/scale", "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get"]}
LEGACY: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"resources": [{"name": "pods", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": []}]},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "example.com",
                "versions": [{"groupVersion": f"example.com/{v}", "version": v} for v in ("v2", "v1")],
            }
        ],
    },
    "/apis/example.com/v2": {"resources": [CRON, SCALE, {"name": "lost/status", "kind": "Lost"}]},
}


async def legacy(path: str) -> Any:
    """A server that has no aggregated documents, and one of whose group versions is away."""
    if path not in LEGACY:
        raise ServiceUnavailable("the server is currently unable to handle the request")
    return LEGACY[path]


async def test_a_server_without_aggregated_documents() -> None:
    """It is asked group version by group version; built-in resources are the constants, as ever."""
    discovery = Discovery(legacy, ManualClock())
    await discovery.refresh()
    pods, tabs = discovery()
    assert pods is PODS
    assert (tabs.api_version, tabs.plural, tabs.kind, tabs.singular) == (
        "example.com/v2",
        "crontabs",
        "CronTab",
        "crontab",
    )
    assert (tabs.namespaced, tabs.verbs) == (True, ("get",))
    (scale,) = tabs.subresources
    assert (scale.name, scale.kind, scale.group, scale.version) == ("scale", "Scale", "autoscaling", "v1")
    assert discovery.stale == ("example.com/v1",)


async def test_the_aggregated_documents_are_asked_for_first() -> None:
    """Two answers are enough where the server has them."""
    asked = []

    async def fetch(path: str) -> Any:
        asked.append(path)
        return {"/api": aggregated_core(BUILTIN), "/apis": aggregated_groups(BUILTIN)}[path]

    found = [resource for document in await documents(fetch) for resource in resources_of(document)]
    assert (tuple(asked), PODS in found) == (PATHS, True)
    assert ACCEPT.endswith(",application/json")


@pytest.mark.minik8s(nodes=0, serve=False, proxy=False, controllers=(), scheduler=False)
async def test_both_ways_say_the_same(cluster: Any) -> None:
    """Of one server: what its legacy documents tell is what its aggregated ones tell."""

    async def fetch(path: str, accept: str = "application/json") -> Any:
        return json.loads((await cluster.http.get(path, headers={"accept": accept})).content)

    async def aggregated(path: str) -> Any:
        return await fetch(path, ACCEPT)

    one, other = [told(await documents(by)) for by in (fetch, aggregated)]
    assert one == other
    assert len(one) > 60


def told(found: list[Any]) -> dict[tuple[str, str, str], Any]:
    """What documents say of each resource; of kinds only their names, as legacy ones leave out the rest."""
    said = {}
    for group in (group for document in found for group in document["items"]):
        for version in group["versions"]:
            for entry in version["resources"]:
                kinds = [(e.get("subresource"), e["responseKind"]["kind"], set(e["verbs"])) for e in parts(entry)]
                rest = [entry.get(key) or [] for key in ("scope", "singularResource", "shortNames", "categories")]
                said[group["metadata"].get("name", ""), version["version"], entry["resource"]] = (kinds, rest)
    return said


def parts(entry: Any) -> list[Any]:
    return [entry, *sorted(entry.get("subresources") or (), key=lambda part: str(part["subresource"]))]

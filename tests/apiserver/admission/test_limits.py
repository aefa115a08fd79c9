"""Quotas and limits where they meet the server: resizes, namespaces that get stricter, updates, custom counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio
STRATEGIC = "application/strategic-merge-patch+json"


def pod(name: str = "p", **resources: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}}


def resized(cpu: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}


async def test_a_resize_is_held_against_quota_and_limits(server: Any) -> None:
    """A pod that grows in place asks its quota for the difference, and its LimitRange for leave."""
    await server.ok("POST", "pods", pod(requests={"cpu": "500m"}))
    await server.ok("POST", "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "1"}}})
    why = "exceeded quota: q, requested: requests.cpu=1500m, used: requests.cpu=500m, limited: requests.cpu=1"
    message = f'pods "p" is forbidden: {why}'
    await server.refused("PATCH", "pods/p/resize", 403, "Forbidden", message, resized("2"), type=STRATEGIC)
    await server.ok("PATCH", "pods/p/resize", resized("900m"), type=STRATEGIC)
    limits = {"limits": [{"type": "Container", "min": {"cpu": "100m"}}]}
    await server.ok("POST", "limitranges", {"metadata": {"name": "l"}, "spec": limits})
    message = 'pods "p" is forbidden: minimum cpu usage per Container is 100m, but request is 50m'
    await server.refused("PATCH", "pods/p/resize", 403, "Forbidden", message, resized("50m"), type=STRATEGIC)


async def test_storage_quotas(server: Any) -> None:
    """Claims count for storage as such and for their class; a claim that grows asks for the difference."""
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    await server.ok("POST", classes, {"metadata": {"name": "fast"}, "provisioner": "p", "allowVolumeExpansion": True})
    hard = {"fast.storageclass.storage.k8s.io/requests.storage": "3Gi", "persistentvolumeclaims": "2"}
    await server.ok("POST", "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})

    def claim(name: str, size: str, storage_class: str = "fast") -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"metadata": {"name": name}, "spec": {**spec, "storageClassName": storage_class}}

    path = "persistentvolumeclaims"
    await server.ok("POST", path, claim("a", "2Gi"))
    why = (
        "exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=2Gi, used: "
        "fast.storageclass.storage.k8s.io/requests.storage=2Gi, limited: "
        "fast.storageclass.storage.k8s.io/requests.storage=3Gi"
    )
    refused = f'persistentvolumeclaims "b" is forbidden: {why}'
    await server.refused("POST", path, 403, "Forbidden", refused, claim("b", "2Gi"))
    await server.ok("POST", path, claim("b", "9Gi", "slow"))
    kind = "persistentvolumeclaims"
    count = f"exceeded quota: q, requested: {kind}=1, used: {kind}=2, limited: {kind}=2"
    refused = f'persistentvolumeclaims "c" is forbidden: {count}'
    await server.refused("POST", path, 403, "Forbidden", refused, claim("c", "1Gi", "slow"))


async def test_a_dry_run_counts_and_takes_nothing(server: Any) -> None:
    """A quota refuses what would be too much on dry run too, and is not used up by it."""
    await server.ok("POST", "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "1"}}})
    for name in ("a", "b"):
        await server.ok("POST", "configmaps?dryRun=All", {"metadata": {"name": name}})
    await server.ok("POST", "configmaps", {"metadata": {"name": "a"}})
    answer = await server.call("POST", "configmaps?dryRun=All", {"metadata": {"name": "b"}})
    assert answer.status_code == 403


async def test_a_quota_says_at_once_what_a_write_has_used(server: Any) -> None:
    """What is stored is in `used` when the writer gets its answer, whoever the controller may be."""

    async def used() -> Any:
        return (await server.ok("GET", "resourcequotas/q"))["status"].get("used")

    hard = {"pods": "5", "requests.cpu": "2", "count/configmaps": "5"}
    await server.ok("POST", "resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    await server.ok("POST", "pods", pod("a", requests={"cpu": "500m"}))
    assert await used() is None  # until the controller has counted once
    status = {"hard": {"pods": "5", "requests.cpu": "2"}, "used": {"pods": "1", "requests.cpu": "500m"}}
    counted = {**await server.ok("GET", "resourcequotas/q"), "status": status}
    await server.ok("PUT", "resourcequotas/q/status", counted)
    await server.ok("POST", "configmaps", {"metadata": {"name": "x"}})
    await server.ok("POST", "pods?dryRun=All", pod("b", requests={"cpu": "500m"}))
    assert await used() == status["used"]
    await server.ok("POST", "pods", pod("b", requests={"cpu": "500m"}))
    assert await used() == {"pods": "2", "requests.cpu": "1"}
    for cpu in ("700m", "600m"):  # less is the controller's to say
        await server.ok("PATCH", "pods/b/resize", resized(cpu), type=STRATEGIC)
        assert await used() == {"pods": "2", "requests.cpu": "1200m"}


async def test_a_namespace_that_becomes_stricter(server: Any) -> None:
    """kubectl label shows which pods would not be let in any more."""
    await server.ok("POST", "pods", pod())
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    answer = await server.call("PATCH", "/api/v1/namespaces/default", labels, type=MERGE)
    assert (
        'existing pods in namespace \\"default\\" violate the new PodSecurity enforce level'
        in answer.headers["warning"]
    )
    refused = await server.call("POST", "pods", pod("q"))
    assert refused.status_code == 403
    assert 'violates PodSecurity "restricted:latest"' in refused.json()["message"]
    await server.ok("PATCH", "pods/p", {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}
    told = await server.call("PATCH", "pods/p/ephemeralcontainers", debug, type=STRATEGIC)
    assert told.status_code == 403
    assert '"debug" must set securityContext.allowPrivilegeEscalation=false' in told.json()["message"]


async def test_a_count_is_kept_up(start: Any) -> None:
    """Creations, updates, deletions and the end of pods count at once, also when history has been forgotten."""
    async with start(history=5) as small:
        quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "3", "requests.cpu": "2"}}}
        await small.ok("POST", "resourcequotas", quota)

        async def full() -> bool:
            answer = await small.call("POST", "pods?dryRun=All", pod("probe", requests={"cpu": "1m"}))
            return answer.status_code == 403 and "used: pods=3" in answer.text

        for round_ in range(3):
            for name in "abc":
                assert not await full()
                await small.ok("POST", "pods", pod(name, requests={"cpu": "500m"}))
            assert await full()
            await small.ok("PATCH", "pods/a/status", {"status": {"phase": "Succeeded"}}, type=MERGE)
            assert not await full()
            await small.ok("POST", "pods", pod("d", requests={"cpu": "1"}))
            assert await full()
            for number in range(20 * round_):
                await small.ok("POST", "configmaps", {"metadata": {"name": f"n{round_}-{number}"}})
            for name in "abcd":
                await small.ok("DELETE", f"pods/{name}?gracePeriodSeconds=0")
            assert not await full()

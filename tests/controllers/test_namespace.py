"""Namespaces and what every namespace has, against a real API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.api.resources import BUILTIN, EVENTS_V1, NAMESPACES, PODS
from minik8s.controllers import namespace_plan as plan
from minik8s.controllers.namespace import NamespaceController
from minik8s.controllers.root_ca import RootCAPublisher
from minik8s.controllers.serviceaccount import ServiceAccountController
from minik8s.machinery.meta import find_condition, is_terminating

CONTAINERS = [{"name": "c", "image": "x"}]


def condition(namespace: Any, type_: str) -> tuple[str, str, str]:
    found = find_condition(namespace["status"]["conditions"], type_)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def test_an_empty_namespace_goes(virtual: Any, start: Any) -> None:
    """Deleting a namespace without content removes it."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            await world.add("namespaces", "n")
            await world.client.delete(world.resource("namespaces"), "n")
            await world.until_gone("namespaces", "n")

    virtual(body)


def test_content_goes_with_it(virtual: Any, start: Any) -> None:
    """Objects of every kind are deleted, those of other namespaces are not."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            await world.add("namespaces", "n")
            for namespace in ("n", "default"):
                await world.add("configmaps", "a", namespace)
                await world.add("secrets", "b", namespace)
                await world.add("pods", "p", namespace, spec={"containers": CONTAINERS})
            await world.client.delete(world.resource("namespaces"), "n")
            await world.until_gone("namespaces", "n")
            assert await world.get("configmaps", "a", "n") is None
            assert await world.get("configmaps", "a", "default")
            assert await world.get("pods", "p", "default")

    virtual(body)


def test_finalizers_are_waited_for(virtual: Any, start: Any) -> None:
    """While a finalizer holds content the conditions say what and why; when it goes the namespace does."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            await world.add("namespaces", "n")
            await world.add("configmaps", "held", "n", metadata={"finalizers": ["a.b/c"]})
            await world.add("configmaps", "free", "n")
            await world.client.delete(world.resource("namespaces"), "n")
            await world.quiet(60)
            namespace = await world.get("namespaces", "n")
            assert namespace["status"]["phase"] == "Terminating"
            assert condition(namespace, "NamespaceContentRemaining") == (
                "True",
                "SomeResourcesRemain",
                "Some resources are remaining: configmaps. has 1 resource instances",
            )
            assert condition(namespace, "NamespaceFinalizersRemaining") == (
                "True",
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining: a.b/c in 1 resource instances",
            )
            assert condition(namespace, "NamespaceDeletionContentFailure")[:2] == ("False", "ContentDeleted")
            assert await world.get("configmaps", "free", "n") is None
            release = {"metadata": {"finalizers": None}}
            await world.client.patch(world.resource("configmaps"), "held", release, namespace="n")
            await world.until_gone("namespaces", "n", "")

    virtual(body)


def test_pods_go_first(virtual: Any, start: Any) -> None:
    """Everything else stays until the last pod has ended, and then it does not take the pods' grace period."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            await world.add("namespaces", "n")
            await world.add("configmaps", "config", "n")
            spec = {"containers": CONTAINERS, "nodeName": "node", "terminationGracePeriodSeconds": 600}
            await world.add("pods", "p", "n", spec=spec)
            await world.client.delete(world.resource("namespaces"), "n")
            await world.quiet(60)
            assert is_terminating(await world.get("pods", "p", "n"))
            assert await world.get("configmaps", "config", "n")
            before = clock.monotonic()
            await world.client.delete(PODS, "p", namespace="n", grace_period=0)
            await world.until_gone("namespaces", "n")
            assert clock.monotonic() - before < 1

    virtual(body)


def test_default_service_account(virtual: Any, start: Any) -> None:
    """Every active namespace gets its account `default`, again if it is removed; a terminating one does not."""

    async def body(clock: Any) -> None:
        async with start(clock, ServiceAccountController) as world:
            await world.add("namespaces", "n", spec={"finalizers": ["example.com/stay"]})
            first = await world.until_there("serviceaccounts", "default", "n")
            assert await world.until_there("serviceaccounts", "default", "kube-system")
            accounts = world.resource("serviceaccounts")
            await world.client.delete(accounts, "default", namespace="n")
            second = await world.until_there("serviceaccounts", "default", "n")
            assert first["metadata"]["uid"] != second["metadata"]["uid"]
            await world.client.delete(world.resource("namespaces"), "n")
            await world.client.delete(accounts, "default", namespace="n")
            await world.quiet()
            assert await world.get("serviceaccounts", "default", "n") is None

    virtual(body)


def test_root_ca(virtual: Any, start: Any) -> None:
    """Every namespace has the CA bundle under ca.crt; whoever changes or removes it gets it back."""

    async def body(clock: Any) -> None:
        async with start(clock, RootCAPublisher, ca="THE CA") as world:
            published = await world.until_there("configmaps", "kube-root-ca.crt", "default")
            assert published["data"] == {"ca.crt": "THE CA"}
            assert "kubernetes.io/description" in published["metadata"]["annotations"]
            configmaps = world.resource("configmaps")
            changed = {"data": {"ca.crt": "another", "more": "x"}}
            await world.client.patch(configmaps, "kube-root-ca.crt", changed, namespace="default")
            await world.quiet()
            assert (await world.get("configmaps", "kube-root-ca.crt", "default"))["data"] == {"ca.crt": "THE CA"}
            await world.client.delete(configmaps, "kube-root-ca.crt", namespace="default")
            await world.until_there("configmaps", "kube-root-ca.crt", "default")

    virtual(body)


def test_what_is_deleted() -> None:
    """Namespaced kinds that can be listed and deleted, pods first, no kind twice under two of its names."""
    chosen = plan.deletable(BUILTIN)
    assert chosen[0] is PODS
    assert EVENTS_V1 not in chosen
    assert all(resource.namespaced for resource in chosen)
    assert not {"bindings", "localsubjectaccessreviews", "namespaces"} & {resource.plural for resource in chosen}


@pytest.mark.parametrize(
    ("grace", "waited", "looks", "seconds"),
    [(30, 0, 0, 0.1), (30, 0, 3, 0.8), (30, 0, 100, 16.0), (30, 31, 100, 1.0), (2, 1, 100, 2.0)],
)
def test_when_to_look_again(grace: int, waited: int, looks: int, seconds: float) -> None:
    """Soon at first, later after half the pods' grace and a second; a grace that is over is not waited for again."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    pod = {"metadata": {"namespace": "n"}, "spec": {"terminationGracePeriodSeconds": grace}}
    found = plan.Findings(PODS, [pod])
    assert plan.look_again([found], begun, begun + timedelta(seconds=waited), looks) == seconds


def test_an_api_that_does_not_answer(virtual: Any, start: Any) -> None:
    """Nobody knows what it holds of the namespace, so that waits, says why, and goes when it answers again."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            world.stale.append("metrics.k8s.io/v1beta1")
            await world.add("namespaces", "doomed")
            await world.client.delete(NAMESPACES, "doomed")
            await world.quiet(60)
            found = await world.get("namespaces", "doomed")
            said = find_condition(found["status"]["conditions"], "NamespaceDeletionDiscoveryFailure")
            assert (said["status"], said["reason"]) == ("True", "DiscoveryFailed")
            assert said["message"] == (
                "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
                "metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1"
            )
            world.stale.clear()
            await world.until_gone("namespaces", "doomed")

    virtual(body)

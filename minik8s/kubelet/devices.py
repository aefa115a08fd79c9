"""The devices of a pod's ResourceClaims on its node: there are no drivers that could prepare them.

A kubelet hands claims to their drivers, which register with it. None can register here. Where containers are processes
their pod waits, as on a node whose driver has not been installed, and says so: it would otherwise run without what it
was promised. Simulated containers need no device, so their pods run; whoever measures a scheduler or tests an operator
would not get anywhere else. Upstream: pkg/kubelet/cm/dra, kuberuntime_manager.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from minik8s.api.resourceclaims import allocation_of, claim_names
from minik8s.api.resources import RESOURCE_CLAIMS
from minik8s.client.client import Client
from minik8s.clock import Clock
from minik8s.kubelet.backoff import mount_delay
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, namespace_of

REASON = "FailedPrepareDynamicResources"


def drivers(claims: Iterable[Doc]) -> Iterator[str]:
    """Who would have to prepare what the claims have, in their order."""
    for claim in claims:
        for result in ((allocation_of(claim) or {}).get("devices") or {}).get("results") or ():
            yield result["driver"]


async def prepare(client: Client, clock: Clock, pod: Doc, event: Callable[[str, str], None]) -> None:
    """Returns when a pod has all devices that it was given: at once if it was given none, else never."""
    delay = 0.0
    while (why := await _failure(client, pod)) is not None:
        event(REASON, f"Failed to prepare dynamic resources: prepare dynamic resources: {why}")
        delay = mount_delay(delay)
        await clock.sleep(delay)


async def _failure(client: Client, pod: Doc) -> str | None:
    try:
        claims = [await client.get(RESOURCE_CLAIMS, n, namespace=namespace_of(pod)) for n in claim_names(pod)]
    except (ApiError, OSError) as error:
        return f"fetch ResourceClaim: {error}"
    driver = next(drivers(claims), None)
    return None if driver is None else f"DRA driver {driver} is not registered"

"""Carrying out what the two controllers of EndpointSlices have planned: for pods, and for mirrored Endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from minik8s.api.resources import ENDPOINT_SLICES
from minik8s.client.client import Client
from minik8s.client.lister import Lister
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, name_of, namespace_of, revision_of, uid_of


class SliceChanges(Protocol):
    """What is to be written."""

    @property
    def create(self) -> Sequence[Doc]: ...
    @property
    def update(self) -> Sequence[Doc]: ...
    @property
    def delete(self) -> Sequence[Doc]: ...


async def carry_out(client: Client, slices: Lister[Any], plan: SliceChanges) -> None:
    """Makes the changes, and returns when `slices` has seen them."""
    revision = 0
    for slice_ in plan.create:
        revision = revision_of(await client.create(ENDPOINT_SLICES, slice_))
    for slice_ in plan.update:
        revision = revision_of(await client.update(ENDPOINT_SLICES, slice_))
    for doomed in plan.delete:
        await delete(client, doomed)
    if revision:
        await slices.caught_up(revision)


async def delete(client: Client, doomed: Doc) -> None:
    """Deletes just this slice; one that is gone already is fine."""
    try:
        await client.delete(ENDPOINT_SLICES, name_of(doomed), namespace=namespace_of(doomed), uid=uid_of(doomed))
    except NotFound:
        return

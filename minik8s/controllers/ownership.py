"""Adoption and release: how a controller comes to own exactly the objects its selector means.

A controller owns by ownerReference, not by labels. An orphan that matches is adopted, an owned object that no longer
matches is let go, and what belongs to somebody else is left alone. Upstream: `controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.resource import Resource
from minik8s.client.client import Client
from minik8s.client.informer import Informer, Lister
from minik8s.machinery.errors import Conflict, Invalid, NotFound
from minik8s.machinery.meta import (
    Doc,
    Obj,
    controller_of,
    controller_reference,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)
from minik8s.machinery.selectors import LabelSelector

if TYPE_CHECKING:
    from minik8s.controllers.runtime import Reconciler

ORPHANS = "orphan"
"""Name of the index of objects without a controller; its values are namespaces."""


@attrs.frozen
class Claims:
    """What to do with the candidates; `owned` needs nothing."""

    owned: tuple[Doc, ...]
    adopt: tuple[Doc, ...]
    release: tuple[Doc, ...]


def sort_claims(owner: Doc, selector: LabelSelector, owned: Iterable[Doc], orphans: Iterable[Doc]) -> Claims:
    """`owned` are the objects that `owner` controls now, `orphans` those of its namespace that nobody does."""
    matches = selector.matches
    kept: list[Doc] = []
    release: list[Doc] = []
    for obj in owned:
        (kept if matches(labels_of(obj)) else release).append(obj)
    if is_terminating(owner):
        return Claims(tuple(kept), (), ())
    adopt = [obj for obj in orphans if matches(labels_of(obj)) and not is_terminating(obj)]
    return Claims(tuple(kept), tuple(adopt), tuple(release))


def index_orphans(informer: Informer[Any]) -> None:
    """Makes the informer keep the index that `claim` needs: so it never looks at what is others'."""
    informer.add_index(ORPHANS, _by_orphanage)


def adopters(controller: Reconciler[Any], orphan: Doc) -> list[tuple[str, str]]:
    """The objects of a controller that an orphan should wake: what its reconciler is mapped by."""
    return wanting_owners(controller.lister, orphan)


def wanting_owners(lister: Lister[Any], orphan: Doc, selector_field: str = "selector") -> list[tuple[str, str]]:
    """(namespace, name) of the controllers that may adopt an orphan; nothing when it has a controller."""
    if controller_of(orphan) is not None:
        return []
    labels = labels_of(orphan)
    if not labels:
        return []
    found = lister.all(namespace_of(orphan))
    return [(namespace_of(o), name_of(o)) for o in found if selector_of(o, selector_field).matches(labels)]


def selector_of(owner: Doc, field: str = "selector") -> LabelSelector:
    """The owner's `spec.selector`: a LabelSelector, or a plain map (ReplicationController), never everything."""
    selector = (owner.get("spec") or {}).get(field)
    if not selector:
        return LabelSelector.from_object(None)
    if "matchLabels" in selector or "matchExpressions" in selector:
        return LabelSelector.from_object(selector)
    return LabelSelector.from_map(selector)


async def claim(
    client: Client,
    owner_resource: Resource[Any],
    owner: Doc,
    resource: Resource[Any],
    lister: Lister[Any],
    selector: LabelSelector | None = None,
    finalizers: Sequence[str] = (),
    member: Callable[[Doc], bool] = lambda _: True,
) -> Sequence[Doc]:
    """The objects of `resource` that `owner` controls once adoption and release have been carried out.

    `finalizers` are put on what is adopted and taken from what is released; only a `member` is adopted. Needs
    `index_orphans` on the informer behind `lister`. Raises Conflict when the owner turns out to be another object, or
    on its way out, while there is something to adopt.
    """
    owned = lister.by_index("owner", uid_of(owner))
    orphans = filter(member, lister.by_index(ORPHANS, namespace_of(owner)))
    claims = sort_claims(owner, selector or selector_of(owner), owned, orphans)
    adopted = []
    if claims.adopt:
        await _check_alive(client, owner_resource, owner)
        reference: Obj = {"ownerReferences": [controller_reference(owner)]}
        if finalizers:
            reference["finalizers"] = list(finalizers)
        adopted = [await _patch(client, resource, orphan, reference) for orphan in claims.adopt]
    for lost in claims.release:
        reference = {"ownerReferences": [{"$patch": "delete", "uid": uid_of(owner)}]}
        if finalizers:
            reference["$deleteFromPrimitiveList/finalizers"] = list(finalizers)
        await _patch(client, resource, lost, reference)
    return [*claims.owned, *(obj for obj in adopted if obj is not None)]


async def _check_alive(client: Client, resource: Resource[Any], owner: Doc) -> None:
    """A live read, because adopting for an owner that is gone would leave an object that nobody owns."""
    live = await client.get(resource, name_of(owner), namespace=namespace_of(owner))
    where = f"{namespace_of(owner)}/{name_of(owner)}"
    if uid_of(live) != uid_of(owner):
        raise Conflict(f"original {resource.kind} {where} is gone: got uid {uid_of(live)}, wanted {uid_of(owner)}")
    if is_terminating(live):
        raise Conflict(f"{where} has just been deleted at {live['metadata']['deletionTimestamp']}")


async def _patch(client: Client, resource: Resource[Any], obj: Doc, metadata: Doc) -> Doc | None:
    """The patched object; None when it is gone, or is another one of the same name."""
    body = {"metadata": {**metadata, "uid": uid_of(obj)}}
    try:
        return await client.patch(resource, name_of(obj), body, namespace=namespace_of(obj), type="strategic")
    except (NotFound, Invalid, Conflict):
        return None


def _by_orphanage(obj: Doc) -> tuple[str, ...]:
    return () if controller_of(obj) is not None else (namespace_of(obj),)

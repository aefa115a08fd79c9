"""New objects that are made alike are worked out once.

The pods of a workload differ in their names, the events of a component in what they are about and when, and in nothing
else that whoever creates them says. What the server makes of such a body until it is stored (decoded, defaulted,
admitted, validated, its owned fields told) is kept as a mould; every further equal body is cast from it, with an
identity of its own and its own text in the mould's holes. Casts share all other parts: a thousand pods have one
spec, the name of its token volume included.

Where a kind's objects differ is the kind's to say (`Strategy.holes`). A mould holds as long as nothing changes that
admission has gone by (`AdmissionPlugin.stands_on`). Nothing is cast where users have registered admission of their
own, which may think of every object as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import orjson

from minik8s.api.request import ApiRequest
from minik8s.api.strategy import Holes
from minik8s.apiserver.body import read_body
from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.registry import Served
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj
from minik8s.store.protocol import Revision, Store

KNOWN = 512
"""Moulds that are kept; that unused for longest goes."""
_OF_ONE_OBJECT = frozenset({"name", "uid", "creationTimestamp"})
MouldKey: TypeAlias = tuple[Any, ...]
"""Endpoint, namespace, options, which holes are filled, and the body without what fills them."""
Fillings: TypeAlias = Mapping[str, Mapping[str, str]]
"""Field -> text, by the part of the object that it is in; "" for the object itself."""


@attrs.frozen(eq=False)
class Mould:
    """What equal bodies become. `managed` are the managedFields, `notes` for the audit entry, `stands_on` resources."""

    obj: Doc
    metadata: Doc
    managed: Sequence[Doc]
    warnings: Sequence[str]
    notes: Mapping[str, str]
    stands_on: Collection[str]
    revision: Revision

    def cast(self, fillings: Fillings, name: str, uid: str, now: str) -> Obj:
        """An object of its own, made of shared parts but for those with holes."""
        obj = dict(self.obj)
        for part, texts in fillings.items():
            if not part:
                obj.update(texts)
            elif part != "metadata":
                obj[part] = {**obj[part], **texts}
        metadata = {**self.metadata, "name": name, "uid": uid, "creationTimestamp": now}
        if self.managed:
            metadata["managedFields"] = [{**entry, "time": now} for entry in self.managed]
        obj["metadata"] = metadata
        return obj


def mould_of(
    obj: Doc, warnings: Sequence[str], notes: Mapping[str, str], stands_on: Collection[str], revision: Revision
) -> Mould:
    """A mould of an object that is ready to be stored."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _OF_ONE_OBJECT}
    managed = metadata.pop("managedFields", ())
    return Mould(obj, metadata, managed, tuple(warnings), dict(notes), stands_on, revision)


@attrs.frozen(eq=False)
class Asked:
    """A request for a new object as far as moulds are concerned: which one, with what in its holes."""

    key: MouldKey
    body: Doc
    fillings: Fillings
    name: str
    base: str


def asked_for(served: Served, request: ApiRequest, options: WriteOptions) -> Asked | None:
    """What a request asks for; None for one that has to be looked at, because it is wrong or says things twice."""
    try:
        body, duplicates = read_body(request, served.resource.kind)
        if duplicates or not isinstance(body.get("metadata"), dict):
            return None
        rest, fillings = _emptied(body, served.strategy.holes)
        name, base = fillings.get("metadata", {}).get("name", ""), rest["metadata"].get("generateName", "")
        if "name" in rest["metadata"] or not isinstance(base, str):
            return None
        filled = tuple([(part, *texts) for part, texts in fillings.items()])
        return Asked((served, request.namespace, options, filled, orjson.dumps(rest)), body, fillings, name, base)
    except (ApiError, TypeError):
        return None


def _emptied(body: Doc, holes: Holes) -> tuple[Obj, Fillings]:
    """The body without what fills its holes, and that. What does not fit into a hole stays in the body."""
    rest: Obj = dict(body)
    fillings = {}
    for part, rules in holes.items():
        inner = rest.get(part) if part else rest
        if not isinstance(inner, dict):
            continue
        left = dict(inner) if part else rest
        texts = {}
        for field, fits in rules.items():
            text = left.get(field)
            if text.__class__ is str and text and (fits is None or fits(text)):
                texts[field] = text
                del left[field]
        if texts:
            fillings[part] = texts
            if part:
                rest[part] = left
    return rest, fillings


class Moulds:
    """The moulds of one server."""

    def __init__(self, store: Store) -> None:
        self.limit = KNOWN
        self._store = store
        self._known: dict[MouldKey, Mould] = {}

    def find(self, key: MouldKey) -> Mould | None:
        """The mould of equal bodies, if there is one that still holds."""
        mould = self._known.pop(key, None)
        if mould is None or self._store.last_change(mould.stands_on) > mould.revision:
            return None
        self._known[key] = mould
        return mould

    def keep(self, key: MouldKey, mould: Mould) -> None:
        if len(self._known) >= self.limit:
            del self._known[next(iter(self._known))]
        self._known[key] = mould

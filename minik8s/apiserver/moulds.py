"""New objects from one template are prepared once.

The pods of a workload differ in their names, and in nothing else that whoever creates them says. What the server makes
of such a body until it is stored (decoded, defaulted, admitted, validated, its owned fields told) is kept as a mould;
every further equal body is cast from it, with a name, uid and date of its own. Casts share their parts: a thousand
pods have one spec, the name of its token volume included.

A mould holds as long as nothing changes that admission has looked at (`AdmissionPlugin.stands_on`). Nothing is cast
where users have registered admission of their own, which may think of every object as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import attrs
import orjson

from minik8s.api.request import ApiRequest
from minik8s.apiserver.body import read_body
from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.registry import Served
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj
from minik8s.store.protocol import Revision, Store

KNOWN = 512
"""Moulds that are kept; that unused for longest goes."""
_OF_ONE_OBJECT = frozenset({"name", "uid", "creationTimestamp"})
MouldKey: TypeAlias = tuple[Served, str, WriteOptions, str, tuple[str, ...], bytes]
"""Endpoint, namespace, options, who asks (name and groups), and the body without the object's name."""


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

    def cast(self, name: str, uid: str, now: str) -> Obj:
        """An object of its own, made of shared parts."""
        metadata = {**self.metadata, "name": name, "uid": uid, "creationTimestamp": now}
        if self.managed:
            metadata["managedFields"] = [{**entry, "time": now} for entry in self.managed]
        return {**self.obj, "metadata": metadata}


def mould_of(
    obj: Doc, warnings: Sequence[str], notes: Mapping[str, str], stands_on: Collection[str], revision: Revision
) -> Mould:
    """A mould of an object that is ready to be stored."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _OF_ONE_OBJECT}
    managed = metadata.pop("managedFields", ())
    return Mould(obj, metadata, managed, tuple(warnings), dict(notes), stands_on, revision)


@attrs.frozen(eq=False)
class Asked:
    """A request for a new object as far as moulds are concerned: which one, and how the object is to be called."""

    key: MouldKey
    name: str
    base: str


def asked_for(served: Served, request: ApiRequest, options: WriteOptions) -> Asked | None:
    """What a request asks for; None for one that has to be looked at, because it is wrong or says things twice."""
    try:
        body, duplicates = read_body(request, served.resource.kind)
        metadata = body["metadata"]
        name, base = metadata.get("name", ""), metadata.get("generateName", "")
        if duplicates or not isinstance(name, str) or not isinstance(base, str):
            return None
        if "name" in metadata:
            body = {**body, "metadata": {key: value for key, value in metadata.items() if key != "name"}}
        user = request.user
        key = (served, request.namespace, options, user.name, user.groups, orjson.dumps(body))
        return Asked(key, name, base)
    except (ApiError, LookupError, AttributeError, TypeError):
        return None


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

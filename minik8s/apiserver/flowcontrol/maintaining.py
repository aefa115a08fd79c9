"""Keeps flow schemas and priority levels as they have to be.

Schemas say whether their level exists. What every server has comes back when it is deleted: the mandatory objects as
they are laid down, the suggested ones unless their annotation says that the spec is somebody's own. Upstream looks
after that once a minute, so a change lasts for up to a minute there; here it is undone before it is answered. Upstream:
`pkg/registry/flowcontrol/ensurer`.
"""

from __future__ import annotations

from random import Random
from typing import Final

import attrs

from minik8s.api.flowcontrol import AUTO_UPDATE, MANDATORY, defaults, found, spec_equalish
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.clock import Clock
from minik8s.machinery.meta import Doc, Obj, annotations_of, evolve, rfc3339
from minik8s.machinery.names import new_uid
from minik8s.store.protocol import Key, Store

_SCHEMAS: Final = FLOW_SCHEMAS.group_resource
_LEVELS: Final = PRIORITY_LEVEL_CONFIGURATIONS.group_resource
_TRUTHS: Final = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True} | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
"""What Go's `strconv.ParseBool` takes."""


def revised(stored: Doc, wanted: Doc) -> Doc:
    """A stored object as it has to be, itself if it is so already. `wanted` is what every server begins with."""
    name = wanted["metadata"]["name"]
    value = _TRUTHS.get(annotations_of(stored).get(AUTO_UPDATE, ""))
    updates = name in MANDATORY or (stored["metadata"].get("generation") == 1 if value is None else value)
    result: Obj = dict(stored)
    if value is not updates:
        annotations = {**annotations_of(stored), AUTO_UPDATE: "true" if updates else "false"}
        result = evolve(result, "metadata", "annotations", value=annotations)
    if updates and not spec_equalish(wanted["spec"], stored["spec"]):
        result = evolve(result, "metadata", "generation", value=stored["metadata"].get("generation", 0) + 1)
        result = {**result, "spec": wanted["spec"]}
    return stored if result == stored else result


def is_unwanted(stored: Doc) -> bool:
    """Whether an object that no server begins with says that it is one of those: an older server's, for upstream."""
    return _TRUTHS.get(annotations_of(stored).get(AUTO_UPDATE, ""), False)


@attrs.define(eq=False)
class Keeper:
    """Of both kinds (see `registry.Keeper`)."""

    _store: Store
    _clock: Clock
    _rng: Random
    finishes_deletions: bool = attrs.field(default=False, init=False)

    def prepare(self, obj: Obj) -> Obj:
        """A schema with its condition as it is now; levels stay as they are."""
        if obj["kind"] != FLOW_SCHEMAS.kind:
            return obj
        name = obj["spec"]["priorityLevelConfiguration"]["name"]
        wanted = missing(name) if self._store.peek((_LEVELS, "", name)) is None else found(name)
        conditions = (obj.get("status") or {}).get("conditions") or []
        if any(c.get("type") == "Dangling" and c.get("status") == wanted["status"] for c in conditions):
            return obj
        wanted = {**wanted, "lastTransitionTime": rfc3339(self._clock.now())}
        others = [c for c in conditions if c.get("type") != "Dangling"]
        return evolve(obj, "status", value={"conditions": [*others, wanted]})

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        return marked

    async def written(self) -> None:
        """After a write to either kind: puts right what is not, levels first, on which schemas depend."""
        wanted = defaults()
        for resource in (_LEVELS, _SCHEMAS):
            for entry in self._store.scan((resource,)):
                if entry.key not in wanted and is_unwanted(entry.value):
                    await self._store.delete(entry.key, expect=entry.modified)
            for key, document in wanted.items():
                if key[0] == resource:
                    await self._ensure(key, document)
        for entry in self._store.scan((_SCHEMAS,)):
            settled = self.prepare(dict(entry.value))
            if settled != entry.value:
                await self._store.put(entry.key, settled, expect=entry.modified)

    async def _ensure(self, key: Key, wanted: Doc) -> None:
        entry = self._store.peek(key)
        if entry is None:
            await self._store.put(key, stored_form(wanted, rfc3339(self._clock.now()), self._rng), expect=0)
        elif (value := revised(entry.value, wanted)) is not entry.value:
            await self._store.put(key, dict(value), expect=entry.modified)


def stored_form(document: Doc, now: str, rng: Random) -> Obj:
    """A document of `defaults` with what differs from cluster to cluster."""
    metadata = {**document["metadata"], "uid": new_uid(rng), "creationTimestamp": now}
    value: Obj = {**document, "metadata": metadata}
    if conditions := document["status"].get("conditions"):
        value["status"] = {"conditions": [{**conditions[0], "lastTransitionTime": now}]}
    return value


async def create_flow_control(store: Store, now: str, rng: Random) -> None:
    """Puts them into a store that has none."""
    for key, document in defaults().items():
        await store.put(key, stored_form(document, now, rng))


def missing(level: str) -> Obj:
    """The condition of a schema whose priority level does not exist."""
    named = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    message = f"{named} but there is no such object"
    return {"type": "Dangling", "status": "True", "reason": "NotFound", "message": message}

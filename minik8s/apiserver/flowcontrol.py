"""Which flow a request belongs to: the first flow schema that matches it, by precedence, as its headers tell.

Requests are not queued here, for nothing in the process waits long enough; but clients and conformance tests look at
X-Kubernetes-Pf-Flowschema-Uid and -Prioritylevel-Uid, and schemas without a priority level say so. Who asks the same
again is answered from memory until a schema or a level changes. Upstream: apiserver `pkg/util/flowcontrol/rule.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from minik8s.api.request import User
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.apiserver.flowschemas import found
from minik8s.apiserver.httpcall import HttpCall, verb_meant
from minik8s.apiserver.requestinfo import RequestInfo
from minik8s.clock import Clock
from minik8s.machinery.meta import Doc, Obj, evolve, name_of, rfc3339, uid_of
from minik8s.store.protocol import Revision, Store

Headers = Sequence[tuple[bytes, bytes]]
_RESOURCES = (FLOW_SCHEMAS.group_resource, PRIORITY_LEVEL_CONFIGURATIONS.group_resource)
REMEMBERED = 4096
"""Questions whose answers are kept."""


class FlowControl:
    """The flows of one server."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: Revision = -1
        self._read_at: Revision = -1
        self._schemas: list[Doc] = []
        self._levels: dict[str, str] = {}
        self._known: dict[object, Headers] = {}

    def headers(self, user: User, call: HttpCall) -> Headers:
        """The headers of a request; none where no schema matches, as in a store without any."""
        revision = self._store.revision
        if revision != self._seen:
            self._seen = revision
            changed = self._store.last_change(_RESOURCES)
            if changed != self._read_at:
                self._read(changed)
        key: Hashable
        info, watches = call.info, "watch" in call.options
        if info is None:
            key = (user.name, user.groups, call.method, call.path)
        else:
            what = (info.group, info.plural, info.subresource, info.namespace)
            key = (user.name, user.groups, call.method, what, not info.name, watches)
        headers = self._known.get(key)
        if headers is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            headers = self._known[key] = self._find(user, verb_meant(call), info, call.path)
        return headers

    def _read(self, changed: Revision) -> None:
        levels = self._store.scan((_RESOURCES[1],))
        self._levels = {name_of(entry.value): uid_of(entry.value) for entry in levels}
        schemas = [entry.value for entry in self._store.scan((_RESOURCES[0],))]
        self._schemas = sorted(schemas, key=lambda s: (s["spec"]["matchingPrecedence"], name_of(s)))
        self._known, self._read_at = {}, changed

    def _find(self, user: User, verb: str, info: RequestInfo | None, path: str) -> Headers:
        for schema in self._schemas:
            level = self._levels.get(schema["spec"]["priorityLevelConfiguration"]["name"])
            if level is not None and matches(schema, user, verb, info, path):
                schema_uid = uid_of(schema)
                return (
                    (b"x-kubernetes-pf-flowschema-uid", schema_uid.encode()),
                    (b"x-kubernetes-pf-prioritylevel-uid", level.encode()),
                )
        return ()


def matches(schema: Doc, user: User, verb: str, info: RequestInfo | None, path: str) -> bool:
    """Whether one of a schema's rules is for this user and what is asked."""
    return any(
        any(_is_subject(subject, user) for subject in rule.get("subjects") or ()) and _allows(rule, verb, info, path)
        for rule in schema["spec"].get("rules") or ()
    )


def _is_subject(subject: Doc, user: User) -> bool:
    kind = subject["kind"]
    if kind == "User":
        return subject["user"]["name"] in ("*", user.name)
    if kind == "Group":
        return subject["group"]["name"] == "*" or subject["group"]["name"] in user.groups
    account = subject["serviceAccount"]
    prefix = f"system:serviceaccount:{account['namespace']}:"
    return user.name.startswith(prefix) and account["name"] in ("*", user.name.removeprefix(prefix))


def _allows(rule: Doc, verb: str, info: RequestInfo | None, path: str) -> bool:
    if info is None:
        return any(_names(r, "verbs", verb) and _is_path(r, path) for r in rule.get("nonResourceRules") or ())
    what = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    return any(
        _names(r, "verbs", verb)
        and _names(r, "apiGroups", info.group)
        and _names(r, "resources", what)
        and (_names(r, "namespaces", info.namespace) if info.namespace else bool(r.get("clusterScope")))
        for r in rule.get("resourceRules") or ()
    )


def _names(rule: Doc, field: str, value: str) -> bool:
    values = rule.get(field) or ()
    return "*" in values or value in values


def _is_path(rule: Doc, path: str) -> bool:
    return any(p == "*" or p == path or (p.endswith("/*") and path.startswith(p[:-1])) for p in rule["nonResourceURLs"])


class SchemaKeeper:
    """Keeps the condition of flow schemas: whether their priority level exists (see `registry.Keeper`)."""

    finishes_deletions = False

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def prepare(self, obj: Obj) -> Obj:
        """A schema with its condition as it is now; levels stay as they are."""
        if obj["kind"] != FLOW_SCHEMAS.kind:
            return obj
        name = obj["spec"]["priorityLevelConfiguration"]["name"]
        level = self._store.peek((_RESOURCES[1], "", name))
        wanted = missing(name) if level is None else found(name)
        conditions = (obj.get("status") or {}).get("conditions") or []
        if any(c.get("type") == "Dangling" and c.get("status") == wanted["status"] for c in conditions):
            return obj
        wanted = {**wanted, "lastTransitionTime": rfc3339(self._clock.now())}
        others = [c for c in conditions if c.get("type") != "Dangling"]
        return evolve(obj, "status", value={"conditions": [*others, wanted]})

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        return marked

    async def written(self) -> None:
        """After a write to either kind: a level may have come or gone."""
        for entry in self._store.scan((_RESOURCES[0],)):
            settled = self.prepare(entry.value)
            if settled is not entry.value:
                await self._store.put(entry.key, settled, expect=entry.modified)


def missing(level: str) -> Obj:
    """The condition of a schema whose priority level does not exist."""
    named = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    message = f"{named} but there is no such object"
    return {"type": "Dangling", "status": "True", "reason": "NotFound", "message": message}

"""Who asked for what, and what came of it: the audit log.

The newest requests are kept in a ring that tests and tools read (`cluster.audit`), in the order in which they were
answered, and may be written to a file as well, one audit.k8s.io/v1 Event of level Metadata a line. Keeping one costs
a microsecond; the readable form is made when somebody reads. Requests that never left the process are kept too, but
for those of the cluster's own components, which would drown everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from io import TextIOBase
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import attrs
import orjson

from minik8s.api.request import User
from minik8s.apiserver.requestinfo import RequestInfo
from minik8s.clock import Clock
from minik8s.machinery.meta import Obj, rfc3339_micro

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"
MAX_ID = 64
"""Characters of an Audit-ID that a client may choose."""


@attrs.frozen(kw_only=True)
class AuditEvent:
    """One answered request. `annotations` hold the authorizer's decision and admission's words.

    `latency` is in seconds, for a watch until it was over. `impersonated` is who the user acted as.
    """

    id: str
    verb: str
    uri: str
    user: User
    impersonated: User | None
    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    received: datetime
    latency: float
    user_agent: str
    source: str
    annotations: Mapping[str, str]

    def to_dict(self) -> Obj:
        """As audit.k8s.io/v1 has it."""
        event: Obj = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": self.id,
            "stage": "ResponseComplete",
            "requestURI": self.uri,
            "verb": self.verb,
            "user": _user(self.user),
        }
        if self.impersonated is not None:
            event["impersonatedUser"] = _user(self.impersonated)
        event["sourceIPs"] = [self.source] if self.source else []
        event["userAgent"] = self.user_agent
        if self.resource:
            names = ("resource", "namespace", "name", "subresource")
            about = {key: getattr(self, key) for key in names}
            about |= {"apiGroup": self.group, "apiVersion": self.version}
            event["objectRef"] = {key: value for key, value in about.items() if value}
        event["responseStatus"] = {"metadata": {}, "code": self.code}
        event["requestReceivedTimestamp"] = rfc3339_micro(self.received)
        event["stageTimestamp"] = rfc3339_micro(self.received + timedelta(seconds=self.latency))
        event["annotations"] = dict(self.annotations)
        return event


def _user(user: User) -> Obj:
    found: Obj = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    found["extra"] = {key: list(values) for key, values in user.extra.items()}
    return {key: value for key, value in found.items() if value}


Kept = tuple[
    bytes, str, str, str, User, User | None, RequestInfo | None, int, float, float, bytes, tuple[str, int] | None,
    Mapping[str, str],
]  # fmt: skip
"""What is kept of a request until somebody asks, as a tuple because it is made for every request.

That is: id, verb, path, query, user, whom it acted as, what its path said, code, when it began (by the clock's
monotonic time), how long it took, the user agent, the client's address, annotations.
"""


class AuditLog:
    """The ring and, if there is one, the file. Iterates from the oldest event to the newest."""

    def __init__(self, size: int, rng: Random, clock: Clock) -> None:
        self._ring: deque[Kept] = deque(maxlen=size)
        self._file: TextIOBase | None = None
        self._rng, self._clock = rng, clock
        self._prefix = b""
        self.total = 0
        """How many requests there have been."""

    def __iter__(self) -> Iterator[AuditEvent]:
        return map(self._event, tuple(self._ring))

    def __len__(self) -> int:
        return len(self._ring)

    def events(self, **wanted: Any) -> Sequence[AuditEvent]:
        """The kept events whose attributes are as given: `events(verb="create", resource="pods", code=403)`."""
        return [event for event in self if all(getattr(event, name) == value for name, value in wanted.items())]

    def clear(self) -> None:
        """Forgets what is kept in memory."""
        self._ring.clear()

    def identify(self, asked: bytes | None) -> bytes:
        """The id of a new request: what its client asks for, or one of our own, in the form of a UUID."""
        self.total = total = self.total + 1
        if asked:
            return asked[:MAX_ID]
        return b"%b%012x" % (self._prefix or self._begin(), total)

    def _begin(self) -> bytes:
        """The part of the ids that all have; as the cluster's seed has it, but without drawing from it."""
        raw = f"{Random(str(self._rng.getstate())).getrandbits(80):020x}"
        self._prefix = f"{raw[:8]}-{raw[8:12]}-4{raw[12:15]}-8{raw[15:18]}-".encode()
        return self._prefix

    def keep(self, kept: Kept) -> None:
        """Takes a request that has been answered."""
        self._ring.append(kept)
        if self._file is not None:
            self._file.write(orjson.dumps(self._event(kept).to_dict()).decode() + "\n")

    def _event(self, kept: Kept) -> AuditEvent:
        id_, verb, path, query, user, acting, info, code, began, latency, user_agent, client, annotations = kept
        info = info or RequestInfo("", "", "")
        return AuditEvent(
            id=id_.decode("ascii", "replace"),
            verb=verb,
            uri=quote(path, safe="/:@!$&'()*+,;=-._~") + (f"?{query}" if query else ""),
            user=user,
            impersonated=acting,
            group=info.group,
            version=info.version,
            resource=info.plural,
            subresource=info.subresource,
            namespace=info.namespace,
            name=info.name,
            code=code,
            received=self._clock.now() - timedelta(seconds=self._clock.monotonic() - began),
            latency=latency,
            user_agent=user_agent.decode("latin-1"),
            source=client[0] if client else "",
            annotations=annotations,
        )

    def open(self, path: Path) -> None:
        """Appends to a file from now on, line by line; raises OSError."""
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        """Ends the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

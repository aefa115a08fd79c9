"""What was asked of the server, for tests of how much their subject asks.

with cluster.recording(agent="my-operator") as log:
    ...
log.at_most(3, verb="write")
assert log.count(verb="create") == 1, str(log)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.interception import Proceed, Where, where_of
from minik8s.apiserver.response import ApiResponse
from minik8s.machinery.errors import ApiError

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext


@attrs.frozen
class LoggedRequest:
    """One request: when it came, what it was, and the code of its answer."""

    at: datetime
    request: ApiRequest
    code: int

    @property
    def what(self) -> str:
        """`patch pods/status`"""
        request = self.request
        subresource = f"/{request.subresource}" if request.subresource else ""
        return f"{request.verb} {request.resource.group_resource}{subresource}"

    def __str__(self) -> str:
        request = self.request
        where = "/".join(part for part in (request.namespace, request.name) if part)
        return f"{self.at:%H:%M:%S.%f} {request.user_agent}: {self.what} {where} -> {self.code}"


SHOWN = 20
"""Requests that are told one by one; more are counted."""


def _shown(requests: Sequence[LoggedRequest]) -> str:
    """How many of what by whom, most first, and the last requests: a log of thousands is to be read as well."""
    if not requests:
        return "no requests"
    last = [str(logged) for logged in requests[-SHOWN:]]
    if len(requests) <= SHOWN:
        return "\n".join(last)
    counts = Counter(f"{logged.what} by {logged.request.user_agent}" for logged in requests)
    return "\n".join([*(f"{number:>7} {what}" for what, number in counts.most_common()), "the last of them:", *last])


class RequestLog:
    """The requests that were made while its context lasted, of those that `Where` means."""

    def __init__(self, ctx: ServerContext, where: Where) -> None:
        self._ctx, self._where = ctx, where
        self.requests: list[LoggedRequest] = []

    def __enter__(self) -> Self:
        self._ctx.interceptors.insert(0, self._intercept)  # before the faults: what they refuse was asked, too
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ctx.interceptors.remove(self._intercept)

    def count(self, **where: Any) -> int:
        """How many requests there were, or of those that `Where` means."""
        chosen = where_of(self._ctx, where)
        return sum(1 for logged in self.requests if chosen.matches(logged.request))

    def summary(self) -> Counter[str]:
        """How many of each verb and resource: `{"patch pods/status": 3}`."""
        return Counter(logged.what for logged in self.requests)

    def at_most(self, number: int, **where: Any) -> None:
        """Asserts that there were no more requests, or no more of those that `where` means. A loop that never rests is
        found by this. Raises AssertionError, which counts them and shows the last.
        """
        chosen = where_of(self._ctx, where)
        met = [logged for logged in self.requests if chosen.matches(logged.request)]
        if len(met) > number:
            about = f" ({chosen})" if where else ""
            raise AssertionError(f"{len(met)} requests, and at most {number} were expected{about}\n{_shown(met)}")

    def __repr__(self) -> str:
        """Short enough for pytest, which shows of an assertion's operands no more than a line."""
        most = ", ".join(f"{number} {what}" for what, number in self.summary().most_common(3))
        return f"<{len(self.requests)} requests{f': {most}' if most else ''}>"

    def __str__(self) -> str:
        return _shown(self.requests)

    async def _intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        if not self._where.matches(request):
            return await proceed(request)
        at = self._ctx.clock.now()
        try:
            response = await proceed(request)
        except ApiError as error:
            self.requests.append(LoggedRequest(at, request, error.code))
            raise
        self.requests.append(LoggedRequest(at, request, getattr(response, "code", 200)))
        return response

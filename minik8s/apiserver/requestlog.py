"""What was asked of the server, for tests of how much their subject asks.

with cluster.recording(agent="my-operator") as log:
    ...
assert log.count(verb="write") <= 3, log
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.interception import Proceed, Where
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

    def __str__(self) -> str:
        request = self.request
        what = request.resource.group_resource + (f"/{request.subresource}" if request.subresource else "")
        where = "/".join(part for part in (request.namespace, request.name) if part)
        return f"{self.at:%H:%M:%S.%f} {request.user_agent}: {request.verb} {what} {where} -> {self.code}"


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
        chosen = Where(**where)
        return sum(1 for logged in self.requests if chosen.matches(logged.request))

    def summary(self) -> Counter[str]:
        """How many of each verb and resource: `{"patch pods/status": 3}`."""
        return Counter(
            f"{r.request.verb} {r.request.resource.group_resource}"
            + (f"/{r.request.subresource}" if r.request.subresource else "")
            for r in self.requests
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.requests)) or "no requests"

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

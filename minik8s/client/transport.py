"""The road to an API server: in process or over HTTP, the same calls and the same errors."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from minik8s.api.request import ApiRequest, ByteStream, ListResult, WatchStream
from minik8s.machinery.meta import Obj


class Transport(Protocol):
    """Carries out requests; every failure is an `ApiError` (or `OSError` when nobody answers)."""

    async def call(self, request: ApiRequest) -> Obj:
        """get, create, update, patch, delete, and subresources that answer one document."""
        ...

    async def list(self, request: ApiRequest) -> ListResult:
        """list and deletecollection."""
        ...

    def watch(self, request: ApiRequest) -> AbstractAsyncContextManager[WatchStream]:
        """A stream of batches; leaving the context ends the watch on both sides."""
        ...

    def stream(self, request: ApiRequest) -> AbstractAsyncContextManager[ByteStream]:
        """Raw bytes: pods/log."""
        ...

    async def aclose(self) -> None: ...

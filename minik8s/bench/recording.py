"""API calls as they are made: how long each kind takes, how many there are, and when each write was sent.

A `RecordingTransport` stands before any transport, so that calls in process and over HTTP are measured alike. Latency
is from the call to its decoded answer in the machine's time, retries that the server asked for included. Streams are
not timed: a watch has no end that means anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final, TypeAlias

from minik8s.api.request import APPLY_PATCH, ApiRequest, ByteStream, ListResult, WatchStream
from minik8s.bench.histogram import Histogram
from minik8s.bench.results import Series
from minik8s.client.transport import Transport
from minik8s.clock import Clock, RealClock
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Obj

CallKind: TypeAlias = tuple[str, str, str, str]
"""(verb, resource with its group, subresource, scope), as apiserver_request_duration_seconds labels them."""
Sent: TypeAlias = Callable[[ApiRequest, Obj, float], None]
"""Is told of an answered write: the request, the answer, and when it was sent in the machine's time."""
_VERBS: Final = {"get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
                 "delete": "DELETE", "deletecollection": "DELETECOLLECTION"}  # fmt: skip
_WRITES: Final = frozenset({"create", "update", "patch", "delete"})


def kind_of(request: ApiRequest) -> CallKind:
    """What sort of call a request is."""
    verb = "APPLY" if request.content_type == APPLY_PATCH else _VERBS[request.verb]
    scope = "resource" if request.name or verb == "POST" else "namespace" if request.namespace else "cluster"
    return verb, request.resource.group_resource, request.subresource, scope


def labels_of(kind: CallKind) -> dict[str, str]:
    return dict(zip(("verb", "resource", "subresource", "scope"), kind, strict=True))


class Calls:
    """Latencies by kind of call, counts by who asked, and failures by their code."""

    def __init__(self) -> None:
        self.latencies: dict[CallKind, Histogram] = {}
        self.counts: Counter[tuple[str, CallKind]] = Counter()
        self.failures: Counter[tuple[CallKind, str]] = Counter()

    def add(self, request: ApiRequest, seconds: float, failure: str = "") -> None:
        """Notes an answer; `failure` is its reason, if it was one."""
        kind = kind_of(request)
        self.counts[request.user_agent.partition("/")[0], kind] += 1
        if failure:
            self.failures[kind, failure] += 1
        if kind[0] == "WATCH":
            return
        histogram = self.latencies.get(kind)
        if histogram is None:
            histogram = self.latencies[kind] = Histogram()
        histogram.record(seconds)

    def latency_series(self) -> list[Series]:
        """By kind of call, the most frequent first."""
        found = sorted(self.latencies.items(), key=lambda item: (-item[1].count, item[0]))
        return [Series(labels_of(kind), "s", histogram) for kind, histogram in found]

    def count_series(self) -> list[Series]:
        """By who asked for what, in a fixed order."""
        return [
            Series({"client": agent, **labels_of(kind)}, "requests", value=float(count))
            for (agent, kind), count in sorted(self.counts.items())
        ]

    def failure_series(self) -> list[Series]:
        return [
            Series({**labels_of(kind), "reason": reason}, "requests", value=float(count))
            for (kind, reason), count in sorted(self.failures.items())
        ]


class Recorder:
    """Those who want to know of calls, and of writes; a call costs little while there are none."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or RealClock()
        self._calls: list[Calls] = []
        self._writes: list[Sent] = []

    @contextmanager
    def timing(self, request: ApiRequest) -> Iterator[Callable[[Obj], None]]:
        """Measures what is done inside; the function takes the answer to a write."""
        began = self.clock.monotonic()
        failure = ""

        def answered(answer: Obj) -> None:
            for sent in self._writes:
                sent(request, answer, began)

        try:
            yield answered
        except ApiError as error:
            failure = error.reason or str(error.code)
            raise
        except OSError:
            failure = "ConnectionError"
            raise
        finally:
            if self._calls:
                seconds = self.clock.monotonic() - began
                for calls in self._calls:
                    calls.add(request, seconds, failure)

    def record(self, calls: Calls) -> Callable[[], None]:
        """Adds every call to `calls` until the answered function is called."""
        self._calls.append(calls)
        return lambda: self._calls.remove(calls)

    def on_write(self, sent: Sent) -> Callable[[], None]:
        """Tells of every write until the answered function is called."""
        self._writes.append(sent)
        return lambda: self._writes.remove(sent)


class RecordingTransport:
    """A transport whose calls are noted."""

    def __init__(self, inner: Transport, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder

    async def call(self, request: ApiRequest) -> Obj:
        with self._recorder.timing(request) as answered:
            answer = await self._inner.call(request)
            if request.verb in _WRITES:
                answered(answer)
            return answer

    async def list(self, request: ApiRequest) -> ListResult:
        with self._recorder.timing(request):
            return await self._inner.list(request)

    def watch(self, request: ApiRequest) -> AbstractAsyncContextManager[WatchStream]:
        return self._inner.watch(request)

    def stream(self, request: ApiRequest) -> AbstractAsyncContextManager[ByteStream]:
        return self._inner.stream(request)

    async def aclose(self) -> None:
        await self._inner.aclose()

"""What the server counts, under kube-apiserver's names and in Prometheus' text format.

A request costs a look-up and three additions; text is made when somebody asks for /metrics. A client library would look
up labels and take a lock for each of several metrics, several times what counting costs here, and its registry is one
for the process while there may be many clusters in it. Upstream: apiserver `pkg/endpoints/metrics`. Labels only ever
name resources that are served, so that no caller can make the tables grow.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final

import attrs

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
)  # fmt: skip
BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)
_LABELS: Final = ("verb", "group", "version", "resource", "subresource", "scope")
_CODED: Final = (*_LABELS, "dry_run", "code")
Labels = tuple[str, ...]


class Histogram:
    """Observations in buckets; `bounds` are their upper ends."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.buckets, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value


@attrs.define(slots=True, eq=False)
class Series:
    """One kind of request with one outcome. Histograms do not tell codes apart, so that several series share one."""

    labels: Labels
    duration: Histogram | None
    size: Histogram | None
    count: int = 0

    def add(self, seconds: float, size: int) -> None:
        self.count += 1
        if self.duration is not None:
            self.duration.observe(seconds)
        if self.size is not None:
            self.size.observe(size)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self.requests: dict[Hashable, Series] = {}
        """By what tells them apart, in whatever form that is cheapest to look up."""
        self._durations: dict[Labels, Histogram] = {}
        self._sizes: dict[Labels, Histogram] = {}
        self.longrunning: Counter[Labels] = Counter()
        """Watches and streams under way, by the labels of their requests."""
        self.watch_events: Counter[Labels] = Counter()
        """Events sent, by (group, version, resource)."""
        self.terminations: Counter[Labels] = Counter()
        """Requests ended by the server, by (code,)."""

    def series(self, key: Hashable, labels: Labels, *, ends: bool) -> Series:
        """A new series; `labels` are those of apiserver_request_total, `ends` is False for requests that last."""
        duration = self._durations.setdefault(labels[:7], Histogram(SECONDS)) if ends else None
        reads = ends and labels[0] in ("GET", "LIST")
        size = self._sizes.setdefault(labels[:6], Histogram(BYTES)) if reads else None
        series = self.requests[key] = Series(labels, duration, size)
        return series

    def lines(self) -> Iterator[str]:
        """Everything counted here, as text."""
        counts: Counter[Labels] = Counter()
        for series in self.requests.values():
            counts[series.labels] += series.count
        yield from counter("apiserver_request_total", "Counter of apiserver requests", _component(_CODED), counts)
        what = "Response latency distribution in seconds"
        names = _component((*_LABELS, "dry_run"))
        yield from histogram("apiserver_request_duration_seconds", what, names, _own(self._durations))
        what = "Response size distribution in bytes"
        yield from histogram("apiserver_response_sizes", what, _component(_LABELS), _own(self._sizes))
        what = "Gauge of all active long-running apiserver requests"
        yield from gauge("apiserver_longrunning_requests", what, _component(_LABELS), +self.longrunning)
        what = "Number of events sent in watch clients"
        names = ("group", "version", "resource")
        yield from counter("apiserver_watch_events_total", what, names, self.watch_events)
        what = "Number of requests which apiserver terminated in self-defense"
        yield from counter("apiserver_request_terminations_total", what, ("code",), self.terminations)


def _component(names: Labels) -> Labels:
    return (*names, "component")


def _own(histograms: Mapping[Labels, Histogram]) -> Mapping[Labels, Histogram]:
    return {(*labels, "apiserver"): histogram for labels, histogram in histograms.items()}


def gauge(name: str, what: str, names: Labels, values: Mapping[Labels, float]) -> Iterator[str]:
    """A metric that goes up and down."""
    return _metric(name, "gauge", what, names, values)


def counter(name: str, what: str, names: Labels, values: Mapping[Labels, float]) -> Iterator[str]:
    """A metric that only grows."""
    return _metric(name, "counter", what, names, values)


def _metric(name: str, kind: str, what: str, names: Labels, values: Mapping[Labels, float]) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{_labels(names, labels)} {_number(value)}"


def histogram(name: str, what: str, names: Labels, values: Mapping[Labels, Histogram]) -> Iterator[str]:
    """A metric of what was observed how often."""
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} histogram"
    for labels, observed in values.items():
        total = 0
        for bound, count in zip((*observed.bounds, float("inf")), observed.buckets, strict=True):
            total += count
            le = "+Inf" if bound == float("inf") else _number(bound)
            yield f"{name}_bucket{_labels((*names, 'le'), (*labels, le))} {total}"
        yield f"{name}_sum{_labels(names, labels)} {_number(observed.sum)}"
        yield f"{name}_count{_labels(names, labels)} {total}"


def _labels(names: Labels, values: Iterable[str]) -> str:
    """`{a="b"}` in the order of the names; a last name without a value is the component."""
    values = (*values, "apiserver")
    pairs = sorted(zip(names, values, strict=False))
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)

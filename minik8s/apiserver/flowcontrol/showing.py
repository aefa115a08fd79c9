"""Priority and fairness as it is shown: metrics, and the tables below /debug/api_priority_and_fairness.

Upstream: apiserver `pkg/util/flowcontrol/metrics`, `pkg/util/flowcontrol/apf_controller_debug.go`. Executing requests
are listed if they came from a queue; those that found room are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from minik8s.apiserver.counting import Histogram, Labels, counter, gauge, histogram
from minik8s.apiserver.flowcontrol.flows import Flow, FlowControl
from minik8s.apiserver.flowcontrol.levels import WAIT_SECONDS, Counts, Level
from minik8s.apiserver.flowcontrol.queueset import Queue, Waiter
from minik8s.clock import Clock

PREFIX = "debug/api_priority_and_fairness/"
Rows = Iterable[Sequence[object]]
Numbers = dict[Labels, float]
Observed = dict[Labels, Histogram]
_NAME = "apiserver_flowcontrol_"
_SCHEMA = ("priority_level", "flow_schema")


def metrics(flows: FlowControl) -> Iterator[str]:
    """Lines in Prometheus' text format."""
    levels = [flows.levels.by_name[name] for name in sorted(flows.levels.by_name)]
    for name, what, value in _OF_LEVELS:
        yield from gauge(_NAME + name, what, _SCHEMA[:1], {(level.name,): value(level) for level in levels})
    counted: dict[Labels, Counts] = {(level.name, name): c for level in levels for name, c in level.counts.items()}
    for name, what, number in _OF_FLOWS:
        yield from gauge(_NAME + name, what, _SCHEMA, {labels: number(c) for labels, c in counted.items()})
    what = "Number of requests executed by API Priority and Fairness subsystem"
    dispatched: Numbers = {labels: counts.dispatched for labels, counts in counted.items()}
    yield from counter(_NAME + "dispatched_requests_total", what, _SCHEMA, dispatched)
    what = "Number of requests rejected by API Priority and Fairness subsystem"
    rejected: Numbers = {(*labels, why): n for labels, c in counted.items() for why, n in c.rejected.items()}
    yield from counter(_NAME + "rejected_requests_total", what, (*_SCHEMA, "reason"), rejected)
    what = "Length of time a request spent waiting in its queue"
    waits: Observed = {(*labels, word): wait for labels, c in counted.items() for word, wait in _waits(c).items()}
    yield from histogram(_NAME + "request_wait_duration_seconds", what, (*_SCHEMA, "execute"), waits)
    what = "Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued"
    lengths: Observed = {labels: c.lengths for labels, c in counted.items() if c.waits or c.waiting}
    yield from histogram(_NAME + "request_queue_length_after_enqueue", what, _SCHEMA, lengths)


def _waits(counts: Counts) -> Mapping[str, Histogram]:
    """Those who found room have waited for no time."""
    executed = Histogram(WAIT_SECONDS)
    if (waited := counts.waits.get("true")) is not None:
        executed.buckets, executed.sum = list(waited.buckets), waited.sum
    executed.buckets[0] += counts.dispatched - sum(executed.buckets)
    return {**counts.waits, "true": executed}


_OF_LEVELS: Sequence[tuple[str, str, Callable[[Level], float]]] = (
    ("nominal_limit_seats", "Nominal number of execution seats configured for each priority level",
     lambda level: level.bounds.nominal),
    ("lower_limit_seats", "Configured lower bound on number of execution seats available to each priority level",
     lambda level: level.bounds.lowest),
    ("upper_limit_seats", "Configured upper bound on number of execution seats available to each priority level",
     lambda level: level.bounds.highest),
    ("current_limit_seats", "current derived number of execution seats available to each priority level",
     lambda level: level.current),
    ("demand_seats_high_watermark", "High watermark, over last adjustment period, of demand_seats",
     lambda level: level.demand.last.highest),
    ("demand_seats_average", "Time-weighted average, over last adjustment period, of demand_seats",
     lambda level: level.demand.last.average),
    ("demand_seats_stdev", "Time-weighted standard deviation, over last adjustment period, of demand_seats",
     lambda level: level.demand.last.deviation),
    ("demand_seats_smoothed", "Smoothed seat demands", lambda level: level.demand.smoothed),
)  # fmt: skip
_OF_FLOWS: Sequence[tuple[str, str, Callable[[Counts], float]]] = (
    ("current_executing_requests", "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution "
     "stage in the API Priority and Fairness subsystem", lambda counts: counts.executing),
    ("current_executing_seats", "Concurrency (number of seats) occupied by the currently executing (initial stage for "
     "a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem",
     lambda counts: counts.seats),
    ("current_inqueue_requests", "Number of requests currently pending in queues of the API Priority and Fairness "
     "subsystem", lambda counts: counts.waiting),
    ("current_inqueue_seats", "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
     lambda counts: counts.waiting_seats),
)  # fmt: skip


def dump(flows: FlowControl, what: str, clock: Clock) -> str | None:
    """One of the tables; None for one that there is not."""
    if what == "dump_priority_levels":
        return table(_LEVEL_COLUMNS, _level_rows(flows))
    if what == "dump_queues":
        return table(_QUEUE_COLUMNS, _queue_rows(flows))
    if what == "dump_requests":
        return table(_REQUEST_COLUMNS, _request_rows(flows, clock.now(), clock.monotonic()))
    return None


_LEVEL_COLUMNS = (
    "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
    "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
)  # fmt: skip
_QUEUE_COLUMNS = (
    "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
    "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
)  # fmt: skip
_REQUEST_COLUMNS = (
    "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
    "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
)  # fmt: skip
_NEVER = "0001-01-01T00:00:00Z"


def _level_rows(flows: FlowControl) -> Rows:
    for name, level in sorted(flows.levels.by_name.items()):
        queues, counts = level.queues, level.counts.values()
        reasons = sum((c.rejected for c in counts), Counter[str]())
        active = sum(bool(queue.waiting) for queue in queues.queues.values())
        dispatched, rejected = sum(c.dispatched for c in counts), reasons.total()
        numbers = (queues.waiting, queues.executing, dispatched, rejected)
        ended = (reasons["time-out"], reasons["cancelled"])
        yield (name, active, _bool(queues.idle), _bool(level.retiring), *numbers, *ended)


def _queue_rows(flows: FlowControl) -> Rows:
    for name, level in sorted(flows.levels.by_name.items()):
        queues = level.queues.queues
        for index in range(max(level.queues.shape.queues, max(queues, default=-1) + 1)):
            queue = queues.get(index) or Queue(index, 0.0)
            seats = sum(waiter.width for waiter in queue.waiting)
            work = sum(waiter.work for waiter in queue.waiting)
            yield (name, index, len(queue.waiting), queue.executing, queue.seats, f"{queue.next_r:.8f}ss", seats, seats,
                   f"{work:.8f}ss")  # fmt: skip


def _request_rows(flows: FlowControl, now: datetime, monotonic: float) -> Rows:
    for name, level in sorted(flows.levels.by_name.items()):
        for index, queue in sorted(level.queues.queues.items()):
            for place, waiter in enumerate(queue.waiting):
                yield _request_row(name, index, place, waiter, now - timedelta(seconds=monotonic - waiter.arrived))


def _request_row(level: str, queue: int, place: int, waiter: Waiter, arrived: datetime) -> Sequence[object]:
    flow: Flow = waiter.tag.flow
    date = f"{arrived.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    return (level, flow.schema, queue, place, flow.distinguisher, date, waiter.width, 0, "0s", _NEVER)


def _bool(value: bool) -> str:
    return "true" if value else "false"


def table(columns: Sequence[str], rows: Rows) -> str:
    """Go's tabwriter with cells of at least eight characters, as upstream sets it."""
    lines = [[*(f"{cell}," for cell in cells[:-1]), f"{cells[-1]}"] for cells in (columns, *rows)]
    widths = [max(8, *(len(line[i]) + 1 for line in lines)) for i in range(len(columns) - 1)]
    padded = (zip(line, [*widths, 0], strict=True) for line in lines)
    return "".join("".join(cell.ljust(width) for cell, width in line) + "\n" for line in padded)

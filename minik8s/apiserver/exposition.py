"""/metrics: what is counted, and what is looked up when somebody asks: the store's objects, the process."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.counting import Labels, counter, gauge
from minik8s.apiserver.flowcontrol import showing
from minik8s.clock import process_started
from minik8s.config import VERSION

Values = dict[Labels, float]


def metrics_text(ctx: ServerContext) -> str:
    """Everything, in Prometheus' text format."""
    parts = (ctx.metrics.lines(), showing.metrics(ctx.flows), _server(ctx), _process())
    return "".join(f"{line}\n" for part in parts for line in part)


def _server(ctx: ServerContext) -> Iterator[str]:
    names = {False: "readOnly", True: "mutating"}
    current: Values = {(names[mutating],): float(count) for mutating, count in ctx.inflight.current.items()}
    what = "Maximal number of currently used inflight request limit of this apiserver per request kind in last second"
    yield from gauge("apiserver_current_inflight_requests", what, ("request_kind",), current)
    what = "Counter of audit events generated and sent to the audit backend"
    yield from counter("apiserver_audit_event_total", what, (), {(): ctx.audit.total})
    sizes: Values = {(name.partition(".")[2], name.partition(".")[0]): n for name, n in ctx.store.sizes().items()}
    what = "Number of stored objects at the time of last check split by kind"
    by_name: Values = {(f"{plural}.{group}" if group else plural,): count for (group, plural), count in sizes.items()}
    yield from gauge("apiserver_storage_objects", what, ("resource",), by_name)
    yield from gauge("apiserver_resource_objects", what, ("group", "resource"), sizes)
    statistics = ctx.store.statistics()
    what = "Current revision of the store"
    yield from gauge("etcd_debugging_mvcc_current_revision", what, (), {(): statistics.revision})
    yield from gauge("etcd_debugging_mvcc_watcher_total", "Watchers of the store", (), {(): statistics.watchers})
    major, minor, _ = VERSION.removeprefix("v").split(".")
    what = "A metric with a constant value 1, labeled by what was built"
    names_of = ("major", "minor", "git_version")
    yield from gauge("kubernetes_build_info", what, names_of, {(major, minor, VERSION): 1.0})


def _process() -> Iterator[str]:
    """The process as Prometheus' clients describe it; what the platform does not tell is left out."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    what = "Total user and system CPU time spent in seconds"
    yield from counter("process_cpu_seconds_total", what, (), {(): usage.ru_utime + usage.ru_stime})
    what = "Start time of the process since unix epoch in seconds"
    yield from gauge("process_start_time_seconds", what, (), {(): process_started()})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield from gauge("process_max_fds", "Maximum number of open file descriptors", (), {(): limit})
    try:
        virtual, resident = Path("/proc/self/statm").read_text("ascii").split()[:2]
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        return
    page = os.sysconf("SC_PAGE_SIZE")
    yield from gauge("process_open_fds", "Number of open file descriptors", (), {(): descriptors})
    yield from gauge("process_virtual_memory_bytes", "Virtual memory size in bytes", (), {(): int(virtual) * page})
    yield from gauge("process_resident_memory_bytes", "Resident memory size in bytes", (), {(): int(resident) * page})

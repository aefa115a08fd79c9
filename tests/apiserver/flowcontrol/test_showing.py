"""Metrics of priority and fairness, and its tables for people."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.apiserver.flowcontrol.flows import Flow, Turn
from minik8s.apiserver.flowcontrol.levels import Counts
from minik8s.apiserver.flowcontrol.showing import dump, table

pytestmark = pytest.mark.anyio
BASE = "/debug/api_priority_and_fairness/"


def test_a_table() -> None:
    """Columns as wide as their widest cell, at least eight, the last one as it is; a comma behind each but the last."""
    assert table(("Name", "LongHeader", "End"), [("a-long-name", 1, "x")]) == (
        "Name,        LongHeader, End\n"
        "a-long-name, 1,          x\n"
    )  # fmt: skip


async def test_levels_and_queues(guarded: Any, admin: dict[str, str]) -> None:
    """A row for each level, and for each queue; who may see them is RBAC's to say."""
    assert (await guarded.call("GET", f"{BASE}dump_priority_levels")).status_code == 403
    levels = (await guarded.call("GET", f"{BASE}dump_priority_levels", headers=admin)).text.splitlines()
    assert levels[0].split() == [
        "PriorityLevelName,", "ActiveQueues,", "IsIdle,", "IsQuiescing,", "WaitingRequests,", "ExecutingRequests,",
        "DispatchedRequests,", "RejectedRequests,", "TimedoutRequests,", "CancelledRequests",
    ]  # fmt: skip
    rows = {line.split(",")[0]: [cell.strip() for cell in line.split(",")[1:]] for line in levels[1:]}
    assert rows["system"] == ["0", "true", "false", "0", "0", "0", "0", "0", "0"]
    assert rows["exempt"][:2] == ["0", "false"]
    assert rows["global-default"][5] == "1"
    queues = (await guarded.call("GET", f"{BASE}dump_queues", headers=admin)).text.splitlines()
    assert len(queues) == 1 + 64 + 64 + 16 + 128 * 3
    requests = (await guarded.call("GET", f"{BASE}dump_requests", headers=admin)).text.splitlines()
    assert len(requests) == 1
    assert requests[0].startswith(
        "PriorityLevelName, FlowSchemaName, QueueIndex, RequestIndexInQueue, FlowDistingsher,"
    )
    assert (await guarded.call("GET", f"{BASE}dump_else", headers=admin)).status_code == 404


async def test_who_waits_is_shown(guarded: Any) -> None:
    """Where, since when, and who it is."""
    flows = guarded.ctx.flows
    flows.refresh()
    level = flows.levels.by_name["global-default"]
    level.queues.limit = 0
    flow = Flow("global-default", "bob", level, Counts(), (), lists=False)
    waiter = level.queues.arrive(guarded.clock.monotonic(), 3, 0, Turn(flow))
    guarded.clock.advance(5)
    text = dump(flows, "dump_requests", guarded.clock)
    assert text is not None
    assert [cell.strip() for cell in text.splitlines()[1].split(",")] == [
        "global-default", "global-default", "0", "0", "bob", "2026-01-01T00:00:00Z", "3", "0", "0s",
        "0001-01-01T00:00:00Z",
    ]  # fmt: skip
    queues = dump(flows, "dump_queues", guarded.clock)
    assert queues is not None
    row = next(line for line in queues.splitlines() if line.startswith("global-default, ") and " 0, " in line)
    assert [cell.strip() for cell in row.split(",")][1:3] == ["0", "1"]
    level.queues.give_up(guarded.clock.monotonic(), waiter)


async def test_metrics(guarded: Any, admin: dict[str, str]) -> None:
    """Limits of every level; what each flow did; those who found room have waited for no time."""
    for _ in range(3):
        await guarded.call("GET", "configmaps")
    text = (await guarded.call("GET", "/metrics", headers=admin)).text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("apiserver_flowcontrol"))
    level, flow = '{priority_level="catch-all"}', '{flow_schema="global-default",priority_level="global-default"}'
    assert found[f"apiserver_flowcontrol_nominal_limit_seats{level}"] == "13"
    assert found[f"apiserver_flowcontrol_lower_limit_seats{level}"] == "13"
    assert found[f"apiserver_flowcontrol_upper_limit_seats{level}"] == "613"
    assert found[f"apiserver_flowcontrol_current_limit_seats{level}"] == "30"
    assert found[f"apiserver_flowcontrol_dispatched_requests_total{flow}"] == "3"
    assert found[f"apiserver_flowcontrol_current_executing_requests{flow}"] == "0"
    waits = 'execute="true",flow_schema="global-default"'
    bucket = (
        f'apiserver_flowcontrol_request_wait_duration_seconds_bucket{{{waits},le="0",priority_level="global-default"}}'
    )
    assert found[bucket] == "3"
    exempt = '{flow_schema="exempt",priority_level="exempt"}'
    assert found[f"apiserver_flowcontrol_current_executing_requests{exempt}"] == "1"

"""The probe state machine: when a row of results becomes a verdict, and what follows from it.

Pure: `step` takes a state and one result and says what has changed, as upstream's prober worker does in doProbe. The
prober around it only waits, asks the runtime and obeys.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import attrs

from minik8s.machinery.meta import Doc

ProbeKind = Literal["startup", "liveness", "readiness"]
KINDS: tuple[ProbeKind, ...] = ("startup", "liveness", "readiness")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


class Action(Enum):
    """What a probe's result asks for."""

    NONE = "none"
    REPORT = "report"
    KILL = "kill"


@attrs.frozen
class Probe:
    """One probe of a container. Times are seconds; `grace` is its own termination grace period, if any."""

    kind: ProbeKind
    handler: Mapping[str, Any]
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace: int | None = None


@attrs.frozen
class ProbeState:
    """The verdict so far (`passed`), and the `run` of equal results that ended with `last`."""

    passed: bool
    last: bool | None = None
    run: int = 0


def declared(container: Doc) -> dict[ProbeKind, Probe]:
    """The container's probes, ports resolved, by kind."""
    return {kind: parse(kind, spec, container) for kind in KINDS if (spec := container.get(f"{kind}Probe"))}


def parse(kind: ProbeKind, spec: Doc, container: Doc) -> Probe:
    return Probe(
        kind=kind,
        handler=resolve_handler(spec, container),
        initial_delay=spec.get("initialDelaySeconds") or 0,
        period=spec.get("periodSeconds") or 10,
        timeout=spec.get("timeoutSeconds") or 1,
        success_threshold=spec.get("successThreshold") or 1,
        failure_threshold=spec.get("failureThreshold") or 3,
        grace=spec.get("terminationGracePeriodSeconds"),
    )


def initial(kind: ProbeKind) -> ProbeState:
    """Before the first result: a live container is presumed live, not ready and not started."""
    return ProbeState(passed=kind == "liveness")


def step(probe: Probe, state: ProbeState, success: bool) -> tuple[ProbeState, Action]:
    """One result. REPORT when the verdict changed, KILL when a liveness or startup probe gave the container up."""
    run = state.run + 1 if state.last is success else 1
    if run < (probe.success_threshold if success else probe.failure_threshold):
        return ProbeState(state.passed, success, run), Action.NONE
    if not success and probe.kind != "readiness":
        return ProbeState(False, False, 0), Action.KILL
    return ProbeState(success, success, run), Action.REPORT if success != state.passed else Action.NONE


def resolve_handler(spec: Doc, container: Doc) -> dict[str, Any]:
    """The handler of a probe or lifecycle hook with named ports made numbers; an unknown name stays."""
    handler = {key: dict(spec[key]) for key in HANDLERS if spec.get(key) is not None}
    for action in handler.values():
        if isinstance(port := action.get("port"), str):
            action["port"] = _port_number(port, container)
    return handler


def _port_number(port: str, container: Doc) -> int | str:
    if port.isdigit():
        return int(port)
    numbers = (p["containerPort"] for p in container.get("ports") or () if p.get("name") == port)
    return next(numbers, port)

"""How simulated containers behave: the stage table, what a pod's annotations say, and what chance makes of both."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from minik8s.kubelet.runtime.protocol import StartError

PREFIX = "simulated.minik8s.dev/"
USUAL_MEMORY = 16 << 20
_TRUE = ("1", "true", "yes")


@attrs.frozen(kw_only=True)
class Behaviour:
    """How a container behaves; times in seconds of the cluster's clock.

    pull_seconds     how long its image takes to pull the first time (table only)
    start_seconds    from start to running
    start_error      the start fails with this message
    run_seconds      from running to its end by itself; None: it runs until stopped
    exit_code        what it ends with by itself
    resize_seconds   how long other resources take to be in effect, where they need no restart
    stop_seconds     from SIGTERM to its end
    stop_exit_code   what it ends with on SIGTERM; None: 143, killed by the signal
    ignore_sigterm   only SIGKILL ends it
    ready_seconds    from running until probes succeed
    unready_seconds  from running until probes fail again; None: never
    jitter           how much longer all these times are, at random: 0.5 is up to half as long again
    failure_rate     the share of its runs that fail: they end with 1, at once where the container would not have ended
    cpu_cores        how much of a core it uses
    memory_bytes     how much memory it uses; more than its limit ends it (OOMKilled). None: 16 MiB, and no limit does
    """

    pull_seconds: float = 0.0
    start_seconds: float = 0.0
    start_error: str = ""
    run_seconds: float | None = None
    exit_code: int = 0
    resize_seconds: float = 0.0
    stop_seconds: float = 0.0
    stop_exit_code: int | None = None
    ignore_sigterm: bool = False
    ready_seconds: float = 0.0
    unready_seconds: float | None = None
    jitter: float = 0.0
    failure_rate: float = 0.0
    cpu_cores: float = 0.1
    memory_bytes: int | None = None


DEFAULT = Behaviour()


_TIMES = ("start_seconds", "run_seconds", "resize_seconds", "stop_seconds", "ready_seconds", "unready_seconds")


def drawn(behaviour: Behaviour, rng: random.Random) -> Behaviour:
    """How one run turns out: with its jitter in its times, and failed or not. Draws nothing where nothing is random."""
    changes: dict[str, Any] = {}
    if behaviour.jitter > 0:
        for name in _TIMES:
            if seconds := getattr(behaviour, name):
                changes[name] = jittered(seconds, behaviour, rng)
    if behaviour.failure_rate > 0 and rng.random() < behaviour.failure_rate:
        changes["exit_code"] = 1
        if behaviour.run_seconds is None:
            changes["run_seconds"] = 0.0
    return attrs.evolve(behaviour, **changes) if changes else behaviour


def jittered(seconds: float, behaviour: Behaviour, rng: random.Random) -> float:
    return seconds * (1 + behaviour.jitter * rng.random()) if seconds and behaviour.jitter > 0 else seconds


def _parsed(name: str, text: str) -> Any:
    match name:
        case "exit_code" | "stop_exit_code" | "memory_bytes":
            return int(text)
        case "ignore_sigterm":
            return text.lower() in _TRUE
        case "start_error":
            return text
    return float(text)


def annotated(base: Behaviour, annotations: Mapping[str, str], container: str) -> Behaviour:
    """`base` with what the pod's annotations say. Raises StartError for a value that cannot be read."""
    changes: dict[str, Any] = {}
    if any(key.startswith(PREFIX) for key in annotations):
        for field in attrs.fields(Behaviour):
            key = PREFIX + field.name.replace("_", "-")
            text = annotations.get(f"{key}.{container}", annotations.get(key))
            if text is None:
                continue
            try:
                changes[field.name] = _parsed(field.name, text)
            except ValueError:
                raise StartError("CreateContainerError", f"annotation {key}: cannot read {text!r}") from None
    return attrs.evolve(base, **changes) if changes else base

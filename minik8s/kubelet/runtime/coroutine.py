"""Containers that are Python code of the hosting process: `image: python://module:name`.

`name` is a coroutine function, without arguments or with one, its `Process`; or an ASGI 3 app. It runs as a task of the
cluster's own loop, so it costs no process, needs no socket, and in virtual time its sleeps pass at once and always in
the same order. It shares the loop: what blocks, blocks the cluster, and an `exec` has nothing to run in.

SIGTERM cancels the coroutine once: it may clean up, and what it returns then is its exit code; cancelled it is 143.
SIGKILL is the end (137) at that moment, and cancels until nothing is left. What returns an int exits with it, anything
else with 0; an exception is logged with its traceback and is 1; SystemExit is its code.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import random
import signal as signals
import sys
import traceback
import types
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import Any
from urllib.parse import SplitResult

import anyio

from minik8s.clock import Clock
from minik8s.kubelet.runtime.behaviour import DEFAULT
from minik8s.kubelet.runtime.logs import Formatter, format_time
from minik8s.kubelet.runtime.probes import Failed, Response, run_probe
from minik8s.kubelet.runtime.protocol import (
    ContainerConfig,
    ExecResult,
    Image,
    ImageError,
    LogOptions,
    ProbeResult,
    Sandbox,
    Session,
    StartError,
    Usage,
)
from minik8s.kubelet.runtime.references import PYTHON
from minik8s.kubelet.runtime.scripted import ScriptedOutput, ScriptedSession
from minik8s.kubelet.runtime.simulated import Hosted
from minik8s.kubelet.runtime.simulatedcontainer import SimulatedContainer

LOG_LIMIT = 10 << 20
"""Bytes of a container's log that are kept, upstream's containerLogMaxSize; what comes later is dropped and said so."""
PART = 16 << 10
"""Characters of a line without its end that are kept back; more is a partial record, as in the CRI's logs."""
CANCELS = 20
"""How often a killed coroutine that goes on awaiting is cancelled before it is closed where it is."""

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


def load(image: str) -> Any:
    """The program of `python://module:name`. Raises ImageError: InvalidImageName, or ErrImagePull where it is not."""
    module, colon, name = image.removeprefix(PYTHON).partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise ImageError("InvalidImageName", f'couldn\'t parse image name "{image}": it is not python://module:name')
    try:
        found: Any = sys.modules.get(module) or importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ImageError("ErrImagePull", f"{image}: not found: {type(error).__name__}: {error}") from error
    _arguments(image, found)
    return found


def _arguments(image: str, program: Any) -> int:
    """How many arguments it takes: 0 or 1 for a coroutine function, 3 for an ASGI app."""
    function = program if inspect.isroutine(program) else getattr(program, "__call__", None)  # noqa: B004
    if inspect.iscoroutinefunction(function):
        parameters = inspect.signature(program).parameters.values()
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        count = len([one for one in parameters if one.kind in plain and one.default is one.empty])
        if count in (0, 1, 3):
            return count
    what = "neither a coroutine function with at most one argument nor an ASGI app"
    raise ImageError("ErrImagePull", f"{image}: not found: it is {what}")


class Process:
    """What a coroutine is given to know of its container.

    `name`, `address` (the pod's), `env` and `argv` are the container's; `clock` is the cluster's, `rng` its own,
    from the cluster's seed.
    """

    def __init__(self, container: CoroutineContainer, clock: Clock) -> None:
        self._container = container
        self.name, self.address = container.config.name, container.sandbox.address
        self.env: Mapping[str, str] = container.config.env
        self.argv: Sequence[str] = container.config.argv
        self.clock = clock
        self.rng = random.Random(container.id)

    def print(self, *values: object, sep: str = " ", end: str = "\n") -> None:
        """Writes to the container's log, like the built-in; what has no line break yet is kept for the next call."""
        self._container.write(sep.join(map(str, values)) + end)

    def serve(self, port: int, app: ASGIApp) -> None:
        """From now on `app` answers at this port of the pod, until the end. Raises OSError if it is taken."""
        self._container.listen(port, app)


PROCESS: ContextVar[Process] = ContextVar("process")
"""The process whose code runs: for what is not given one, an ASGI app or a log handler."""


class CoroutineContainer(SimulatedContainer):
    """One run of a program of this process."""

    __slots__ = ("_application", "_changed", "_closing", "_hosted", "_log", "_partial", "_ports", "_task", "process")

    def __init__(self, identity: str, sandbox: Sandbox, config: ContainerConfig, clock: Clock, hosted: Hosted) -> None:
        super().__init__(identity, sandbox, config, DEFAULT, clock)
        program = _loaded(config.image)
        self._log, self._partial, self._changed = bytearray(), "", anyio.Event()
        self._ports: dict[int, ASGIApp] = {}
        self._application: ASGIApp | None = None
        self._hosted, self._closing = hosted, False
        self.process = Process(self, clock)
        count = _arguments(config.image.name, program)
        if count == 3:
            self._application = program
        context = copy_context()
        context.run(PROCESS.set, self.process)
        body = self._run(anyio.sleep_forever if count == 3 else program, (self.process,) if count == 1 else ())
        self._task = asyncio.get_running_loop().create_task(body, name=f"container {config.name}", context=context)
        # a task that is cancelled before its first step has run nothing of `_run`
        self._task.add_done_callback(lambda _: self._end(128 + signals.SIGTERM, int(signals.SIGTERM)))
        hosted.setdefault(sandbox.address, []).append(self)

    async def _run(self, program: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        code, signal = 1, 0
        try:
            result = await _drive(program(*arguments), lambda: self._closing)
            code = result & 255 if isinstance(result, int) else 0
        except asyncio.CancelledError:
            code, signal = 128 + signals.SIGTERM, int(signals.SIGTERM)
        except SystemExit as error:
            code = error.code & 255 if isinstance(error.code, int) else int(error.code is not None)
        except Exception:
            self.write(traceback.format_exc())
        self._end(code, signal)

    def signal(self, name: str) -> None:
        """SIGTERM, SIGINT, SIGQUIT and SIGHUP cancel, SIGKILL ends; any other is ignored."""
        if self.exit is not None:
            return
        if name == "SIGKILL":
            self._end(128 + signals.SIGKILL, int(signals.SIGKILL))
            self._kill(CANCELS)
        elif name in ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"):
            self._task.cancel()

    def _kill(self, left: int) -> None:
        """Cancels again and again, for a coroutine may take a cancellation as something to be handled."""
        if not self._task.done():
            self._closing = left <= 0
            self._task.cancel()
            if left > 0:
                asyncio.get_running_loop().call_soon(self._kill, left - 1)

    def _end(self, exit_code: int, signal: int, reason: str = "") -> None:
        if self.exit is None:
            if self._partial:
                self.write("\n")
            super()._end(exit_code, signal, reason)
            self._ports, self._application = {}, None
            others = self._hosted[self.sandbox.address]
            others.remove(self)
            if not others:
                del self._hosted[self.sandbox.address]
            self._tell()

    async def gone(self) -> None:
        await asyncio.wait([self._task])

    def write(self, text: str) -> None:
        """Adds to the log, line by line, each with the time of its end."""
        if self.exit is not None or len(self._log) >= LOG_LIMIT:
            return
        *lines, self._partial = (self._partial + text).split("\n")
        now = format_time(self._clock.now())
        for line in lines:
            self._log += now + b" stdout F " + line.encode(errors="replace") + b"\n"
        if len(self._partial) > PART:
            self._log += now + b" stdout P " + self._partial.encode(errors="replace") + b"\n"
            self._partial = ""
        if len(self._log) >= LOG_LIMIT:
            self._log += now + b" stdout F (the log is full: what follows is dropped)\n"
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def more(self) -> None:
        if self.exit is None:
            await self._changed.wait()

    def records(self) -> bytes:
        return bytes(self._log)

    def listen(self, port: int, app: ASGIApp) -> None:
        """Serves a port of the pod. Raises OSError where it is served already, ProcessLookupError after the end."""
        if self.exit is not None:
            raise ProcessLookupError(f"container {self.config.name} has ended")
        if any(port in one._ports for one in self._hosted[self.sandbox.address] if isinstance(one, type(self))):
            raise OSError(98, f"bind {self.sandbox.address}:{port}: address already in use")
        self._ports[port] = app

    def application(self, port: int) -> ASGIApp | None:
        """What answers at a port. An image that is an ASGI app answers at $PORT, or at all where that is not set."""
        wanted = self.config.env.get("PORT", "")
        return self._ports.get(port) or (self._application if wanted in ("", str(port)) else None)

    def execute(self, argv: Sequence[str]) -> ExecResult:
        text = f'container "{self.config.name}" is a coroutine of the hosting process: no command can run in it'
        raise StartError("StartError", text)

    def attach(self) -> Session:
        session = ScriptedSession(b"", self.wait)
        session.stdout = LiveOutput(self)
        return session

    async def probe(self, handler: Mapping[str, Any], *, timeout: float, lifecycle: bool) -> ProbeResult:
        """By HTTP the app itself is asked; a TCP probe succeeds where something answers."""
        address = self.sandbox.address
        if self.exit is not None:
            return ProbeResult(False, f"container {self.id} not running")
        if "tcpSocket" in handler:
            port = int(handler["tcpSocket"]["port"])
            if application_at(self._hosted, address, port) is not None:
                return ProbeResult(True)
            return ProbeResult(False, f"dial tcp {address}:{port}: connect: connection refused")
        if "grpc" in handler:
            return ProbeResult(False, "a coroutine of the hosting process has no sockets: gRPC probes need one")

        async def execute(argv: Sequence[str]) -> ExecResult:
            return self.execute(argv)

        return await run_probe(handler, address, timeout=timeout, execute=execute, lifecycle=lifecycle, get=self._get)

    async def _get(self, url: SplitResult, headers: list[tuple[str, str]]) -> Response:
        from httpx import URL, Request

        from minik8s.kubelet.runtime.asgi import ask

        host, port = url.hostname or "", url.port or 80
        app = application_at(self._hosted, host, port)
        if app is None or url.scheme != "http":
            raise Failed(f"dial tcp {host}:{port}: connect: connection refused")
        answer = await ask(app, Request("GET", URL(url.geturl()), headers=headers))
        return Response(answer.status_code, answer.headers, await answer.aread())

    def usage(self) -> Usage | None:
        return None


@types.coroutine
def _drive(program: Any, closing: Callable[[], bool]) -> Generator[Any, None, Any]:
    """Awaits a coroutine; once `closing` holds, a cancellation closes it instead of being offered to it."""
    error: BaseException | None = None
    while True:
        try:
            waited = program.send(None) if error is None else program.throw(error)
        except StopIteration as stop:
            return stop.value
        try:
            error = None
            yield waited
        except BaseException as thrown:
            if closing():
                with suppress(RuntimeError):  # it awaits even then: it is left where it is
                    program.close()
                raise
            error = thrown


def _loaded(image: Image) -> Any:
    try:
        return load(image.name)
    except ImageError as error:
        raise StartError("StartError", error.message) from error


def application_at(hosted: Hosted, address: str, port: int) -> ASGIApp | None:
    """What answers at a pod's port, the container that began first before the others; None where nothing does."""
    for container in hosted.get(address, ()):
        if isinstance(container, CoroutineContainer) and (app := container.application(port)) is not None:
            return _in_context(app, container.process)
    return None


def _in_context(app: ASGIApp, process: Process) -> ASGIApp:
    """The app, for whoever asks: while it answers it is its own container's."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        token = PROCESS.set(process)
        try:
            await app(scope, receive, send)
        finally:
            PROCESS.reset(token)

    return answer


class LiveOutput(ScriptedOutput):
    """A container's output from now on, until its end."""

    def __init__(self, container: CoroutineContainer) -> None:
        super().__init__(b"", None)
        self._container, self._read = container, len(container.records())
        self._formatter = Formatter(LogOptions())

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._output:
            ended, records = self._container.exit is not None, self._container.records()
            self._output, self._read = self._formatter.format(records[self._read :]), len(records)
            if not self._output:
                if ended:
                    raise anyio.EndOfStream
                await self._container.more()
        return await super().receive(max_bytes)

"""How every command runs its coroutine: signals end it in an orderly way, failures become one line on stderr.

The first SIGINT, SIGTERM or SIGHUP cancels the command, which then cleans up after itself; further ones change
nothing, because a cleanup that is interrupted would leave processes and files behind.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import click

from minik8s.client.kubeconfig import KubeconfigError
from minik8s.machinery.errors import ApiError

Main = Callable[[], Awaitable[int]]
Divert = Callable[[signal.Signals], bool]
"""Is asked about a signal first; True when it has dealt with it."""

SIGNALLED = 128
"""A command that a signal ended exits with this plus the signal's number, as shells say it."""


def execute(
    main: Main, divert: Divert = lambda _: False, *, clean: bool = False, loop: Mapping[str, Any] | None = None
) -> None:
    """Runs a command's coroutine, and exits with the code it returns or that of the signal that ended it.

    `clean` is for commands that end by signals: then that is success. `loop` are anyio's backend options.
    """
    code = anyio.run(_guarded, main, divert, backend_options=dict(loop or {}))
    raise SystemExit(0 if clean and code > SIGNALLED else code)


async def _guarded(main: Main, divert: Divert) -> int:
    try:
        return await until_signal(main, divert)
    except ApiError as error:
        fail(f"Error from server ({error.reason}): {error.message}")
    except BrokenPipeError:
        raise  # whoever read our output has enough of it; click knows what to do
    except (OSError, KubeconfigError) as error:
        fail(f"Error: {describe(error)}")
    return 1


def fail(message: str) -> None:
    """One line on stderr."""
    click.echo(" ".join(message.split()), err=True)


def describe(error: Exception) -> str:
    """What went wrong, without Python's numbers."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


async def until_signal(main: Main, divert: Divert = lambda _: False) -> int:
    """Runs `main` until it returns or a signal arrives that `divert` lets through.

    It is called in the process's main thread. What `main` raises comes out as it is.
    """
    outcome: int | Exception = 0
    ended: list[int] = []
    scope = anyio.CancelScope()

    async def listen() -> None:
        async for received in signals:
            if not divert(received):
                ended.append(SIGNALLED + received)
                scope.cancel()

    with anyio.open_signal_receiver(*_signals()) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            with scope:
                try:
                    outcome = await main()
                except Exception as error:
                    outcome = error
            group.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return ended[0] if ended else outcome


def _signals() -> list[signal.Signals]:
    """SIGHUP is left alone where nohup says so."""
    hangup = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup else [])]

"""Signals and failures of commands."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from minik8s.cli.running import describe, execute, until_signal
from minik8s.machinery.errors import NotFound


def kill(signum: signal.Signals) -> None:
    os.kill(os.getpid(), signum)


def test_result_and_failure_come_out() -> None:
    """Without a signal the coroutine's result, or what it raises, comes out as it is."""

    async def returns() -> int:
        return 7

    async def fails() -> int:
        raise KeyError("x")

    assert anyio.run(until_signal, returns) == 7
    with pytest.raises(KeyError):
        anyio.run(until_signal, fails)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_it_in_an_orderly_way(signum: signal.Signals) -> None:
    """A signal cancels; a second one does not interrupt the cleanup; the exit code names the first."""
    steps = []

    async def main() -> int:
        try:
            kill(signum)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                kill(signal.SIGINT)
                await anyio.wait_all_tasks_blocked()
            steps.append("cleaned up")
        return 0

    assert anyio.run(until_signal, main) == 128 + signum
    assert steps == ["cleaned up"]


def test_diverted_signals() -> None:
    """A signal that somebody else deals with changes nothing."""
    diverted: list[signal.Signals] = []

    async def main() -> int:
        seen = anyio.Event()

        def divert(received: signal.Signals) -> bool:
            diverted.append(received)
            seen.set()
            return True

        async def work() -> int:
            kill(signal.SIGTERM)
            await seen.wait()
            return 3

        return await until_signal(work, divert)

    assert anyio.run(main) == 3
    assert diverted == [signal.SIGTERM]


def test_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """API errors and the operating system's become one line on stderr and exit code 1."""

    async def missing() -> int:
        raise NotFound('pods "x"\nnot found')

    async def refused() -> int:
        raise PermissionError(13, "Permission denied", "/etc/x")

    for main in (missing, refused):
        with pytest.raises(SystemExit) as ended:
            execute(main)
        assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        'Error from server (NotFound): pods "x" not found',
        "Error: /etc/x: Permission denied",
    ]


def test_clean_commands_end_by_signals() -> None:
    """For a command that only a signal ends, that is success."""

    async def main() -> int:
        kill(signal.SIGTERM)
        await anyio.sleep_forever()
        return 1

    with pytest.raises(SystemExit) as ended:
        execute(main, clean=True)
    assert ended.value.code == 0


def test_describe() -> None:
    """Errors of the operating system are told without numbers, others as they are."""
    assert describe(FileNotFoundError(2, "No such file or directory", "x")) == "x: No such file or directory"
    assert describe(ConnectionError("nobody there")) == "nobody there"

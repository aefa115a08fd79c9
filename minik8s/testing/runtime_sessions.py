"""The runtime suite's checks of promise 6: sessions (exec, attach) and connections to a pod's ports."""

from __future__ import annotations

from minik8s.kubelet.runtime.protocol import Session, StartError
from minik8s.testing.runtime_harness import Check, Harness, promise


async def _everything(session: Session) -> bytes:
    """What a session says on its standard output, up to its end."""
    assert session.stdout is not None
    return b"".join([data async for data in session.stdout])


async def a_command_speaks_and_ends(harness: Harness) -> None:
    """6: a command's output is whole and ends with it; its exit code comes to whoever asks, and again."""
    container = await harness.start()
    for tty in (False, True):
        session = await harness.runtime.open(container, ["echo", "hello"], stdin=False, tty=tty)
        output = await _everything(session)
        promise(b"hello" in output, 6, f"the command's output, not {output!r}")
        promise((session.stderr is None) or not tty, 6, "a terminal has no stderr of its own")
        promise((await session.wait(), await session.wait()) == (0, 0), 6, "the exit code, twice")
        session.resize(80, 25)
        await session.aclose()
        await session.aclose()


async def a_session_ends_with_its_container(harness: Harness) -> None:
    """6: who is attached sees the end when the container ends, and an ended container cannot be entered."""
    container = await harness.start()
    attached = await harness.runtime.attach(container)
    container.signal("SIGKILL")
    await _everything(attached)
    promise(await attached.wait() is None, 6, "an attached container has no exit code of its own")
    await attached.aclose()
    for enter in (
        harness.runtime.attach(container),
        harness.runtime.open(container, ["true"], stdin=False, tty=False),
    ):
        try:
            await enter
        except StartError:
            continue
        promise(False, 6, "an ended container cannot be entered")


async def a_session_may_be_left(harness: Harness) -> None:
    """6: a session that is closed early leaves its container as it was."""
    container = await harness.start()
    for session in (
        await harness.runtime.open(container, ["true"], stdin=True, tty=False),
        await harness.runtime.attach(container),
    ):
        await session.aclose()
    promise((await harness.runtime.exec(container, ["true"], timeout=10)).exit_code == 0, 6, "the container still runs")


async def a_closed_port_refuses(harness: Harness) -> None:
    """6: a port on which nobody listens is an OSError."""
    sandbox = await harness.sandbox()
    try:
        connection = await harness.runtime.connect(sandbox, 9)
    except OSError as error:
        promise(bool(str(error)), 6, "a refusal says why")
    else:
        await connection.aclose()
        promise(False, 6, "a closed port refuses")


SESSION_CHECKS: tuple[Check, ...] = (
    a_command_speaks_and_ends,
    a_session_ends_with_its_container,
    a_session_may_be_left,
    a_closed_port_refuses,
)

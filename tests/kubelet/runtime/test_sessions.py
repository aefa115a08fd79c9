"""Commands and attached clients of the subprocess runtime: terminals, input, back-pressure, and what they leave."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.kubelet.runtime.protocol import Session, StartError
from tests.kubelet.runtime.processes import alive, gone

pytestmark = pytest.mark.anyio
LIMIT = 20
ECHO = """
import os, socket
server = socket.create_server((os.environ["POD_IP"], 8080))
print("listening", flush=True)
client, _ = server.accept()
client.sendall(client.recv(100))
"""


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
async def container(bench: Any) -> Any:
    """A container that does nothing."""
    return await bench.sh("exec sleep 1000", env={"GREETING": "hello"})


async def read(session: Session, until: bytes = b"") -> bytes:
    """A session's output up to a text, or to the end."""
    assert session.stdout is not None
    output = b""
    with anyio.fail_after(LIMIT):
        while not until or until not in output:
            try:
                output += await session.stdout.receive()
            except anyio.EndOfStream:
                assert not until, f"{until!r} does not come: {output!r}"
                break
    return output


async def sh(bench: Any, container: Any, script: str, *, stdin: bool = False, tty: bool = False) -> Session:
    session: Session = await bench.runtime.open(container, ["sh", "-c", script], stdin=stdin, tty=tty)
    return session


async def say(session: Session, text: bytes) -> None:
    assert session.stdin is not None
    await session.stdin.send(text)


async def test_streams_and_exit_code(bench: Any, container: Any) -> None:
    """stdout and stderr are apart, the container's environment and directory are there, the exit code comes back."""
    session = await sh(bench, container, "echo $GREETING; pwd; echo oh >&2; exit 7")
    assert (await read(session)).decode().splitlines() == ["hello", str(container.command.cwd)]
    assert session.stderr is not None
    assert await session.stderr.receive() == b"oh\n"
    assert await session.wait() == 7
    await session.aclose()


async def test_input_and_its_end(bench: Any, container: Any) -> None:
    """What is sent arrives whole, however much it is, and its end is an end of file."""
    session = await sh(bench, container, "cat", stdin=True)
    data = os.urandom(1 << 20)

    async def feed() -> None:
        await say(session, data)
        assert session.stdin is not None
        await session.stdin.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(feed)
        assert await read(session) == data
    assert await session.wait() == 0
    await session.aclose()


async def test_a_real_terminal(bench: Any, container: Any) -> None:
    """With tty there is a terminal: it has a size, Ctrl-C interrupts, Ctrl-D ends the input."""
    session = await sh(bench, container, "tty; cat; echo size $(stty size).; exec sleep 1000", stdin=True, tty=True)
    assert session.stderr is None
    session.resize(101, 31)
    await say(session, b"line\n\x04")
    output = await read(session, b".")
    assert b"/dev/" in output
    assert b"line" in output
    assert b"size 31 101" in output
    await say(session, b"\x03")
    await read(session)
    assert await session.wait() == 130
    await session.aclose()


@pytest.mark.parametrize("tty", [False, True])
async def test_commands_that_cannot_run(bench: Any, container: Any, tty: bool) -> None:
    """What is not found is 127, what may not be executed 126, as in a shell, with the reason where errors go."""
    plain = bench.directory / "plain"
    plain.write_text("")
    for program, code, why in (("nope", 127, b"executable file not found"), (str(plain), 126, b"permission denied")):
        session = await bench.runtime.open(container, [program], stdin=True, tty=tty)
        output = b""
        for source in (session.stdout, session.stderr):
            if source is not None:
                output += b"".join([data async for data in source])
        assert why in output
        assert await session.wait() == code
        await session.aclose()


@pytest.mark.parametrize("tty", [False, True])
async def test_a_command_ends_with_its_session(bench: Any, container: Any, tty: bool) -> None:
    """Whoever leaves takes the command along: also one that ignores signals, and what it has forked off."""
    script = "trap '' TERM HUP INT; setsid sleep 1000 & echo $! $$ .; while :; do sleep 1; done"
    session = await sh(bench, container, script, tty=tty)
    pids = [int(pid) for pid in (await read(session, b".")).split()[:2]]
    await session.aclose()
    for pid in pids:
        await gone(pid)
    assert alive(container.process.pid)


async def test_a_command_that_forks_and_goes(bench: Any, container: Any) -> None:
    """A child that holds the output open does not keep the session: it ends with the command."""
    session = await sh(bench, container, "setsid sleep 1000 & echo $!")
    pid = int(await read(session))
    assert await session.wait() == 0
    await gone(pid)
    await session.aclose()


async def test_nobody_reads(bench: Any, container: Any) -> None:
    """A command that writes more than is read waits; what is read late is whole."""
    session = await sh(bench, container, "head -c 3000000 /dev/zero; echo end >&2")
    assert session.stderr is not None
    with anyio.move_on_after(0.2) as patience:
        await session.stderr.receive()
    assert patience.cancelled_caught, "the command has written three megabytes that nobody took"
    assert len(await read(session)) == 3_000_000
    await session.aclose()


async def test_attach(bench: Any) -> None:
    """Who is attached sees what comes from then on, may write to standard input, sees the end; the log has it all."""
    container = await bench.sh(
        "echo before; while read x; do echo got $x; done; echo last", stdin=True, stdin_once=True
    )
    await bench.first_line(container)
    first, second = await bench.runtime.attach(container), await bench.runtime.attach(container)
    await say(first, b"one\n")
    assert await read(first, b"\n") == b"got one\n"
    await first.aclose()  # stdinOnce: the input ends with the first who had it
    assert await read(second) == b"got one\nlast\n"
    assert await second.wait() is None
    await second.aclose()
    assert await bench.log(container) == b"before\ngot one\nlast\n"


async def test_attach_tells_stderr_apart(bench: Any) -> None:
    """A container with standard input sends a client what it writes to stderr as such, and its log says so."""
    container = await bench.sh("read x; echo out; echo err >&2", stdin=True)
    session = await bench.runtime.attach(container)
    await say(session, b"\n")
    assert await read(session) == b"out\n"
    with anyio.fail_after(LIMIT):
        assert await session.stderr.receive() == b"err\n"
        with pytest.raises(anyio.EndOfStream):
            await session.stderr.receive()
    await session.aclose()
    records = container.config.log_path.read_bytes().splitlines()
    assert {tuple(record.split()[1:]) for record in records} == {(b"stdout", b"F", b"out"), (b"stderr", b"F", b"err")}


async def test_input_that_stays_open(bench: Any) -> None:
    """Without stdinOnce the next client may go on where the last one left."""
    container = await bench.sh("while read x; do echo got $x; done", stdin=True)
    for number in range(2):
        session = await bench.runtime.attach(container)
        await say(session, b"%d\n" % number)
        assert await read(session, b"\n") == b"got %d\n" % number
        await session.aclose()


async def test_attach_to_a_terminal(bench: Any) -> None:
    """A container with tty has a terminal of its own, of the client's size; without a client it runs as well."""
    container = await bench.sh("echo hi; read x; stty size; tty; exit 3", tty=True)
    assert await bench.output(container, 2) == b"hi"
    session = await bench.runtime.attach(container)
    session.resize(90, 20)
    await say(session, b"\n")
    output = await read(session)
    assert b"20 90" in output
    assert b"/dev/" in output
    await session.aclose()
    assert (await container.wait()).exit_code == 3


async def test_who_lags_holds_up_the_container(bench: Any) -> None:
    """An attached client that does not read makes nothing grow: the container waits; it gets everything in the end."""
    container = await bench.sh("read x; head -c 3000000 /dev/zero; echo; echo finished", stdin=True)
    session = await bench.runtime.attach(container)
    await say(session, b"\n")
    with anyio.move_on_after(0.3) as patience:
        await container.wait()
    assert patience.cancelled_caught
    assert len(await read(session)) == 3_000_000 + len(b"\nfinished\n")
    assert (await container.wait()).exit_code == 0
    await session.aclose()


async def test_who_left_holds_up_nobody(bench: Any) -> None:
    """A client that goes without reading is forgotten, and the container goes on."""
    container = await bench.sh("read x; head -c 3000000 /dev/zero; echo; echo finished", stdin=True)
    session = await bench.runtime.attach(container)
    await say(session, b"\n")
    await session.aclose()
    with anyio.fail_after(LIMIT):
        assert (await container.wait()).exit_code == 0


async def test_nothing_is_left(bench: Any, container: Any) -> None:
    """Sessions of every kind leave no descriptor behind, also those that fail or are cancelled."""
    await (await sh(bench, container, "true")).aclose()
    gc.collect()
    before = open_files()
    for tty in (False, True):
        for script in ("true", "exec sleep 1000", "exit 3"):
            session = await sh(bench, container, script, stdin=True, tty=tty)
            await session.aclose()
        session = await bench.runtime.open(container, ["nope"], stdin=True, tty=tty)
        await session.aclose()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sh(bench, container, "true", stdin=True)
    await (await bench.runtime.attach(container)).aclose()
    ended = await bench.sh("true", name="ended", stdin=True)
    await ended.wait()
    with pytest.raises(StartError):
        await sh(bench, ended, "true")
    await bench.runtime.remove(ended)
    with anyio.fail_after(LIMIT):
        while open_files() > before:
            await anyio.lowlevel.checkpoint()


async def test_a_port_of_the_pod(bench: Any) -> None:
    """A connection reaches what listens on the pod's address."""
    container = await bench.start(sys.executable, "-c", ECHO)
    assert await bench.first_line(container) == b"listening"
    async with await bench.runtime.connect(bench.pod, 8080) as connection:
        await connection.send(b"ping")
        assert await connection.receive() == b"ping"
    assert (await container.wait()).exit_code == 0

"""Reading CRI logs: tails, times, limits and partial lines."""

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.clock import RealClock
from minik8s.kubelet.logs import remove_logs
from minik8s.kubelet.runtime import logs
from minik8s.kubelet.runtime.inotify import Watcher
from minik8s.kubelet.runtime.logs import Formatter, format_time, read_log, tail_offset
from minik8s.kubelet.runtime.protocol import LogOptions
from minik8s.kubelet.runtime.spawner import crilog

START = datetime(2026, 1, 2, 15, 4, 5, 123456, UTC)
RECORDS = b"".join(
    format_time(START + timedelta(seconds=second)) + b" stdout " + rest + b"\n"
    for second, rest in enumerate([b"F one", b"P tw", b"F o", b"F ", b"F three  spaced"])
)


def test_plain() -> None:
    """Partial records are joined, empty lines and inner spaces are kept."""
    assert Formatter(LogOptions()).format(RECORDS) == b"one\ntwo\n\nthree  spaced\n"


def test_timestamps() -> None:
    """A line has one timestamp, with nine digits and Z, also when it came in parts."""
    lines = Formatter(LogOptions(timestamps=True)).format(RECORDS).splitlines()
    assert lines[0] == b"2026-01-02T15:04:05.123456000Z one"
    assert lines[1] == b"2026-01-02T15:04:06.123456000Z two"


def test_since() -> None:
    """Earlier lines are dropped; the moment itself is included."""
    since = START + timedelta(seconds=3)
    assert Formatter(LogOptions(since=since)).format(RECORDS) == b"\nthree  spaced\n"


def test_limit_counts_over_chunks() -> None:
    """The limit is for the whole stream, however it is cut into chunks."""
    formatter = Formatter(LogOptions(limit_bytes=6))
    first, second = RECORDS.splitlines(keepends=True)[:2], RECORDS.splitlines(keepends=True)[2:]
    assert formatter.format(b"".join(first)) + formatter.format(b"".join(second)) == b"one\ntw"
    assert formatter.full


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=30), st.integers(0, 40))
def test_tail_offset(lines: list[bytes], count: int) -> None:
    """The tail is the last lines, for every number of lines and wherever blocks end."""
    content = b"".join(line + b"\n" for line in lines)
    original, logs.CHUNK = logs.CHUNK, 7
    try:
        offset = tail_offset(BytesIO(content), count)
    finally:
        logs.CHUNK = original
    expected = lines[max(0, len(lines) - count) :]
    assert content[offset:] == b"".join(line + b"\n" for line in expected)


class Container:
    """As much of a running container as a follower needs."""

    def __init__(self) -> None:
        self.ended = False
        self.end_callbacks: set[Callable[[], None]] = set()

    def end(self) -> None:
        self.ended = True
        for callback in list(self.end_callbacks):
            callback()


@pytest.mark.anyio
@pytest.mark.parametrize("notified", [True, False])
async def test_following(tmp_path: Path, notified: bool) -> None:
    """A follower sees what is appended, waits for the rest of a half-written record, and ends with the container;
    also where the system does not tell of changes."""
    path = tmp_path / "log"
    lines = RECORDS.splitlines(keepends=True)
    path.write_bytes(lines[0])
    watcher = Watcher(RealClock())
    if not notified:
        watcher._libc = None
    running = Container()
    stream = read_log(path, LogOptions(follow=True), watcher=watcher, running=running)
    with anyio.fail_after(20), path.open("ab", buffering=0) as file:
        assert await anext(stream) == b"one\n"
        file.write(lines[1])
        assert await anext(stream) == b"tw"
        file.write(lines[2][:10])
        file.write(lines[2][10:])
        assert await anext(stream) == b"o\n"
        file.write(lines[3])
        running.end()
        assert [chunk async for chunk in stream] == [b"\n"]
    assert not running.end_callbacks


@pytest.mark.anyio
async def test_two_followers_and_none_left(tmp_path: Path) -> None:
    """Followers of one file do not disturb each other, and the last one closes the descriptor."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    watcher = Watcher(RealClock())
    running = Container()
    streams = [read_log(path, LogOptions(follow=True), watcher=watcher, running=running) for _ in range(2)]
    seen = []

    async def follow(stream: AsyncGenerator[bytes, None]) -> None:
        seen.append(await anext(stream))
        await stream.aclose()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for stream in streams:
                tasks.start_soon(follow, stream)
            await anyio.wait_all_tasks_blocked()
            path.write_bytes(RECORDS)
    assert seen == [b"one\ntwo\n\nthree  spaced\n"] * 2
    assert watcher._fd < 0


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Ending:
    """A container whose log is followed, until it ends."""

    def __init__(self) -> None:
        self.ended = False
        self.end_callbacks: set[Callable[[], None]] = set()

    def end(self) -> None:
        self.ended = True
        for callback in list(self.end_callbacks):
            callback()


@pytest.mark.anyio
async def test_a_full_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log begins anew when it is full, and the oldest go; who follows it misses nothing, who asks gets the newest."""
    monkeypatch.setattr(crilog, "MAX_SIZE", 100)
    path = tmp_path / "0.log"
    log, running = crilog.Log(bytes(path)), Ending()
    seen = b""

    async def follow() -> None:
        nonlocal seen
        async for chunk in read_log(path, LogOptions(follow=True), watcher=Watcher(RealClock()), running=running):
            seen += chunk

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            for number in range(20):
                log.feed(b"stdout", b"line %d\n" % number)
                while b"line %d\n" % number not in seen:
                    await anyio.lowlevel.checkpoint()
            running.end()
    assert seen.splitlines() == [b"line %d" % number for number in range(20)]
    assert len(names_in(tmp_path)) == crilog.MAX_FILES
    last = [chunk async for chunk in read_log(path, LogOptions(), watcher=Watcher(RealClock()), running=None)]
    assert b"".join(last).splitlines() == [b"line 18", b"line 19"]
    remove_logs(path)
    assert not names_in(tmp_path)

"""The conformance suite for container runtimes: one check a promise of `kubelet.runtime.protocol`.

For whoever writes a runtime: build a `Harness` around a fresh instance and run every function of `CHECKS` with it, each
with a new one. A failure names the promise that was broken. Nothing here sleeps; a runtime that never answers has
to be caught by the caller's timeout.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import anyio
import anyio.lowlevel

from minik8s.kubelet.runtime.protocol import (
    Exit,
    ImageError,
    LogOptions,
    StartError,
)
from minik8s.testing.runtime_harness import RUN, Behaviour, Check, Harness, Program, promise
from minik8s.testing.runtime_sessions import SESSION_CHECKS

__all__ = ["CHECKS", "RUN", "Behaviour", "Check", "Harness", "Program", "promise"]


async def exit_is_reported(harness: Harness) -> None:
    """1: a container that ends by itself reports its exit code, no signal, and when it started and ended."""
    before = harness.clock.now()
    container = await harness.start(Program(exit_code=3))
    end = await container.wait()
    after = harness.clock.now()
    promise((end.exit_code, end.signal) == (3, 0), 1, f"exit code 3 without a signal, not {end}")
    promise(before <= end.started_at <= end.finished_at <= after, 1, f"times in order: {before} {end} {after}")
    promise(end.started_at == container.started_at, 1, "the exit repeats when the container started")


async def everybody_sees_the_same_exit(harness: Harness) -> None:
    """1: wait returns the same exit to several tasks, and again later."""
    container = await harness.start()
    seen: list[Exit] = []

    async def watch() -> None:
        seen.append(await container.wait())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(watch)
        container.signal("SIGKILL")
    seen.append(await container.wait())
    promise(len(seen) == 4 and len({repr(end) for end in seen}) == 1, 1, f"one exit for everybody, not {seen}")


async def a_cancelled_wait_harms_nobody(harness: Harness) -> None:
    """1: a waiter that is cancelled takes nothing from the others."""
    container = await harness.start()
    await harness.first_output(container)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(container.wait)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    container.signal("SIGTERM")
    promise((await container.wait()).exit_code == 143, 1, "the exit after a cancelled wait")


async def sigterm_ends(harness: Harness) -> None:
    """1: SIGTERM ends a program that runs until it is stopped with 143."""
    container = await harness.start()
    await harness.first_output(container)
    container.signal("SIGTERM")
    end = await container.wait()
    promise(end.exit_code == 143 and end.signal in (0, 15), 1, f"143, by signal 15 or by itself, not {end}")


async def sigkill_ends_what_ignores_sigterm(harness: Harness) -> None:
    """1: a program may ignore SIGTERM and goes on; SIGKILL ends it with 137."""
    container = await harness.start(Program(ignore_sigterm=True))
    await harness.first_output(container)
    container.signal("SIGTERM")
    await harness.runtime.exec(container, ["true"], timeout=10)
    container.signal("SIGKILL")
    end = await container.wait()
    promise((end.exit_code, end.signal) == (137, 9), 1, f"137 by signal 9, not {end}")


async def containers_are_independent(harness: Harness) -> None:
    """1: of two containers in a pod one ends, the other runs on."""
    sandbox = await harness.sandbox()
    first = await harness.start(Program(), "first", sandbox)
    second = await harness.start(Program(), "second", sandbox)
    promise(first.id != second.id and len(first.id) == 64, 1, "each container has an id of 64 hex digits")
    first.signal("SIGKILL")
    await first.wait()
    promise((await harness.runtime.exec(second, ["true"], timeout=10)).exit_code == 0, 1, "the other one still runs")


async def another_limit_ends_nothing(harness: Harness) -> None:
    """1: a container that is given another memory limit runs on, and one that has ended stays so."""
    container = await harness.start()
    await harness.first_output(container)
    for _ in range(2):
        await harness.runtime.update(container, 1 << 30)
        container.signal("SIGTERM")
        promise((await container.wait()).exit_code == 143, 1, "the exit of a container that has been resized")


async def signal_after_the_end_does_nothing(harness: Harness) -> None:
    """2: signals to an ended container are ignored, its exit stays what it was."""
    container = await harness.start(Program(exit_code=0))
    end = await container.wait()
    container.signal("SIGTERM")
    container.signal("SIGKILL")
    promise(await container.wait() == end, 2, "the exit does not change after the end")


async def remove_ends(harness: Harness) -> None:
    """2: removing a running container kills it; removing it again is no error; its log stays."""
    container = await harness.start(Program(ignore_sigterm=True))
    await harness.first_output(container)
    await harness.runtime.remove(container)
    promise((await container.wait()).exit_code == 137, 2, "a removed container has been killed")
    promise(bool(await harness.log(container)), 2, "the log of a removed container stays")
    await harness.runtime.remove(container)


async def removing_a_sandbox_ends_its_containers(harness: Harness) -> None:
    """2: removing a sandbox kills what runs in it, and may be repeated; nothing starts in it afterwards."""
    sandbox = await harness.sandbox()
    containers = [await harness.start(Program(), name, sandbox) for name in ("a", "b")]
    await harness.runtime.remove_sandbox(sandbox)
    ends = [await container.wait() for container in containers]
    promise([end.exit_code for end in ends] == [137, 137], 2, f"everything in the sandbox is killed: {ends}")
    await harness.runtime.remove_sandbox(sandbox)
    try:
        await harness.start(Program(), "late", sandbox)
    except StartError:
        return
    promise(False, 3, "a start in a removed sandbox is a StartError")


async def closing_ends_everything(harness: Harness) -> None:
    """2: when the runtime ends nothing survives."""
    containers = [await harness.start(Program(ignore_sigterm=True), name) for name in ("a", "b")]
    await harness.runtime.aclose()
    ends = [await container.wait() for container in containers]
    promise([end.exit_code for end in ends] == [137, 137], 2, f"everything is killed: {ends}")
    promise(all(harness.runtime.usage(container) is None for container in containers), 2, "nothing uses anything")


async def unknown_image(harness: Harness) -> None:
    """3: an image that no registry has is ErrImagePull with its full name; it is not present."""
    promise(not harness.runtime.is_present(harness.missing_image), 3, "a missing image is not present")
    try:
        await harness.runtime.pull(harness.missing_image)
    except ImageError as error:
        promise(error.reason == "ErrImagePull", 3, f"reason ErrImagePull, not {error.reason}")
        promise(harness.missing_image in error.message and "not found" in error.message, 3, error.message)
    else:
        promise(False, 3, "pulling a missing image fails")


async def invalid_image(harness: Harness) -> None:
    """3: what is no image reference at all is InvalidImageName."""
    promise(not harness.runtime.is_present("Not An Image"), 3, "an invalid name is not present")
    try:
        await harness.runtime.pull("Not An Image")
    except ImageError as error:
        promise(error.reason == "InvalidImageName", 3, f"reason InvalidImageName, not {error.reason}")
    else:
        promise(False, 3, "pulling an invalid name fails")


async def pulled_images_are_present(harness: Harness) -> None:
    """3: a pulled image is present, listed with its full name, and the same when pulled again."""
    image = await harness.runtime.pull(harness.image)
    promise(harness.runtime.is_present(harness.image), 3, "a pulled image is present")
    promise(image.name in {known.name for known in harness.runtime.images()}, 3, "a pulled image is listed")
    promise(await harness.runtime.pull(harness.image) == image, 3, "pulling again gives the same image")
    promise(image.name.count(":") == 1 and image.id.startswith("sha256:"), 3, f"full name and id: {image}")


async def start_failure(harness: Harness) -> None:
    """3: what cannot be started is a StartError with a reason and a message; the pod can go on."""
    sandbox = await harness.sandbox("p", Program(broken=True))
    try:
        await harness.start(Program(broken=True), sandbox=sandbox)
    except StartError as error:
        promise(error.reason in ("StartError", "RunContainerError", "CreateContainerError"), 3, error.reason)
        promise(bool(error.message), 3, "a start failure says why")
    else:
        promise(False, 3, "a broken program does not start")
    await harness.runtime.remove_sandbox(sandbox)


async def exec_needs_a_running_container(harness: Harness) -> None:
    """3: a command in an ended container is a StartError."""
    container = await harness.start(Program(exit_code=0))
    await container.wait()
    try:
        await harness.runtime.exec(container, ["true"], timeout=10)
    except StartError:
        return
    promise(False, 3, "exec in an ended container fails")


async def log_is_whole_and_in_order(harness: Harness) -> None:
    """4: after the end the log holds every line, with times that never go back and lie in the container's life."""
    container = await harness.start(Program(exit_code=0))
    end = await container.wait()
    plain = await harness.log(container)
    stamped = [line.split(b" ", 1) for line in await harness.log(container, LogOptions(timestamps=True))]
    promise(len(plain) >= 2, 4, f"every line of the program, not {plain}")
    promise([line for _, line in stamped] == plain, 4, "timestamps come before the line and change nothing else")
    times = [stamp.decode() for stamp, _ in stamped]
    promise(times == sorted(times), 4, f"times in order: {times}")
    moments = [datetime.fromisoformat(time) for time in times]
    slack = timedelta(seconds=1)
    inside = all(end.started_at - slack <= moment <= end.finished_at + slack for moment in moments)
    promise(inside, 4, f"times within the container's life: {times}, {end}")


async def log_options(harness: Harness) -> None:
    """4: tail, since and limit cut what they should."""
    container = await harness.start(Program(exit_code=0))
    end = await container.wait()
    plain = await harness.log(container)
    promise(await harness.log(container, LogOptions(tail_lines=1)) == plain[-1:], 4, "the last line")
    promise(await harness.log(container, LogOptions(tail_lines=0)) == [], 4, "no line")
    promise(await harness.log(container, LogOptions(tail_lines=999)) == plain, 4, "not more than there is")
    promise(await harness.log(container, LogOptions(limit_bytes=3)) == [plain[0][:3]], 4, "three bytes")
    later = end.finished_at + timedelta(hours=1)
    promise(await harness.log(container, LogOptions(since=later)) == [], 4, "nothing since a later time")
    early = end.started_at - timedelta(hours=1)
    promise(await harness.log(container, LogOptions(since=early)) == plain, 4, "everything since an earlier time")
    nothing = harness.runtime.logs(harness.directory / "no-such.log", LogOptions(), container=None)
    promise([chunk async for chunk in nothing] == [], 4, "a log that does not exist is empty")


async def following_ends_with_the_container(harness: Harness) -> None:
    """4: a follower sees the whole log and returns after the container's end."""
    container = await harness.start()
    followed: list[bytes] = []

    async def follow() -> None:
        followed.extend(await harness.log(container, LogOptions(follow=True), running=True))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await harness.first_output(container)
        promise(followed == [], 4, "a follower waits for the container's end")
        container.signal("SIGKILL")
    promise(followed == await harness.log(container), 4, "a follower has seen everything")


async def addresses_are_unique(harness: Harness) -> None:
    """5: no two pods share an address, except those with the host's network."""
    sandboxes = [await harness.sandbox(f"pod-{i}") for i in range(20)]
    promise(len({sandbox.address for sandbox in sandboxes}) == 20, 5, "twenty pods, twenty addresses")
    hosts = [await harness.sandbox(f"host-{i}", host_network=True) for i in range(2)]
    promise(hosts[0].address == hosts[1].address, 5, "the host's network has one address")
    promise(hosts[0].address not in {sandbox.address for sandbox in sandboxes}, 5, "which is no pod's")
    for sandbox in [*sandboxes, *hosts]:
        await harness.runtime.remove_sandbox(sandbox)


async def probes_report(harness: Harness) -> None:
    """3: a probe of a running container succeeds, of an ended one it fails with a message and raises nothing."""
    sandbox = await harness.sandbox()
    container = await harness.start(Program(), sandbox=sandbox)
    handler = {"exec": {"command": ["true"]}}
    running = await harness.runtime.probe(sandbox, container, handler, timeout=10)
    promise(running.success, 3, f"a good probe succeeds: {running}")
    container.signal("SIGKILL")
    await container.wait()
    ended = await harness.runtime.probe(sandbox, container, handler, timeout=10)
    promise(not ended.success and bool(ended.message), 3, f"a probe of an ended container fails: {ended}")


CHECKS: tuple[Check, ...] = (
    exit_is_reported,
    everybody_sees_the_same_exit,
    a_cancelled_wait_harms_nobody,
    sigterm_ends,
    sigkill_ends_what_ignores_sigterm,
    containers_are_independent,
    another_limit_ends_nothing,
    signal_after_the_end_does_nothing,
    remove_ends,
    removing_a_sandbox_ends_its_containers,
    closing_ends_everything,
    unknown_image,
    invalid_image,
    pulled_images_are_present,
    start_failure,
    exec_needs_a_running_container,
    log_is_whole_and_in_order,
    log_options,
    following_ends_with_the_container,
    addresses_are_unique,
    probes_report,
    *SESSION_CHECKS,
)

"""Whether this machine lets its user run the sandbox runtime, found out by trying.

Distributions forbid user namespaces in many ways (sysctls, AppArmor, seccomp in containers), and kernels lack parts, so
nothing less than doing once what every pod needs tells for sure. It takes some 20 ms and leaves nothing behind.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import anyio
import attrs

TOOLS = {"unshare": "util-linux", "mount": "mount", "ip": "iproute2"}
"""What is needed, and the package that has it (Debian's name)."""
TRIAL_SECONDS = 20.0

_STEPS = (
    ("ip link set lo up", "network namespaces cannot be set up"),
    ("ip link add veth0 type veth peer name veth1", "the kernel has no veth devices"),
    ("mount -t tmpfs tmpfs /tmp && mkdir /tmp/l /tmp/u /tmp/w", "tmpfs cannot be mounted in a user namespace"),
    (
        "mount -t overlay overlay -o lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w /tmp/l",
        "overlayfs cannot be mounted in a user namespace (it can since Linux 5.11)",
    ),
)


class SandboxUnavailable(OSError):
    """The machine does not let its user run sandboxes."""

    def __init__(self, why: str) -> None:
        super().__init__(f'runtime "sandbox" is not possible here: {why}')


@attrs.frozen
class Outcome:
    """How the trial ended: its last line on stdout, and what it complained of."""

    code: int
    step: str
    complaint: str


def trial() -> list[str]:
    """The command that tries; it names each step before it takes it."""
    script = "\n".join(f"echo {number}; {command} || exit 1" for number, (command, _) in enumerate(_STEPS))
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", "--uts", "--ipc", "sh", "-c", script]


def missing(platform: str, found: set[str]) -> str:
    """What is missing before anything can be tried; "" when nothing is."""
    if platform != "linux":
        return f"it needs Linux, and this is {platform}"
    absent = [tool for tool in TOOLS if tool not in found]
    if absent:
        packages = ", ".join(dict.fromkeys(TOOLS[tool] for tool in absent))
        return f"it needs {', '.join(absent)} (of {packages}), which this machine does not have in $PATH"
    return ""


def verdict(outcome: Outcome) -> str:
    """Why the trial failed; "" when it did not."""
    if not outcome.code:
        return ""
    what = _STEPS[int(outcome.step)][1] if outcome.step else "this machine forbids user namespaces to this user"
    return f"{what}: {outcome.complaint}" if outcome.complaint else what


async def why_impossible() -> str:
    """A sentence's end that says why the sandbox runtime is not possible here; "" when it is."""
    if problem := missing(sys.platform, {tool for tool in TOOLS if shutil.which(tool)}):
        return problem
    try:
        with anyio.fail_after(TRIAL_SECONDS):
            done = await anyio.run_process(trial(), check=False, stdin=subprocess.DEVNULL)
    except TimeoutError:
        return f"a trial took longer than {TRIAL_SECONDS:g} s"
    complaint = " ".join(done.stderr.decode(errors="replace").split())
    return verdict(Outcome(done.returncode, done.stdout.decode().strip().rpartition("\n")[2], complaint))


async def why_processes_are_shared() -> str:
    """Why containers cannot have processes of their own here; "" when they can. It is to be asked where the rest works.

    Where /proc is partly covered, as in most containers, the kernel lets nobody mount another one.
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    try:
        with anyio.fail_after(TRIAL_SECONDS):
            done = await anyio.run_process(command, check=False, stdin=subprocess.DEVNULL)
    except TimeoutError:
        return f"a trial took longer than {TRIAL_SECONDS:g} s"
    complaint = " ".join(done.stderr.decode(errors="replace").split())
    return "" if not done.returncode else complaint or f"unshare: exit code {done.returncode}"

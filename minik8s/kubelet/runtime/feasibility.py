"""Whether this machine lets its user run the sandbox runtime, found out by trying.

Distributions forbid user namespaces in many ways (sysctls, AppArmor, seccomp in containers), and kernels lack parts, so
nothing less than doing once what every pod needs tells for sure. It takes some 30 ms and leaves nothing behind. What
pods can do without is tried as well, so that whoever has to do without is told.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import anyio
import attrs

from minik8s.kubelet.runtime import packetfilter

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
    (
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "parameters of a network namespace cannot be set (in most containers /proc/sys is read-only)",
    ),
)

_EXTRAS = {
    "filter": 'printf %s "$2" | "$1"',
    "processes": "unshare --pid --fork --mount-proc true",  # not where /proc is partly covered, as in most containers
}
"""What pods can do without; the script's arguments are the program that takes rules for packets, and rules."""


class SandboxUnavailable(OSError):
    """The machine does not let its user run sandboxes."""

    def __init__(self, why: str) -> None:
        super().__init__(f'runtime "sandbox" is not possible here: {why}')


@attrs.frozen
class Outcome:
    """How the trial ended: what it said on stdout, and what it complained of."""

    code: int
    said: str
    complaint: str


@attrs.frozen
class Findings:
    """Ends of sentences that say why something is not possible here, each "" where it is.

    `impossible`: sandboxes; `unfiltered`: to ask NetworkPolicies about packets; `shared`: to keep processes apart.
    """

    impossible: str = ""
    unfiltered: str = ""
    shared: str = ""


def trial(program: str | None) -> list[str]:
    """The command that tries; it names each step before it takes it, and each thing that it could do without.

    `program` is the one that takes rules for packets.
    """
    steps = [f"echo {number}; {command} || exit 1" for number, (command, _) in enumerate(_STEPS)]
    for name, command in _EXTRAS.items():
        if name != "filter" or program is not None:
            steps.append(f"why=$({command} 2>&1) || echo {name} ${{why:-it failed}}")
    script = "\n".join(steps)
    options = ["--user", "--map-root-user", "--net", "--mount", "--uts", "--ipc"]
    return ["unshare", *options, "sh", "-c", script, "sh", program or "", packetfilter.rules(True)]


def missing(platform: str, found: set[str]) -> str:
    """What is missing before anything can be tried; "" when nothing is."""
    if platform != "linux":
        return f"it needs Linux, and this is {platform}"
    absent = [tool for tool in TOOLS if tool not in found]
    if absent:
        packages = ", ".join(dict.fromkeys(TOOLS[tool] for tool in absent))
        return f"it needs {', '.join(absent)} (of {packages}), which this machine does not have in $PATH"
    return ""


def verdict(outcome: Outcome, program: str | None) -> Findings:
    """What a trial has shown."""
    lines = outcome.said.splitlines()
    if outcome.code:
        what = _STEPS[int(lines[-1])][1] if lines else "this machine forbids user namespaces to this user"
        return Findings(f"{what}: {outcome.complaint}" if outcome.complaint else what)
    lacks = {name: why for name, _, why in (line.partition(" ") for line in lines) if name in _EXTRAS}
    unfiltered = lacks.get("filter", "") if program is not None else packetfilter.NO_PROGRAM
    return Findings(unfiltered=unfiltered, shared=lacks.get("processes", ""))


async def examine() -> Findings:
    """Tries what sandboxes need and what they like to have."""
    if problem := missing(sys.platform, {tool for tool in TOOLS if shutil.which(tool)}):
        return Findings(problem)
    program = packetfilter.program()
    try:
        with anyio.fail_after(TRIAL_SECONDS):
            done = await anyio.run_process(trial(program), check=False, stdin=subprocess.DEVNULL)
    except TimeoutError:
        return Findings(f"a trial took longer than {TRIAL_SECONDS:g} s")
    complaint = " ".join(done.stderr.decode(errors="replace").split())
    return verdict(Outcome(done.returncode, done.stdout.decode(errors="replace"), complaint), program)


async def why_impossible() -> str:
    """A sentence's end that says why the sandbox runtime is not possible here; "" when it is."""
    return (await examine()).impossible

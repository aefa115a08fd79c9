"""Why a machine cannot run sandboxes: each cause is named, and a refusal it is."""

import pytest

from minik8s import Cluster
from minik8s.kubelet.runtime import feasibility, packetfilter
from minik8s.kubelet.runtime.feasibility import (
    TOOLS,
    Findings,
    Outcome,
    SandboxUnavailable,
    examine,
    missing,
    verdict,
    why_impossible,
)


@pytest.mark.parametrize(
    ("platform", "found", "said"),
    [
        ("darwin", set(TOOLS), "it needs Linux, and this is darwin"),
        ("linux", set(TOOLS) - {"ip"}, "it needs ip (of iproute2), which this machine does not have in $PATH"),
        (
            "linux",
            set(),
            "it needs unshare, mount, ip (of util-linux, mount, iproute2), which this machine does not have in $PATH",
        ),
        ("linux", set(TOOLS), ""),
    ],
)
def test_what_is_missing(platform: str, found: set[str], said: str) -> None:
    """Another system, or tools that are not installed, are told with what to install."""
    assert missing(platform, found) == said


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(0, "0\n1\n2\n3\n4\n", ""), ""),
        (Outcome(0, "0\n1\n2\n3\n4\n", "a warning"), ""),
        (
            Outcome(1, "", "unshare: unshare failed: Operation not permitted"),
            "this machine forbids user namespaces to this user: unshare: unshare failed: Operation not permitted",
        ),
        (Outcome(1, "0\n1\n", "Unknown device type."), "the kernel has no veth devices: Unknown device type."),
        (Outcome(1, "0\n", ""), "network namespaces cannot be set up"),
    ],
)
def test_what_a_failed_trial_means(outcome: Outcome, said: str) -> None:
    """The step that failed is named, with the tool's own words."""
    assert verdict(outcome, "iptables") == Findings(said)


def test_what_sandboxes_can_do_without() -> None:
    """What has failed of it is told by its name, with the tool's own words; a tool that is not there without trying."""
    said = "0\n1\n2\n3\n4\nfilter iptables: no\nprocesses mount: permission denied\n"
    found = Findings(unfiltered="iptables: no", shared="mount: permission denied")
    assert verdict(Outcome(0, said, ""), "iptables") == found
    assert verdict(Outcome(0, "3\n", ""), None) == Findings(unfiltered=packetfilter.NO_PROGRAM)


@pytest.mark.anyio
async def test_extras_are_tried_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails keeps nobody from the others, and from sandboxes."""
    monkeypatch.setattr(feasibility, "_STEPS", ())
    monkeypatch.setattr(feasibility, "missing", lambda *_: "")
    monkeypatch.setattr(feasibility, "_EXTRAS", {"filter": "echo no such thing; false", "processes": "false"})
    monkeypatch.setattr(packetfilter, "program", lambda: "sh")
    whole = feasibility.trial("sh")
    monkeypatch.setattr(feasibility, "trial", lambda _: whole[whole.index("sh") :])
    assert await examine() == Findings(unfiltered="no such thing", shared="it failed")


@pytest.mark.anyio
async def test_a_trial_that_cannot_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `unshare` is refused nothing else is tried."""
    monkeypatch.setattr(feasibility, "trial", lambda _: ["sh", "-c", "echo no >&2; exit 1"])
    monkeypatch.setattr(feasibility, "missing", lambda *_: "")
    assert await why_impossible() == "this machine forbids user namespaces to this user: no"


@pytest.mark.anyio
async def test_a_cluster_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for sandboxes where there are none gets an error that says why, not another runtime."""
    monkeypatch.setattr(feasibility, "missing", lambda *_: "it needs Linux, and this is plan9")
    with pytest.raises(
        SandboxUnavailable, match=r"^runtime \"sandbox\" is not possible here: it needs Linux, and this is plan9$"
    ):
        async with Cluster(runtime="sandbox", serve=False):
            pass

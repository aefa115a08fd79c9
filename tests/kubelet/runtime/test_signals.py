"""Signals by name."""

import pytest

from minik8s.kubelet.runtime.signals import full_name, signal_number


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [("SIGTERM", "SIGTERM", 15), ("term", "SIGTERM", 15), ("9", "SIGKILL", 9), ("rtmin+3", "SIGRTMIN+3", 37)],
)
def test_signals(text: str, name: str, number: int) -> None:
    """As Dockerfiles and manifests write them, with realtime ones, which systemd's images have."""
    assert (full_name(text), signal_number(name)) == (name, number)


@pytest.mark.parametrize("text", ["SIGNOPE", "", "0", "1000", "SIGRTMIN+99", "SIGRTMIN-3", "SIG_DFL", "-9"])
def test_no_signals(text: str) -> None:
    """What is no signal is a ValueError."""
    with pytest.raises(ValueError, match=r"signal|Signals"):
        full_name(text)

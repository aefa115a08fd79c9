"""Which streams and channels are one forwarded connection, and what a WebSocket tunnel carries."""

from __future__ import annotations

import pytest

from minik8s.apiserver.upgrade.portforward import MAX_PORTS, Pair, Pairing, Unpaired, ports_of, preamble


def headers(kind: str, port: str = "80", request: str = "") -> dict[str, str]:
    return {"streamtype": kind, "port": port, **({"requestid": request} if request else {})}


def test_pairs_by_request() -> None:
    """Two streams with one request id are a pair, in whichever order they come, however many there are."""
    pairing = Pairing()
    assert pairing.opened(1, headers("error", request="0")) is None
    assert pairing.opened(3, headers("data", "81", request="1")) is None
    assert pairing.opened(5, headers("data", request="0")) == Pair(80, data=5, error=1)
    assert pairing.opened(7, headers("error", "81", request="1")) == Pair(81, data=3, error=7)
    assert pairing.opened(9, headers("error", request="0")) is None, "a number may be used again"


def test_pairs_without_request_ids() -> None:
    """Clients from before request ids open the error stream and then the data stream."""
    pairing = Pairing()
    assert pairing.opened(1, headers("error")) is None
    assert pairing.opened(3, headers("data")) == Pair(80, data=3, error=1)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (headers("error", request="0"), "does not fit"),
        (headers("data", "81", request="0"), "does not fit"),
        (headers("stdin", request="0"), 'invalid stream type "stdin"'),
        ({}, 'invalid stream type ""'),
        (headers("data", "0", request="0"), 'unable to parse "0" as a port'),
        (headers("data", "65536", request="0"), "as a port"),
        (headers("data", "x", request="0"), "as a port"),
    ],
)
def test_streams_that_belong_nowhere(second: dict[str, str], why: str) -> None:
    """A stream of another kind, of another port or twice the same is refused, and the first goes on waiting."""
    pairing = Pairing()
    pairing.opened(1, headers("error", request="0"))
    with pytest.raises(Unpaired) as caught:
        pairing.opened(3, second)
    assert why in caught.value.why
    assert pairing.opened(5, headers("data", request="0")) == Pair(80, data=5, error=1)


def test_a_stream_that_ended_alone() -> None:
    """Its other half begins to wait anew."""
    pairing = Pairing()
    pairing.opened(1, headers("error", request="0"))
    pairing.ended(1)
    assert pairing.opened(3, headers("data", request="0")) is None


@pytest.mark.parametrize(("values", "ports"), [(["80"], [80]), (["80", "81"], [80, 81]), (["80,81"], [80, 81])])
def test_ports_of_a_query(values: list[str], ports: list[int]) -> None:
    """Ports stand in values of their own or between commas."""
    assert ports_of(values) == ports


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([""], 'query parameter "port" is required'),
        (["80,"], 'unable to parse "" as a port'),
        (["-1"], 'unable to parse "-1" as a port'),
        (["80"] * (MAX_PORTS + 1), "no more than 127 ports"),
    ],
)
def test_ports_that_are_none(values: list[str], why: str) -> None:
    """What is no port is named."""
    with pytest.raises(ValueError, match=why):
        ports_of(values)


def test_preamble() -> None:
    """A channel begins with its port, little endian."""
    assert preamble(8080) == b"\x90\x1f"

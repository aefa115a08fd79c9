"""Messages without sockets: what is refused, what fits, and that no bytes are too strange."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.dns.messages import objection, parse, refusal, respond, udp_size, wire
from minik8s.dns.records import NO_SUCH_NAME, Answer, Record

MANY = Answer(True, tuple(Record("a.", "A", f"10.0.{n // 250}.{n % 250}") for n in range(600)))
VALID = dns.message.make_query("web.shop.svc.cluster.local", "SRV", use_edns=0).to_wire()


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, len(VALID) - 1), st.binary(max_size=9))))
def test_no_bytes_are_too_strange(given_bytes: bytes | tuple[int, bytes]) -> None:
    """Whatever arrives is dropped, refused, or a query that can be answered in the size its sender takes."""
    if isinstance(given_bytes, tuple):
        at, patch = given_bytes
        given_bytes = VALID[:at] + patch + VALID[at + len(patch) :]
    query = parse(given_bytes)
    if isinstance(query, bytes):
        assert dns.message.from_wire(query).rcode() == dns.rcode.FORMERR
    elif query is not None:
        response = objection(query) or respond(query, NO_SUCH_NAME)
        answer = wire(response, udp_size(query))
        assert len(answer) <= udp_size(query)
        assert answer[:2] == given_bytes[:2]
        assert dns.message.from_wire(answer).flags & dns.flags.QR


def test_what_is_refused() -> None:
    """Other operations, other classes, zone transfers, other EDNS and no single question, each by its code."""
    plain = dns.message.make_query("a.", "A")
    assert objection(plain) is None
    notify = dns.message.make_query("a.", "A")
    notify.set_opcode(dns.opcode.NOTIFY)
    two = dns.message.make_query("a.", "A")
    two.question *= 2
    newer = dns.message.make_query("a.", "A", use_edns=1)
    for query, code in (
        (notify, dns.rcode.NOTIMP),
        (two, dns.rcode.FORMERR),
        (newer, dns.rcode.BADVERS),
        (dns.message.make_query("a.", "A", "CH"), dns.rcode.REFUSED),
        (dns.message.make_query("a.", "AXFR"), dns.rcode.REFUSED),
    ):
        refused = objection(query)
        assert refused is not None
        assert refused.rcode() == code
        assert dns.message.from_wire(wire(refused, 512)).rcode() == code


def test_a_response_is_no_query() -> None:
    """Servers that answer each other's answers never stop."""
    assert parse(refusal(dns.message.make_query("a.", "A"), dns.rcode.REFUSED).to_wire()) is None


@pytest.mark.parametrize(("payload", "size"), [(None, 512), (100, 512), (1000, 1000), (4096, 1232)])
def test_what_a_datagram_holds(payload: int | None, size: int) -> None:
    """512 bytes without EDNS, what the sender takes with it, and never more than any network carries."""
    query = dns.message.make_query("a.", "A", use_edns=-1 if payload is None else 0, payload=payload)
    assert udp_size(query) == size
    cut = wire(respond(query, MANY), size)
    assert len(cut) <= size
    assert dns.message.from_wire(cut).flags & dns.flags.TC
    (whole,) = dns.message.from_wire(wire(respond(query, MANY), 65535)).answer
    assert len(whole) == 600

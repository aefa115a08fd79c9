"""DNS messages: bytes to query, answer to message, message to bytes. No I/O; dnspython is imported when called.

Of what is not to be understood as much is answered as the protocol lets: FORMERR where there is a header, BADVERS for
another EDNS, NOTIMP for other operations; responses are dropped, so that two servers never talk to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minik8s.dns.records import Answer, Record

if TYPE_CHECKING:
    import dns.message
    import dns.rrset

UDP_SIZE = 1232
"""Bytes: what fits into any datagram (DNS flag day 2020); a longer answer is cut, and asked for again over TCP."""
PLAIN_UDP_SIZE = 512
"""What a client without EDNS takes (RFC 1035)."""
TCP_SIZE = 65535
_HEADER = 12
_RESPONSE, _OPCODE_AND_RD, _FORMERR = 0x80, 0x79, 1


def parse(data: bytes) -> dns.message.Message | bytes | None:
    """A query; the answer to one that cannot be read; None for what is none."""
    import dns.exception
    import dns.message

    if len(data) < _HEADER or data[2] & _RESPONSE:
        return None
    try:
        return dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError):
        return data[:2] + bytes((_RESPONSE | data[2] & _OPCODE_AND_RD, _FORMERR)) + bytes(8)


def objection(query: dns.message.Message) -> dns.message.Message | None:
    """The refusal of a query that nobody here answers, None for one that somebody may."""
    import dns.opcode
    import dns.rcode
    import dns.rdataclass
    import dns.rdatatype

    if query.opcode() != dns.opcode.QUERY:
        return refusal(query, dns.rcode.NOTIMP)
    if len(query.question) != 1:
        return refusal(query, dns.rcode.FORMERR)
    if query.edns > 0:
        return refusal(query, dns.rcode.BADVERS)
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
        return refusal(query, dns.rcode.REFUSED)
    return None


def refusal(query: dns.message.Message, code: int) -> dns.message.Message:
    """A response without records."""
    import dns.rcode

    response = _response(query)
    response.set_rcode(dns.rcode.Rcode(code))
    return response


def respond(query: dns.message.Message, answer: Answer, authority: Record | None = None) -> dns.message.Message:
    """An answer as a message; `authority` goes with it when there are no records."""
    import dns.flags
    import dns.rcode

    response = _response(query)
    response.flags |= dns.flags.AA
    if not answer.exists:
        response.set_rcode(dns.rcode.NXDOMAIN)
    add(response, answer.records)
    _add(response.additional, answer.additional)
    if authority is not None and not answer.records:
        _add(response.authority, (authority,))
    return response


def add(response: dns.message.Message, records: tuple[Record, ...]) -> None:
    """More records for the answer section."""
    _add(response.answer, records)


def _response(query: dns.message.Message) -> dns.message.Message:
    import dns.message

    return dns.message.make_response(query, recursion_available=True, our_payload=UDP_SIZE)


def _add(section: list[dns.rrset.RRset], records: tuple[Record, ...]) -> None:
    """Each record by itself: the members of a set would be written in an order of dnspython's own choice."""
    import dns.rrset

    for record in records:
        section.append(dns.rrset.from_text(record.name, record.ttl, "IN", record.type, record.data))


def udp_size(query: dns.message.Message) -> int:
    """The longest datagram that who asked takes, in bytes."""
    return PLAIN_UDP_SIZE if query.edns < 0 else min(max(query.payload, PLAIN_UDP_SIZE), UDP_SIZE)


def wire(message: dns.message.Message, size: int) -> bytes:
    """The message in at most so many bytes: an answer that does not fit is left out, and marked as cut."""
    import dns.exception
    import dns.flags

    try:
        return bytes(message.to_wire(max_size=size))
    except dns.exception.TooBig:
        message.answer, message.additional, message.authority = [], [], []
        message.flags |= dns.flags.TC
        return bytes(message.to_wire(max_size=size))

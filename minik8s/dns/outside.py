"""Names outside of the cluster, for which this machine's resolver is asked.

Addresses come by way of libc, which knows the machine's hosts file and its other sources of names; other types of
records are not libc's affair and go to the name servers that resolv.conf names. Whoever cannot be asked is told as
SERVFAIL, never as NXDOMAIN: that a name could not be looked up does not mean that there is none.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import anyio

from minik8s.dns.messages import add, refusal, respond
from minik8s.dns.records import NO_SUCH_NAME, NOTHING, Answer, Record

if TYPE_CHECKING:
    import dns.message

MAX_LOOKUPS = 64
"""Questions that may be under way; further ones are told to try again."""
ANSWER_SECONDS = 5.0
"""How long a name server may take (resolv.conf's default)."""
Server = tuple[str, int]

_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
_NO_DATA = tuple(
    number for name in ("EAI_NODATA", "EAI_ADDRFAMILY") if (number := getattr(socket, name, None)) is not None
)


def machine_servers() -> list[Server]:
    """The name servers of this machine, none where it has no resolv.conf."""
    import dns.exception
    import dns.resolver

    try:
        return [(str(server), 53) for server in dns.resolver.Resolver().nameservers]
    except dns.exception.DNSException:
        return []


class Outside:
    """Asks for other names, so many at a time. `hosts` are names that have an IPv4 address here, whoever else knows."""

    def __init__(
        self, servers: Callable[[], Sequence[Server]] = machine_servers, hosts: Mapping[str, str] | None = None
    ) -> None:
        self._servers = servers
        self._hosts = hosts or {}
        self._lookups = anyio.CapacityLimiter(MAX_LOOKUPS)

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        """The answer to a question about a name outside."""
        import dns.flags
        import dns.rcode
        import dns.rdatatype

        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        if kind not in _FAMILIES:
            return await self._forward(query)
        answer = await self.addresses(question.name.to_text(omit_final_dot=True), kind)
        if answer is None:
            return refusal(query, dns.rcode.SERVFAIL)
        response = respond(query, answer)
        response.flags &= ~dns.flags.AA
        return response

    async def complete(self, response: dns.message.Message, name: str, kind: str) -> None:
        """Adds what records of type `kind` there are of a name that an answer of ours led to."""
        import dns.rcode

        answer = await self.addresses(name.rstrip("."), kind)
        if answer is None:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not answer.exists:
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            add(response, answer.records)

    async def addresses(self, name: str, kind: str) -> Answer | None:
        """A name's records of type A or AAAA, None when it could not be found out."""
        if (address := self._hosts.get(name.lower())) is not None:
            return Answer(True, (Record(f"{name}.", kind, address),)) if kind == "A" else NOTHING
        place = object()
        try:
            self._lookups.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            return None
        try:
            found = await anyio.getaddrinfo(name, None, family=_FAMILIES[kind], type=socket.SOCK_STREAM)
        except UnicodeError:  # no name that libc could be asked for
            return NO_SUCH_NAME
        except socket.gaierror as error:
            if error.errno == socket.EAI_NONAME:
                return NO_SUCH_NAME
            return NOTHING if error.errno in _NO_DATA else None
        except OSError:
            return None
        finally:
            self._lookups.release_on_behalf_of(place)
        found_addresses = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        return Answer(True, tuple(Record(f"{name}.", kind, address) for address in found_addresses))

    async def _forward(self, query: dns.message.Message) -> dns.message.Message:
        """What the first name server that answers says; REFUSED where there is none to ask."""
        import dns.asyncquery
        import dns.exception
        import dns.rcode

        servers = self._servers()
        place = object()
        try:
            self._lookups.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            return refusal(query, dns.rcode.SERVFAIL)
        try:
            for host, port in servers:
                try:
                    answer, _ = await dns.asyncquery.udp_with_fallback(query, host, ANSWER_SECONDS, port)
                except (OSError, EOFError, dns.exception.DNSException):
                    continue
                return answer
        finally:
            self._lookups.release_on_behalf_of(place)
        return refusal(query, dns.rcode.SERVFAIL if servers else dns.rcode.REFUSED)

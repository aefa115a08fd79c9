"""Names outside, asked of name servers and of a libc that this test plays."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import dns.message
import dns.rcode
import pytest

from minik8s.dns.outside import MAX_LOOKUPS, Outside

pytestmark = pytest.mark.anyio


async def rcode(outside: Outside, name: str, kind: str) -> dns.rcode.Rcode:
    with anyio.fail_after(10):
        return (await outside.ask(dns.message.make_query(name, kind))).rcode()


async def test_records_that_libc_does_not_know() -> None:
    """They come from the first name server that answers; nobody to ask is REFUSED, nobody that answers SERVFAIL."""
    async with await anyio.create_udp_socket(local_host="127.0.0.1") as server, anyio.create_task_group() as group:

        async def answer() -> None:
            async for data, client in server:
                response = dns.message.make_response(dns.message.from_wire(data))
                response.answer.append(dns.rrset.from_text("example.com.", 60, "IN", "MX", "10 mail.example.com."))
                await server.sendto(response.to_wire(), *client)

        group.start_soon(answer)
        nobody = ("255.255.255.255", 9)  # the kernel refuses to send there
        where = server.extra(anyio.abc.SocketAttribute.local_address)
        found = await Outside(lambda: [nobody, where]).ask(dns.message.make_query("example.com", "MX"))
        assert [rrset.to_text() for rrset in found.answer] == ["example.com. 60 IN MX 10 mail.example.com."]
        assert await rcode(Outside(lambda: [nobody]), "example.com", "MX") == dns.rcode.SERVFAIL
        assert await rcode(Outside(lambda: []), "example.com", "MX") == dns.rcode.REFUSED
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no name"), dns.rcode.NXDOMAIN),
        (socket.gaierror(socket.EAI_AGAIN, "later"), dns.rcode.SERVFAIL),
        (socket.gaierror(socket.EAI_NODATA, "no data"), dns.rcode.NOERROR),
        (OSError("no descriptor"), dns.rcode.SERVFAIL),
        (UnicodeError("too long"), dns.rcode.NXDOMAIN),
    ],
)
async def test_what_went_wrong(monkeypatch: pytest.MonkeyPatch, error: Exception, code: dns.rcode.Rcode) -> None:
    """That a name could not be looked up is not told as that it does not exist."""

    async def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(anyio, "getaddrinfo", fails)
    assert await rcode(Outside(lambda: []), "example.com", "A") == code


async def test_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names is told to try again, and does not pile up."""
    release = anyio.Event()

    async def waits(*_: Any, **__: Any) -> Any:
        await release.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(anyio, "getaddrinfo", waits)
    outside, codes = Outside(lambda: []), []

    async def one(number: int) -> None:
        codes.append(await rcode(outside, f"n{number}.example.com", "A"))

    async with anyio.create_task_group() as group:
        for number in range(MAX_LOOKUPS + 2):
            group.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        assert codes == [dns.rcode.SERVFAIL] * 2
        release.set()
    assert codes[2:] == [dns.rcode.NOERROR] * MAX_LOOKUPS


async def test_names_that_are_given() -> None:
    """A host that the server is told of has its address, whoever else may know it, and no other records."""
    outside = Outside(lambda: [], {"host.example": "10.0.0.9"})
    found = await outside.ask(dns.message.make_query("HOST.example", "A"))
    assert [rrset.to_text() for rrset in found.answer] == ["HOST.example. 5 IN A 10.0.0.9"]
    assert await rcode(outside, "host.example", "AAAA") == dns.rcode.NOERROR

"""What upstream's test images bring along for the network: name look-ups, nc, porter, nettest, tokens' issuers."""

from __future__ import annotations

import base64
import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt

from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.testing.agnhost import issuer, nettest, nettools, sockets, web
from minik8s.testing.agnhost.web import Request

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.59"
NAME = b"\3web\7default\0"
POINTER = b"\xc0\x0c"


def record(kind: int, data: bytes) -> bytes:
    return POINTER + struct.pack("!2HIH", kind, 1, 5, len(data)) + data


def test_records_of_an_answer() -> None:
    """Names that point to others are followed; values are written as dig writes them."""
    records = [
        record(1, bytes([10, 96, 0, 1])),
        record(5, b"\5other" + POINTER),
        record(33, struct.pack("!3H", 0, 100, 80) + POINTER),
        record(28, b"\0" * 15 + b"\1"),
    ]
    message = struct.pack("!6H", 7, 0x8180, 1, len(records), 0, 0) + NAME + struct.pack("!2H", 1, 1) + b"".join(records)
    assert list(nettools.records_in(message)) == [
        ("web.default", 5, "A", "10.96.0.1"),
        ("web.default", 5, "CNAME", "other.web.default."),
        ("web.default", 5, "SRV", "0 100 80 web.default."),
        ("web.default", 5, "AAAA", "::1"),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web.", ["web"]),
        ("web", ["web.a.svc", "web.svc", "web"]),
        ("web.a", ["web.a", "web.a.a.svc", "web.a.svc"]),
    ],
)
def test_names_are_searched(name: str, expected: list[str]) -> None:
    """A name with dots enough is tried as it is first, one with fewer last, and one that ends with a dot alone."""
    assert nettools.searched(name, ["a.svc", "svc"], 1) == expected


def test_nslookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Addresses are listed after the server's; a name that nobody has is a failure."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\noptions ndots:5\n")
    monkeypatch.setenv("MINIK8S_ROOT", str(tmp_path))
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        answers = [[record(1, bytes([10, 96, 0, 1]))], [], [], []]

        def run() -> None:
            for records in answers:
                query, client = server.recvfrom(512)
                head = struct.pack("!6H", 7, 0x8180, 1, len(records), 0, 0)
                server.sendto(head + query[12:] + b"".join(records), client)

        thread = threading.Thread(target=run)
        thread.start()
        port = server.getsockname()[1]
        codes = [nettools.nslookup([f"-port={port}", name]) for name in ("web.default", "none.default")]
        thread.join()
    assert codes == [0, 1]
    where = f"Server:\t\t127.0.0.1\nAddress:\t127.0.0.1#{port}\n\n"
    found = "Name:\tweb.default\nAddress: 10.96.0.1\n\n"
    assert capsys.readouterr().out == f"{where}{found}{where}** server can't find none.default: NXDOMAIN\n\n"


def test_nettest_tells_who_wrote() -> None:
    """What others wrote is counted by who they are; enough of both directions is a pass."""
    state = nettest.Nettest(1)

    def asked(path: str, body: bytes = b"") -> tuple[int, Any]:
        code, content = state.routes[path](Request("POST", path, {}, body, ""))[:2]
        return code, content

    assert asked("/status") == (200, "running")
    for _ in range(2):
        assert asked("/write", b'{"Source": "prestop"}')[0] == 200
    asked("/write", b"nonsense")
    told = json.loads(asked("/read")[1])
    assert (told["Received"], told["Sent"], len(told["Errors"])) == ({"prestop": 2}, None, 2)
    state.contacting = False
    assert asked("/status") == (200, "fail")
    state.sent["other"] = 1
    assert asked("/status") == (200, "pass")


def test_nettest_finds_its_peers() -> None:
    """Every address with every port, once; endpoints that are not ready do not count."""
    subsets = [
        {"addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], "ports": [{"port": 80}]},
        {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}, {"port": 81}]},
        {"notReadyAddresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 80}]},
    ]
    assert nettest.addresses({"subsets": subsets}) == ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80"]
    assert nettest.addresses({}) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'<a href="/rewriteme">test</a>', "text/html; charset=utf-8"),
        (b"  <!DOCTYPE html><p>", "text/html; charset=utf-8"),
        (b"<abbr>", "text/plain; charset=utf-8"),
        (b"foo", "text/plain; charset=utf-8"),
        (b"", "text/plain; charset=utf-8"),
        (b"a\0b", "application/octet-stream"),
    ],
)
def test_what_an_answer_is_taken_for(data: bytes, expected: str) -> None:
    """As Go's server finds out: proxies rewrite the links of markup, and of nothing else."""
    assert web.content_type(data) == expected


@contextmanager
def shouting() -> Iterator[int]:
    """The port of a server that answers one connection in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        thread = threading.Thread(target=run)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_nc_runs_as_the_image_brings_it(tmp_path: Path) -> None:
    """Input goes to the server and its answer to the output; nobody there is a failure. $PATH leads to it."""
    registry = ImageRegistry(directory=tmp_path)
    image = registry.resolve(AGNHOST)
    registry.prepare(image)
    with shouting() as port:
        command = f"echo hostname | nc -v -t -w 2 127.0.0.1 {port}"
        done = subprocess.run(["sh", "-c", command], env=image.env, capture_output=True, text=True, check=True)
    assert (done.stdout, "succeeded!" in done.stderr) == ("HOSTNAME\n", True)
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            nettools.nc(["-z", "-w", "1", "127.0.0.1", str(unheard.getsockname()[1])])


def test_porter_says_what_was_asked() -> None:
    """With --json-response the method comes back with the text."""
    request = Request("PUT", "/a", {}, b"", "")
    assert sockets._saying("foo", True)("/a")(request) == (200, {"Method": "PUT", "Body": "foo"})
    assert sockets._saying("foo", False)("/a")(request) == (200, "foo")


def test_a_token_is_signed_by_its_issuers_key() -> None:
    """The signature of one token is not that of another."""
    key = jwk.RSAKey.generate_key(2048)
    token = jwt.encode({"alg": "RS256"}, {"aud": ["a"]}, key)
    public = {name: str(value) for name, value in key.as_dict(private=False).items()}
    assert issuer.is_signed(token, public)
    head, _, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({"aud": ["b"]}).encode()).decode().rstrip("=")
    assert not issuer.is_signed(f"{head}.{other}.{signature}", public)

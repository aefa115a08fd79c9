"""What upstream's test images bring along for the network: dig, nc, porter, and the check of a token's issuer."""

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

import pytest
from joserfc import jwk, jwt

from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.testing.agnhost import issuer, nettools, sockets
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

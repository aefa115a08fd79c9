"""Stand-ins for the images of Kubernetes' own end-to-end and conformance tests, so that these can run here.

A container of them runs a program of this package (`testing.agnhost`) under the name that the tests use, `/agnhost`:
the image brings that file along. What the tests only want to be up is a small web server. Upstream: `test/images`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path

REGISTRY = "registry.k8s.io/e2e-test-images/"
TOOLS = "/usr/local/bin"
"""Where images bring programs that are called without a path."""
_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); del sys.argv[0]; from {module} import main; main()"


def _script(module: str) -> str:
    """A file that runs a program of this package, without what only imports of others would need."""
    package = str(Path(__file__).parents[3])
    command = [sys.executable, "-I", "-S", "-c", _RUN.format(module=module), package]
    return f'#!/bin/sh\nexec {shlex.join(command)} "$0" "$@"\n'


def _tools(*names: str) -> Mapping[str, str]:
    script = _script("minik8s.testing.agnhost.nettools")
    return {f"{TOOLS}/{name}": script for name in names}


@cache
def _certificate() -> Mapping[str, str]:
    """What agnhost serves TLS with that is given no certificate: one of its own, for localhost. Nobody checks it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1)
        .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2084, 1, 29, tzinfo=UTC))
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(ip)) for ip in ("127.0.0.1", "::1")])
    certificate = builder.add_extension(names, critical=True).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return {
        "/localhost.crt": certificate.public_bytes(pem).decode(),
        "/localhost.key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode(),
    }


def files(repository: str) -> Mapping[str, str]:
    """The files that an image brings along, by their path: their text. Empty for images that are none of these."""
    match repository.removeprefix(REGISTRY):
        case "agnhost":
            script = _script("minik8s.testing.agnhost.command")
            return {"/agnhost": script, "/agnhost-2": script, **_tools("dig", "nc", "nslookup"), **_certificate()}
        case "jessie-dnsutils":
            return _tools("dig", "nslookup")
        case "httpd" | "nginx" | "nautilus" | "kitten":
            return {f"{TOOLS}/httpd-foreground": _script("minik8s.testing.agnhost.httpd")}
    return {}


def command(repository: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and default arguments of an image that has files."""
    match repository.removeprefix(REGISTRY):
        case "agnhost":
            return ("/agnhost",), ("pause",)
        case "jessie-dnsutils":
            return (), ("sleep", "infinity")
        case "nautilus" | "kitten" as animal:
            return (), (f"{TOOLS}/httpd-foreground", f"{animal}.jpg")
    return (), (f"{TOOLS}/httpd-foreground",)

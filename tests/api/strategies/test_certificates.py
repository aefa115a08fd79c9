"""CertificateSigningRequests: what may be asked for, and what decisions may become."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from minik8s.api.certificates import (
    CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    BadRequestError,
    CertificateRequest,
    SignerRefusal,
    check_signable,
    parse_request,
)
from minik8s.api.resources import CERTIFICATE_SIGNING_REQUESTS
from minik8s.api.strategies import strategy_for

STRATEGY = strategy_for(CERTIFICATE_SIGNING_REQUESTS)
KEY = ec.generate_private_key(ec.SECP256R1())


def request(name: str = "alice", *organizations: str, names: Any = ()) -> bytes:
    """A certificate request in PEM."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    subject += [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


GOOD = request()


def csr(pem: bytes = GOOD, status: Any = None, **spec: Any) -> dict[str, Any]:
    given = {"request": base64.b64encode(pem).decode(), "signerName": "example.com/s", "usages": ["client auth"]}
    doc: dict[str, Any] = {"metadata": {"name": "c"}, "spec": {**given, **spec}}
    return doc | ({"status": status} if status else {})


def texts(errors: Any) -> list[str]:
    return [f"{error.field}: {error.message}" for error in errors]


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        ({}, []),
        ({"expirationSeconds": 600}, []),
        (
            {"expirationSeconds": 599},
            [
                "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds "
                "(10 minutes)"
            ],
        ),
        ({"signerName": ""}, ["spec.signerName: Required value"]),
        ({"usages": []}, ["spec.usages: Required value: usages are required"]),
        ({"usages": ["client auth", "client auth"]}, ['spec.usages[1]: Duplicate value: "client auth"']),
        (
            {"signerName": "x"},
            [
                'spec.signerName: Invalid value: "x": must be a fully qualified domain and path of the form '
                "'example.com/signer-name'"
            ],
        ),
        (
            {"signerName": "local/x"},
            [
                'spec.signerName: Invalid value: "local/x": should be a domain with at least two segments separated '
                "by dots"
            ],
        ),
        (
            {"signerName": "kubernetes.io/legacy-unknown"},
            [
                'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed '
                "via this API version"
            ],
        ),
    ],
)
def test_specs(spec: Any, errors: list[str]) -> None:
    """Usages, signers and lifetimes."""
    assert texts(STRATEGY.validate_create(csr(**spec))) == errors


def test_unknown_usages() -> None:
    """They are named with all that there are."""
    (error,) = texts(STRATEGY.validate_create(csr(usages=["flying"])))
    assert error.startswith('spec.usages[0]: Unsupported value: "flying": supported values: "any", "cert sign",')


def broken_signature() -> bytes:
    der = bytearray(x509.load_pem_x509_csr(GOOD).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n".encode()


def pem_of(kind: str, body: bytes) -> bytes:
    return f"-----BEGIN {kind}-----\n".encode() + base64.encodebytes(body) + f"-----END {kind}-----\n".encode()


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "PEM block type must be CERTIFICATE REQUEST"),
        (b"nonsense", "PEM block type must be CERTIFICATE REQUEST"),
        (pem_of("CERTIFICATE", b"x"), "PEM block type must be CERTIFICATE REQUEST"),
        (pem_of("CERTIFICATE REQUEST", b""), "malformed"),
        (pem_of("CERTIFICATE REQUEST", b"garbage"), "malformed"),
        (pem_of("CERTIFICATE REQUEST", b"\x30\x82\xff\xff"), "malformed"),
        (broken_signature(), "x509"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\n%%%\n-----END CERTIFICATE REQUEST-----\n", "malformed"),
    ],
)
def test_requests_that_are_none(pem: bytes, why: str) -> None:
    """Whatever is no request is invalid, in words, never an exception of a library."""
    with pytest.raises(BadRequestError, match=why):
        parse_request(pem)
    (error,) = texts(STRATEGY.validate_create(csr(pem)))
    assert error.startswith("spec.request: Invalid value: ")


@given(st.binary(max_size=200))
def test_hostile_requests(body: bytes) -> None:
    """Any bytes in a PEM block are a request or refused."""
    with pytest.raises(BadRequestError):
        parse_request(pem_of("CERTIFICATE REQUEST", body))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_flipped_bytes(place: int, value: int) -> None:
    """A request in which one byte was changed is refused, or is the same."""
    der = bytearray(x509.load_pem_x509_csr(GOOD).public_bytes(serialization.Encoding.DER))
    der[place % len(der)] = value
    try:
        parsed = parse_request(pem_of("CERTIFICATE REQUEST", bytes(der)))
    except BadRequestError:
        return
    assert parsed.name == "alice"


def test_what_a_request_names() -> None:
    """Subject and alternative names."""
    parsed = parse_request(b"Certificate Request:\n" + request("alice", "devs", "ops", names=[x509.DNSName("a.b")]))
    assert (parsed.name, parsed.organizations, parsed.dns, parsed.ips) == ("alice", ("devs", "ops"), ("a.b",), ())


def parsed(name: str, *organizations: str, **names: Any) -> CertificateRequest:
    fields = {key: tuple(names.get(key, ())) for key in ("dns", "ips", "emails", "uris")}
    return CertificateRequest(name, organizations, parsed=None, **fields)  # type: ignore[arg-type]


KUBELET = ["digital signature", "client auth"]
SERVING = ["key encipherment", "digital signature", "server auth"]


@pytest.mark.parametrize(
    ("signer", "wanted", "usages", "refusal"),
    [
        (CLIENT, parsed("alice"), ["client auth"], ""),
        (CLIENT, parsed("alice"), [*KUBELET, "key encipherment"], ""),
        (CLIENT, parsed("alice"), ["server auth"], "invalid usage for client certificate: server auth"),
        (CLIENT, parsed("alice"), ["digital signature"], "missing required usage for client certificate: client auth"),
        (KUBELET_CLIENT, parsed("system:node:n", "system:nodes"), KUBELET, ""),
        (KUBELET_CLIENT, parsed("system:node:n", "system:nodes"), [*KUBELET, "key encipherment"], ""),
        (KUBELET_CLIENT, parsed("n", "system:nodes"), KUBELET, "subject common name does not begin with system:node:"),
        (KUBELET_CLIENT, parsed("system:node:n"), KUBELET, "subject organization is not system:nodes"),
        (
            KUBELET_CLIENT,
            parsed("system:node:n", "system:nodes", "x"),
            KUBELET,
            "subject organization is not system:nodes",
        ),
        (
            KUBELET_CLIENT,
            parsed("system:node:n", "system:nodes", dns=["a"]),
            KUBELET,
            "DNS subjectAltNames are not allowed",
        ),
        (
            KUBELET_CLIENT,
            parsed("system:node:n", "system:nodes"),
            ["client auth"],
            "usages did not match [client auth digital signature]",
        ),
        (KUBELET_SERVING, parsed("system:node:n", "system:nodes", ips=["1.2.3.4"]), SERVING, ""),
        (KUBELET_SERVING, parsed("system:node:n", "system:nodes"), SERVING, "DNS or IP subjectAltName is required"),
        (
            KUBELET_SERVING,
            parsed("system:node:n", "system:nodes", dns=["a"], uris=["b:c"]),
            SERVING,
            "URI subjectAltNames are not allowed",
        ),
        (
            KUBELET_SERVING,
            parsed("system:node:n", "system:nodes", dns=["a"]),
            KUBELET,
            "usages did not match [digital signature server auth]",
        ),
        ("example.com/s", parsed("x"), ["any"], ""),
    ],
)
def test_signers(signer: str, wanted: CertificateRequest, usages: list[str], refusal: str) -> None:
    """What each of kubernetes.io's signers demands."""
    if not refusal:
        check_signable(wanted, signer, usages)
        return
    with pytest.raises(SignerRefusal) as caught:
        check_signable(wanted, signer, usages)
    assert str(caught.value) == refusal


def condition(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, **more}


APPROVED, DENIED, FAILED = condition("Approved"), condition("Denied"), condition("Failed")


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ([], [APPROVED], ""),
        ([], [DENIED], ""),
        ([APPROVED], [APPROVED, condition("Mine", "False")], ""),
        ([APPROVED], [], 'status.conditions: Forbidden: updates may not remove a condition of type "Approved"'),
        ([], [FAILED], 'status.conditions: Forbidden: updates may not add a condition of type "Failed"'),
        (
            [],
            [APPROVED, DENIED],
            'status.conditions[1].type: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive',
        ),
        ([], [APPROVED, APPROVED], 'status.conditions[1].type: Duplicate value: "Approved"'),
        (
            [],
            [condition("Approved", "False")],
            'status.conditions[0].status: Unsupported value: "False": supported values: "True"',
        ),
        (
            [APPROVED],
            [condition("Approved", reason="x")],
            'status.conditions: Forbidden: updates may not modify a condition of type "Approved"',
        ),
    ],
)
def test_approvals(before: Any, after: Any, error: str) -> None:
    """A decision is taken once."""
    old, new = csr(status={"conditions": before}), csr(status={"conditions": after})
    assert texts(STRATEGY.parts["approval"].check(new, old)) == ([error] if error else [])


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ({}, {"certificate": encoded(pem_of("CERTIFICATE", b"x"))}, ""),
        ({}, {"conditions": [FAILED]}, ""),
        (
            {},
            {"conditions": [APPROVED]},
            'status.conditions: Forbidden: updates may not add a condition of type "Approved"',
        ),
        (
            {"certificate": encoded(b"x")},
            {"certificate": encoded(b"y")},
            "status.certificate: Forbidden: updates may not modify existing certificate content",
        ),
        (
            {},
            {"certificate": encoded(b"x")},
            'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block',
        ),
        (
            {},
            {"certificate": encoded(pem_of("PRIVATE KEY", b"x"))},
            'status.certificate: Invalid value: "<certificate data>": only CERTIFICATE PEM blocks are allowed, found '
            '"PRIVATE KEY"',
        ),
    ],
)
def test_signatures(before: Any, after: Any, error: str) -> None:
    """Status brings the certificate, or says that there will be none."""
    errors = texts(STRATEGY.validate_status_update(csr(status=after), csr(status=before)))
    assert errors == ([error] if error else [])

"""What a certificate request asks for, and what the well-known signers demand of it.

Pure: requests are parsed (with the cryptography library, imported when the first one comes), nothing is signed.
Upstream: pkg/apis/certificates/helpers.go and k8s.io/api/certificates/v1.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.machinery.meta import Doc

if TYPE_CHECKING:
    from cryptography import x509

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"
SIGNERS = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN)
NODES_GROUP, NODE_PREFIX = "system:nodes", "system:node:"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----", re.DOTALL)
_ENCIPHERMENT = "key encipherment"
_KUBELET_USAGES = {
    KUBELET_CLIENT: {"client auth", "digital signature"},
    KUBELET_SERVING: {"server auth", "digital signature"},
}


class BadRequestError(ValueError):
    """Not a request that can be signed; the text says why."""


class SignerRefusal(ValueError):
    """A signer does not sign such a request; the text is upstream's."""


@attrs.frozen
class CertificateRequest:
    """A parsed PKCS#10 request."""

    name: str
    organizations: tuple[str, ...]
    dns: tuple[str, ...]
    ips: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]
    parsed: x509.CertificateSigningRequest


def request_of(csr: Doc) -> CertificateRequest:
    """The request in a CertificateSigningRequest's spec. Raises BadRequestError."""
    try:
        return parse_request(base64.b64decode(csr["spec"].get("request") or "", validate=True))
    except binascii.Error as error:
        raise BadRequestError(str(error)) from None


def parse_request(pem: bytes) -> CertificateRequest:
    """Raises BadRequestError for what is no request, or is not signed by its own key."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    block = _PEM.search(pem)
    if block is None or block[1] != b"CERTIFICATE REQUEST":
        raise BadRequestError("PEM block type must be CERTIFICATE REQUEST")
    try:
        parsed = x509.load_pem_x509_csr(block[0])
        if not parsed.is_signature_valid:
            raise BadRequestError("x509: signature of the request is not valid")
        return _read(parsed)
    except BadRequestError:
        raise
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise BadRequestError(f"x509: malformed certificate request: {error}") from None


def expiry_of(pem: bytes) -> datetime:
    """When the first certificate of a PEM text ends. Raises ValueError for what is none."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def _read(parsed: x509.CertificateSigningRequest) -> CertificateRequest:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    names = [str(a.value) for a in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = [str(a.value) for a in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    try:
        others: Any = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        others = x509.SubjectAlternativeName([])

    def values(kind: type[Any]) -> tuple[str, ...]:
        return tuple(str(value) for value in others.get_values_for_type(kind))

    return CertificateRequest(
        name=names[-1] if names else "",
        organizations=tuple(organizations),
        dns=values(x509.DNSName),
        ips=values(x509.IPAddress),
        emails=values(x509.RFC822Name),
        uris=values(x509.UniformResourceIdentifier),
        parsed=parsed,
    )


def check_signable(request: CertificateRequest, signer: str, usages: Sequence[str]) -> None:
    """Raises SignerRefusal if one of the well-known signers does not sign this."""
    if signer == CLIENT:
        _check_client(usages)
    elif signer == KUBELET_CLIENT:
        check_kubelet_client(request, usages)
    elif signer == KUBELET_SERVING:
        _check_node(request)
        if not request.dns and not request.ips:
            raise SignerRefusal("DNS or IP subjectAltName is required")
        _check_none(Email=request.emails, URI=request.uris)
        _check_usages(usages, _KUBELET_USAGES[KUBELET_SERVING])


def check_kubelet_client(request: CertificateRequest, usages: Sequence[str]) -> None:
    """Raises SignerRefusal unless a kubelet could be this request's client."""
    _check_node(request)
    _check_none(DNS=request.dns, Email=request.emails, IP=request.ips, URI=request.uris)
    _check_usages(usages, _KUBELET_USAGES[KUBELET_CLIENT])


def _check_client(usages: Sequence[str]) -> None:
    for usage in usages:
        if usage not in ("digital signature", _ENCIPHERMENT, "client auth"):
            raise SignerRefusal(f"invalid usage for client certificate: {usage}")
    if "client auth" not in usages:
        raise SignerRefusal("missing required usage for client certificate: client auth")


def _check_node(request: CertificateRequest) -> None:
    if request.organizations != (NODES_GROUP,):
        raise SignerRefusal("subject organization is not system:nodes")
    if not request.name.startswith(NODE_PREFIX):
        raise SignerRefusal("subject common name does not begin with system:node:")


def _check_none(**names: Collection[str]) -> None:
    for kind, given in names.items():
        if given:
            raise SignerRefusal(f"{kind} subjectAltNames are not allowed")


def _check_usages(usages: Sequence[str], required: set[str]) -> None:
    if set(usages) - {_ENCIPHERMENT} != required:
        raise SignerRefusal(f"usages did not match [{' '.join(sorted(required))}]")

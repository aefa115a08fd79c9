"""The cluster's own certificate authority and serving certificate.

ECDSA P-256: making a key costs a fraction of a millisecond, where RSA costs a tenth of a second, and handshakes are
cheaper too.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from minik8s.api.certificates import CertificateRequest

CA_YEARS, SERVING_YEARS, CLIENT_YEARS = 10, 1, 1
BACKDATE = timedelta(minutes=5)
"""How far in the past a certificate begins, for the sake of other clocks."""
EXTENDED_USAGES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "ipsec end system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "microsoft sgc": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
}
SERVICE_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


@attrs.frozen
class KeyPair:
    """A certificate and its private key, PEM encoded."""

    certificate: bytes
    key: bytes


@attrs.frozen
class Authority:
    """A certificate authority that signs for this cluster."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The CA bundle that clients trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def create(cls, now: datetime, name: str = "minik8s-ca") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key.public_key(), now, CA_YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_ca_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    def issue_client(self, now: datetime, name: str, groups: Iterable[str] = ()) -> KeyPair:
        """A certificate with which a client is the user `name` in `groups`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        certificate = (
            _builder(x509.Name(subject), self.certificate.subject, key.public_key(), now, CLIENT_YEARS)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(self.identifier, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pair(certificate, key)

    def sign_request(
        self, request: CertificateRequest, usages: Iterable[str], now: datetime, lifetime: timedelta
    ) -> bytes:
        """A certificate, PEM, with the names of a request and these usages. Upstream: PermissiveSigningPolicy."""
        parsed, usages = request.parsed, list(usages)
        until = min(now + lifetime, self.certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(parsed.subject)
            .issuer_name(self.certificate.subject)
            .public_key(parsed.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(self.identifier, critical=False)
        )
        if not EXTENDED_USAGES.keys() >= set(usages):  # an empty list of key usages would make the certificate invalid
            builder = builder.add_extension(_key_usage(usages), critical=True)
        if extended := [EXTENDED_USAGES[usage] for usage in usages if usage in EXTENDED_USAGES]:
            builder = builder.add_extension(x509.ExtendedKeyUsage(dict.fromkeys(extended)), critical=False)
        names = [e for e in parsed.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
        for extension in names:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @property
    def identifier(self) -> x509.AuthorityKeyIdentifier:
        """How certificates name the key that signed them."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    def issue_serving(self, now: datetime, addresses: Iterable[str]) -> KeyPair:
        """A certificate for the API server under its service names and the given IP addresses or host names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVICE_NAMES]
        names += [_general_name(address) for address in dict.fromkeys(addresses) if address not in SERVICE_NAMES]
        certificate = (
            _builder(subject, self.certificate.subject, key.public_key(), now, SERVING_YEARS)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(self.identifier, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _pair(certificate, key)


def has_signed(authority: bytes, encoded: bytes) -> bool:
    """Whether the CA of this certificate, PEM, has signed another, DER."""
    try:
        x509.load_der_x509_certificate(encoded).verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), private)


def server_context(pair: KeyPair, directory: Path, client_cas: Iterable[bytes] = ()) -> ssl.SSLContext:
    """A TLS context for the listening socket; the key passes through a private file that is removed at once.

    Clients may show a certificate that one of `client_cas` (PEM bundles) has signed. Raises ssl.SSLError or
    UnicodeDecodeError when one is no PEM.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for bundle in client_cas:
        context.load_verify_locations(cadata=bundle.decode("ascii"))
        context.verify_mode = ssl.CERT_OPTIONAL
    path = directory / "serving.pem"
    path.touch(mode=0o600)
    try:
        path.write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(path)
    finally:
        path.unlink()
    return context


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime, years: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + timedelta(days=365 * years))
    )


def _ca_usage() -> x509.KeyUsage:
    return _key_usage(["digital signature", "cert sign", "crl sign"])


def _key_usage(usages: Iterable[str]) -> x509.KeyUsage:
    """What a key may be used for, by the words of a CertificateSigningRequest."""
    given = set(usages)
    agreement = bool(given & {"key agreement", "encipher only", "decipher only"})
    return x509.KeyUsage(
        digital_signature=bool(given & {"digital signature", "signing"}),
        content_commitment="content commitment" in given,
        key_encipherment="key encipherment" in given,
        data_encipherment="data encipherment" in given,
        key_agreement=agreement,
        key_cert_sign="cert sign" in given,
        crl_sign="crl sign" in given,
        encipher_only="encipher only" in given,
        decipher_only="decipher only" in given,
    )


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)

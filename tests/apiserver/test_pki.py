"""The cluster's CA and what it signs."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from minik8s.apiserver.pki import SERVICE_NAMES, Authority, server_context

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(NOW)


def test_the_serving_certificate(authority: Authority) -> None:
    """It is signed by the CA, is valid from a little before now for a year, and names addresses and service names."""
    pair = authority.issue_serving(NOW, ["127.0.0.1", "::1", "example.test", "localhost", "127.0.0.1"])
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(authority.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [*SERVICE_NAMES, "example.test"]
    addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc < NOW + timedelta(days=366)


def test_the_ca_is_a_ca(authority: Authority) -> None:
    """It may sign certificates, outlives what it signs, and clients can load its bundle."""
    extension = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert extension.critical
    assert extension.value.ca
    assert authority.certificate.not_valid_after_utc > NOW + timedelta(days=3000)
    assert len(ssl.create_default_context(cadata=authority.pem.decode()).get_ca_certs()) == 1


def test_two_clusters_trust_only_themselves(authority: Authority) -> None:
    """Another CA of the same name did not sign the certificate."""
    certificate = x509.load_pem_x509_certificate(authority.issue_serving(NOW, []).certificate)
    with pytest.raises(Exception, match=r".*"):
        certificate.verify_directly_issued_by(Authority.create(NOW).certificate)


def test_the_key_does_not_stay_on_disk(authority: Authority, tmp_path: Path) -> None:
    """The TLS context is made through a file that is gone afterwards."""
    server_context(authority.issue_serving(NOW, ["127.0.0.1"]), tmp_path)
    assert list(tmp_path.iterdir()) == []

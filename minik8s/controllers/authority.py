"""What controllers ask of whoever holds the cluster's keys: the composition root, never the API server.

Upstream's kube-controller-manager is given the key files themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from minik8s.api.certificates import CertificateRequest
from minik8s.machinery.meta import Doc


class KeyHolder(Protocol):
    """The keys of the cluster's CA and of its service accounts."""

    def sign_request(self, request: CertificateRequest, usages: Sequence[str], lifetime: timedelta) -> bytes:
        """A certificate, in PEM, for what the request names."""
        ...

    def account_token(self, account: Doc, secret: Doc) -> str:
        """The token for a Secret of type kubernetes.io/service-account-token."""
        ...

    @property
    def root_ca(self) -> str:
        """The PEM certificates by which clients know the API server."""
        ...

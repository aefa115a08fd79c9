"""What a cluster proves itself with, and what it gives to its users: CA, certificates, tokens, kubeconfigs.

One per cluster, held by the composition root. Everything that costs (keys, the cryptography library) is made when it is
first asked for: a cluster that serves no socket has no CA.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from minik8s.api.certificates import CertificateRequest
from minik8s.api.users import named
from minik8s.apiserver.requestheader import FRONT_PROXY
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.client.kubeconfig import ClusterCredentials, write_kubeconfig
from minik8s.clock import Clock
from minik8s.config import ClusterConfig
from minik8s.machinery.meta import Doc

if TYPE_CHECKING:
    from minik8s.apiserver.pki import Authority


class Credentials:
    """`token` is the administrator's; `directory` is where files may be put, `url` where the cluster is, once known."""

    def __init__(self, config: ClusterConfig, clock: Clock) -> None:
        self.config, self.clock = config, clock
        self.directory, self.url = Path(), ""
        self.token = secrets.token_urlsafe(24)
        self.tokens = TokenIssuer()
        self.tokens.add_admin(self.token)
        for token, user in config.tokens.items():
            self.tokens.static[token] = named(**({"name": user} if isinstance(user, str) else user))
        self._authority: Authority | None = None
        self._front_proxy: Authority | None = None

    @property
    def authority(self) -> Authority:
        """The cluster's CA."""
        if self._authority is None:
            from minik8s.apiserver.pki import Authority

            self._authority = Authority.create(self.clock.now())
        return self._authority

    @property
    def client_cas(self) -> list[bytes]:
        """The PEM bundles of the CAs whose client certificates are accepted. Raises ValueError."""
        if self.config.client_ca is None:
            return [self.authority.pem]
        try:
            return [self.authority.pem, self.config.client_ca.read_bytes()]
        except OSError as error:
            raise ValueError(f"'client_ca' cannot be read: {error}") from None

    @property
    def front_proxy(self) -> Authority:
        """The CA of front proxies, whose word for who calls is taken: the API server itself is one to others that serve
        a part of the API. It signs no users."""
        if self._front_proxy is None:
            from minik8s.apiserver.pki import Authority

            self._front_proxy = Authority.create(self.clock.now(), "minik8s-front-proxy-ca")
        return self._front_proxy

    def front_proxy_certificate(self) -> Path:
        """A front proxy's certificate and key, in a private file of the cluster's directory."""
        path = self.directory / "front-proxy.pem"
        if not path.exists():
            pair = self.front_proxy.issue_client(self.clock.now(), FRONT_PROXY)
            path.touch(mode=0o600)
            path.write_bytes(pair.certificate + pair.key)
        return path

    @property
    def root_ca(self) -> str:
        """The CA bundle that pods find in kube-root-ca.crt; "" where nobody could read or need it."""
        needed = self.config.runtime != "simulated" or (self.config.serve and self.config.tls)
        return self.authority.pem.decode() if needed else ""

    def serving(self, addresses: Iterable[str]) -> ssl.SSLContext:
        """TLS for the API server's socket."""
        from minik8s.apiserver.pki import server_context

        pair, client_cas = self.authority.issue_serving(self.clock.now(), addresses), self.client_cas
        try:
            return server_context(pair, self.directory, [*client_cas, self.front_proxy.pem])
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError(f"'client_ca' must be a file of certificates in PEM: {error}") from None

    def sign_request(self, request: CertificateRequest, usages: Sequence[str], lifetime: timedelta) -> bytes:
        """The CA's signature on a certificate request, for the signing controller."""
        return self.authority.sign_request(request, usages, self.clock.now(), lifetime)

    def account_token(self, account: Doc, secret: Doc) -> str:
        """A service account's token for a Secret, for the tokens controller."""
        return self.tokens.issue_legacy(account, secret)

    @property
    def administrator(self) -> ClusterCredentials:
        """Where the cluster is and how to be its administrator."""
        ca = self.authority.pem if self.config.tls else b""
        return ClusterCredentials(name="minik8s", server=self.url, ca=ca, token=self.token)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, in the cluster's directory. Raises RuntimeError without a socket."""
        self._check_served()
        path = self.directory / "kubeconfig"
        if not path.exists():
            write_kubeconfig(path, self.administrator)
        return path

    def kubeconfig_for(self, name: str, groups: Sequence[str]) -> Path:
        """A kubeconfig of the user `name`: by a client certificate, or by impersonation where there is no TLS."""
        self._check_served()
        where = attrs.evolve(self.administrator, token="")
        if self.config.tls:
            pair = self.authority.issue_client(self.clock.now(), name, groups)
            credentials = attrs.evolve(where, certificate=pair.certificate, key=pair.key)
        else:
            credentials = attrs.evolve(where, impersonate=(name, tuple(groups)))
        path = self.directory / f"kubeconfig-{sha256(repr((name, tuple(groups))).encode()).hexdigest()[:12]}"
        path.unlink(missing_ok=True)
        write_kubeconfig(path, credentials)
        return path

    def _check_served(self) -> None:
        if not self.url:
            raise RuntimeError("a cluster with serve=False has no address that a kubeconfig could name")

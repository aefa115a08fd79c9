"""Which APIs are served by others, where, and as whom this server presents itself to them.

Requests have been authenticated and authorized here; the other server believes the X-Remote headers in which their user
stands because they come over a connection with the front proxy's certificate, whose CA it finds in the config map
kube-system/extension-apiserver-authentication.
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

import anyio
import attrs

from minik8s.api.request import User
from minik8s.apiserver.requestheader import EXTRA_PREFIX, GROUP_HEADERS, UID_HEADERS, USER_HEADERS
from minik8s.apiserver.webhooks import trusting
from minik8s.machinery.meta import Doc, name_of

GroupVersion = tuple[str, str]
Header = tuple[bytes, bytes]


@attrs.frozen
class RemoteApi:
    """One group version that another server serves. `bundle` is PEM, empty for what the machine trusts."""

    name: str
    group: str
    version: str
    namespace: str
    service: str
    port: int
    bundle: bytes = b""
    insecure: bool = False
    priority: tuple[int, int] = (0, 0)

    @property
    def group_version(self) -> GroupVersion:
        return self.group, self.version

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/{self.version}"

    @property
    def server_name(self) -> str:
        """The name that the server's certificate has to be for."""
        return f"{self.service}.{self.namespace}.svc"

    @classmethod
    def of(cls, api_service: Doc) -> RemoteApi | None:
        """None for an APIService that this server serves itself."""
        spec = api_service["spec"]
        service = spec.get("service")
        if not service or not spec.get("group"):  # nobody takes over the core API
            return None
        return cls(
            name=name_of(api_service),
            group=spec.get("group", ""),
            version=spec.get("version", ""),
            namespace=service["namespace"],
            service=service["name"],
            port=service.get("port", 443),
            bundle=b64decode(spec.get("caBundle") or ""),
            insecure=bool(spec.get("insecureSkipTLSVerify")),
            priority=(spec.get("groupPriorityMinimum", 0), spec.get("versionPriority", 0)),
        )


class RemoteApis:
    """The APIs that others serve, by group version, and what is known of them.

    `resources` are the APIResourceLists of those that answered when they were asked last (`asked`, in the clock's
    monotonic time), `openapi` where their OpenAPI documents are; `generation` grows with every change.
    """

    def __init__(self) -> None:
        self.apis: dict[GroupVersion, RemoteApi] = {}
        self.resources: dict[GroupVersion, Doc] = {}
        self.openapi: dict[GroupVersion, str] = {}
        self.available: set[GroupVersion] = set()
        self.asked: dict[GroupVersion, float] = {}
        self.generation = 0
        self.changed = anyio.Event()
        """Set when there is something new to be asked."""
        self.certificate: Callable[[], Path | None] = lambda: None
        """Where the front proxy's certificate and key lie, in one PEM file."""
        self._contexts: dict[tuple[bytes, bool], ssl.SSLContext] = {}

    def follow(self, api_services: Iterable[Doc]) -> None:
        """Takes over what the APIServices say now."""
        found = {api.group_version: api for api in map(RemoteApi.of, api_services) if api is not None}
        if found == self.apis:
            return
        for key in self.apis.keys() - {key for key, api in found.items() if self.apis.get(key) == api}:
            self.resources.pop(key, None)
            self.openapi.pop(key, None)
            self.available.discard(key)
        self.apis = dict(sorted(found.items(), key=lambda item: (-item[1].priority[0], item[0])))
        self.generation += 1
        self.changed.set()

    @property
    def stale(self) -> list[str]:
        """Those of which nobody knows now what they serve, as `group/version`."""
        return [f"{group}/{version}" for group, version in self.apis if (group, version) not in self.available]

    def at(self, path: str) -> RemoteApi | None:
        """Whose path it is: below /apis/GROUP/VERSION, or that of its OpenAPI document."""
        if not self.apis:
            return None
        parts = path.removeprefix("/openapi/v3").strip("/").split("/", 3)
        return self.apis.get((parts[1], parts[2])) if len(parts) > 2 and parts[0] == "apis" else None

    def context(self, api: RemoteApi) -> ssl.SSLContext:
        """TLS towards an API's server. Raises WebhookError for a bundle that is none."""
        key = (api.bundle, api.insecure)
        if key not in self._contexts:
            context = trusting(b"") if api.insecure else trusting(api.bundle)
            if api.insecure:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if (certificate := self.certificate()) is not None:
                context.load_cert_chain(certificate)
            self._contexts[key] = context
        return self._contexts[key]


def identity(user: User) -> list[Header]:
    """The headers that tell another server who asks."""
    headers = [(USER_HEADERS, user.name), *((GROUP_HEADERS, group) for group in user.groups)]
    if user.uid:
        headers.append((UID_HEADERS, user.uid))
    headers += [(EXTRA_PREFIX + quote(key, safe=""), value) for key, values in user.extra.items() for value in values]
    return [(name.lower().encode(), value.encode()) for name, value in headers]

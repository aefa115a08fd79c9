"""An ingress controller: an HTTP server that takes requests to the Services which Ingresses name, and tells them so.

It acts for Ingresses whose class has the controller `minik8s.io/ingress`; the class `minik8s`, which comes with it, is
the default one. Requests go straight to a ready endpoint, streamed both ways, upgrades included. TLS is ended here with
the Secrets of `spec.tls`, by server name, and with a certificate of the cluster's CA where none fits. Left out:
annotations of other controllers, backends that are no Services.
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import ByteStream

from minik8s.api.ingresses import DEFAULT_CLASS, Backend, Route, is_ours, route_to, routes_of
from minik8s.api.resources import ENDPOINT_SLICES, INGRESS_CLASSES, INGRESSES, SECRETS, SERVICES
from minik8s.api.services import by_service
from minik8s.apiserver.httpcall import ClientLeft, HttpCall, Receive, Scope, Send
from minik8s.apiserver.response import ProxyTarget
from minik8s.apiserver.serviceresolver import ready_in
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import AlreadyExists, ApiError
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of

if TYPE_CHECKING:
    from minik8s.apiserver.pki import Authority

CONTROLLER = "minik8s.io/ingress"
CLASS: Obj = {
    "metadata": {"name": "minik8s", "annotations": {DEFAULT_CLASS: "true"}},
    "spec": {"controller": CONTROLLER},
}
HTTP, HTTPS = 80, 443
RETRY_SECONDS = 1.0
Connect = Callable[[str, int], Awaitable[ByteStream]]
log = get_logger(__name__)


class IngressController:
    """Serves one cluster on `host`. `ports` are where it listens, HTTP's and HTTPS's, once it is `ready`.

    `connect` reaches an address of the cluster's network.
    """

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, connect: Connect, authority: Authority, host: str
    ) -> None:
        self.host, self.ports = host, (0, 0)
        self.ready = anyio.Event()
        self._client, self._clock = client.as_agent("minik8s-ingress"), clock
        self._connect, self._authority = connect, authority
        self._ingresses, self._classes = informers(INGRESSES), informers(INGRESS_CLASSES)
        self._services, self._secrets = informers(SERVICES), informers(SECRETS)
        self._slices = informers(ENDPOINT_SLICES)
        self._slices.add_index("service", by_service)
        self._routes: list[Route] | None = None
        self._contexts: dict[str, ssl.SSLContext] | None = None
        self._changed = anyio.Event()
        self._directory = Path()
        self._turns = count()

    async def run(self) -> None:
        """Serves until cancelled."""
        with suppress(AlreadyExists):
            await self._client.create(INGRESS_CLASSES, CLASS)
        for informer in (self._ingresses, self._classes, self._services, self._secrets, self._slices):
            await informer.synced()
        async with AsyncExitStack() as stack:
            for watched in (self._ingresses, self._classes, self._secrets):
                stack.callback(watched.add_handler(self._on_change))
            self._directory = Path(stack.enter_context(TemporaryDirectory(prefix="minik8s-ingress-")))
            await self._listen(stack)
            self.ready.set()
            while True:
                self._changed = anyio.Event()
                if await self._tell():
                    await self._changed.wait()
                else:
                    await self._clock.sleep(RETRY_SECONDS)

    def _on_change(self, old: Doc | None, new: Doc | None) -> None:
        self._routes = self._contexts = None
        self._changed.set()

    def _ours(self) -> list[Doc]:
        classes = self._classes.lister.all()
        return [found for found in self._ingresses.lister.all() if is_ours(found, classes, CONTROLLER)]

    # -- the status ----------------------------------------------------------------------------------------------

    async def _tell(self) -> bool:
        """Says in every Ingress where it is served; False when that has to be tried again."""
        ports = [{"port": port, "protocol": "TCP"} for port in self.ports]
        wanted = {"loadBalancer": {"ingress": [{"ip": self.host, "ports": ports}]}}
        done = True
        for ingress in self._ours():
            if ingress.get("status") == wanted:
                continue
            try:
                await self._client.patch(
                    INGRESSES,
                    name_of(ingress),
                    {"status": wanted},
                    namespace=namespace_of(ingress),
                    subresource="status",
                )
            except ApiError as error:
                done = done and error.code == 404
        return done

    # -- the server ----------------------------------------------------------------------------------------------

    async def _listen(self, stack: AsyncExitStack) -> None:
        """On 80 and 443, or on free ports where these cannot be had."""
        from minik8s.apiserver.server import listen, serve

        ports = []
        for port, context in ((HTTP, None), (HTTPS, self._default_context())):
            try:
                sock = listen(self.host, port)
            except OSError as error:
                log.warning("the ingress port is not to be had, another one is taken", reason=str(error))
                sock = listen(self.host, 0)
            stack.callback(sock.close)
            ports.append(sock.getsockname()[1])
            await stack.enter_async_context(serve(self, sock, context))
        self.ports = (ports[0], ports[1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as an ASGI application."""
        from minik8s.apiserver.reverseproxy import pass_on

        call = HttpCall(scope, receive, send)
        try:
            backend = route_to(self._current_routes(), call.header(b"host"), call.path)
            target = None if backend is None else self._target(backend)
            if target is None:
                code, text = (404, "default backend - 404") if backend is None else (503, _unserved(backend))
                await _answer(call, code, text)
                return
            query = b"?" + call.query.encode("latin-1") if call.query else b""
            await pass_on(call, target, "", call.raw_path + query)
        except ApiError as error:
            if not call.started:
                await _answer(call, 502, error.message)
        except ClientLeft:
            return

    def _current_routes(self) -> list[Route]:
        if self._routes is None:
            self._routes = routes_of(self._ours())
        return self._routes

    def _target(self, backend: Backend) -> ProxyTarget | None:
        """The next ready endpoint of the Service's port; None when there is none."""
        service = self._services.lister.get(backend.service, backend.namespace)
        ports = (service["spec"].get("ports") or ()) if service is not None else ()
        port = next((p for p in ports if backend.port in (p.get("port"), p.get("name"))), None)
        if port is None:
            return None
        name = port.get("name") or ""
        slices = self._slices.lister.by_index("service", f"{backend.namespace}/{backend.service}")
        endpoints = [endpoint for found in slices for endpoint in ready_in(found, name)]
        if not endpoints:
            return None
        host, number = endpoints[next(self._turns) % len(endpoints)]
        return ProxyTarget(host=host, port=number, dial=partial(self._connect, host, number), keeps_credentials=True)

    # -- TLS -----------------------------------------------------------------------------------------------------

    def _default_context(self) -> ssl.SSLContext:
        from minik8s.apiserver.pki import server_context

        pair = self._authority.issue_serving(self._clock.now(), [self.host])
        context = server_context(pair, self._directory)
        context.sni_callback = self._choose
        return context

    def _choose(self, connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        """The certificate by the name that the client asks for."""
        if self._contexts is None:
            self._contexts = dict(self._read_secrets())
        labels = (name or "").lower().partition(".")
        context = self._contexts.get(name or "") or self._contexts.get(f"*.{labels[2]}")
        if context is not None:
            connection.context = context

    def _read_secrets(self) -> Iterator[tuple[str, ssl.SSLContext]]:
        from minik8s.apiserver.pki import KeyPair, server_context

        for ingress in self._ours():
            for tls in ingress["spec"].get("tls") or ():
                secret = self._secrets.lister.get(tls.get("secretName") or "", namespace_of(ingress))
                data = (secret.get("data") or {}) if secret is not None else {}
                try:
                    pair = KeyPair(b64decode(data["tls.crt"]), b64decode(data["tls.key"]))
                    context = server_context(pair, self._directory)
                except (KeyError, ValueError, ssl.SSLError) as error:
                    log.warning("a certificate cannot be used", ingress=name_of(ingress), reason=str(error))
                    continue
                yield from ((host, context) for host in tls.get("hosts") or _hosts(ingress))


def _hosts(ingress: Doc) -> list[str]:
    return [rule["host"] for rule in ingress["spec"].get("rules") or () if rule.get("host")]


def _unserved(backend: Backend) -> str:
    if backend.resource:
        return f"the backend {backend.resource} is no Service, and others are not supported"
    return f"service {backend.namespace}/{backend.service} has no ready endpoint for port {backend.port}"


async def _answer(call: HttpCall, code: int, text: str) -> None:
    body = b"" if call.method == "HEAD" else f"{text}\n".encode()
    await call.answer(code, body, [(b"content-type", b"text/plain; charset=utf-8")])

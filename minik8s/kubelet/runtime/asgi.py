"""HTTP to pods that are Python code of this process, by the names that Services have: no socket, in any time.

`http://web.shop/path` is asked of a ready endpoint of the Service `web` in the namespace `shop`, in turn, at its target
port, as the proxy would; a pod's own address is asked directly.
"""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from minik8s.api.resources import ENDPOINT_SLICES, SERVICES
from minik8s.client.client import Client
from minik8s.kubelet.runtime.coroutine import ASGIApp, application_at
from minik8s.kubelet.runtime.simulated import Hosted
from minik8s.machinery.errors import ApiError

SERVICE_NAME = "kubernetes.io/service-name"


async def ask(app: ASGIApp, request: httpx.Request) -> httpx.Response:
    """What an ASGI app answers: 500 where it raises, as its server would."""
    return await httpx.ASGITransport(app=app, raise_app_exceptions=False).handle_async_request(request)


def pod_client(client: Client, hosted: Hosted) -> httpx.AsyncClient:
    """A client of the pods that are Python code; whoever has it closes it."""
    return httpx.AsyncClient(transport=PodTransport(client, hosted))


class PodTransport(httpx.AsyncBaseTransport):
    """Finds the app behind a URL. `hosted` are the cluster's containers that run Python code."""

    def __init__(self, client: Client, hosted: Hosted) -> None:
        self._client, self._hosted = client, hosted
        self._turns: dict[tuple[str, str, int], int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host, port = request.url.host, request.url.port or 80
        if request.url.scheme != "http":
            raise httpx.UnsupportedProtocol(f"{request.url}: pods of this process are asked by http", request=request)
        try:
            ip_address(host)
        except ValueError:
            host, port = await self._endpoint(host, port, request)
        app = application_at(self._hosted, host, port)
        if app is None:
            raise httpx.ConnectError(f"dial tcp {host}:{port}: connect: connection refused", request=request)
        return await ask(app, request)

    async def _endpoint(self, host: str, port: int, request: httpx.Request) -> tuple[str, int]:
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0] or "default"
        try:
            service = await self._client.get(SERVICES, name, namespace=namespace)
        except ApiError as error:
            raise httpx.ConnectError(f"lookup {host}: no such host", request=request) from error
        wanted = [one.get("name") or "" for one in service["spec"].get("ports") or () if one["port"] == port]
        slices = await self._client.list(ENDPOINT_SLICES, namespace=namespace, label_selector=f"{SERVICE_NAME}={name}")
        ends = sorted(
            (address, target["port"])
            for piece in slices.items
            for target in piece.get("ports") or ()
            if (target.get("name") or "") in wanted and target.get("port")
            for endpoint in piece.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
        )
        if not ends:
            raise httpx.ConnectError(f"dial tcp {host}:{port}: connect: connection refused", request=request)
        key = (namespace, name, port)
        turn = self._turns[key] = self._turns.get(key, -1) + 1
        return ends[turn % len(ends)]

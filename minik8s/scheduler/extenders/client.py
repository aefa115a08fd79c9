"""One extender, asked over HTTP. A verb that it has not is answered for it: all nodes pass, none is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import anyio
import httpx
import orjson

from minik8s.client.http import ssl_context
from minik8s.client.kubeconfig import ClientConfig, KubeconfigError
from minik8s.clock import Clock, waiting_outside
from minik8s.machinery.meta import Doc, name_of
from minik8s.scheduler.extenders.configuration import ExtenderConfiguration
from minik8s.scheduler.extenders.wire import (
    ExtenderError,
    Filtered,
    Victims,
    binding_args,
    nodes_args,
    preemption_args,
    read_binding_result,
    read_filter_result,
    read_preemption_result,
    read_priorities,
)
from minik8s.scheduler.fields import ConfigurationError


class Extender:
    """Raises ConfigurationError for certificates that are none. `aclose` ends its connections.

    `waiting` counts what has been asked and not yet been answered.
    """

    def __init__(self, config: ExtenderConfiguration, clock: Clock) -> None:
        self.config = config
        self.waiting = 0
        self._clock = clock
        self.name = config.url
        tls = config.tls
        about = ClientConfig(
            server=config.url, ca=tls.ca, insecure=tls.insecure, certificate=tls.certificate, key=tls.key
        )
        try:
            self._verify = ssl_context(about)
        except KubeconfigError as error:
            raise ConfigurationError(f"extender {config.url}: {error}") from None
        self._http: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def is_interested(self, pod: Doc) -> bool:
        """Whether the pod asks for a resource that it manages; in all pods if it manages none."""
        managed = self.config.managed
        if managed is None:
            return True
        spec = pod["spec"]
        for container in chain(spec.get("containers") or (), spec.get("initContainers") or ()):
            resources = container.get("resources") or {}
            if not managed.isdisjoint(chain(resources.get("requests") or (), resources.get("limits") or ())):
                return True
        return False

    async def filter(self, pod: Doc, nodes: Sequence[Doc]) -> Filtered:
        """Raises ExtenderError."""
        by_name = self.config.node_cache_capable
        answer = await self._send(self.config.filter, nodes_args(pod, nodes, by_name=by_name))
        found = read_filter_result(answer, self.name, by_name=by_name)
        known = {name_of(node) for node in nodes}
        for name in found.nodes:
            if name not in known:
                why = f'claims a filtered node "{name}" which is not found in the input node list'
                raise ExtenderError(f'extender "{self.name}" {why}')
        return found

    async def prioritize(self, pod: Doc, nodes: Sequence[Doc]) -> Mapping[str, int]:
        """Node -> score of 0 … 10. Raises ExtenderError."""
        args = nodes_args(pod, nodes, by_name=self.config.node_cache_capable)
        return read_priorities(await self._send(self.config.prioritize, args), self.name)

    async def bind(self, pod: Doc, node: str) -> None:
        """Raises ExtenderError."""
        read_binding_result(await self._send(self.config.bind, binding_args(pod, node)), self.name)

    async def preempt(self, pod: Doc, victims: Mapping[str, tuple[Sequence[Doc], int]]) -> Mapping[str, Victims]:
        """What it leaves of the nodes and victims. Raises ExtenderError."""
        args = preemption_args(pod, victims, by_uid=self.config.node_cache_capable)
        return read_preemption_result(await self._send(self.config.preempt, args), self.name)

    async def _send(self, verb: str, args: Doc) -> Any:
        url = f"{self.name.rstrip('/')}/{verb}"
        if self._http is None:
            self._http = httpx.AsyncClient(verify=self._verify, timeout=None, trust_env=False)
        extensions = {"sni_hostname": self.config.tls.server_name} if self.config.tls.server_name else {}
        self.waiting += 1
        try:
            with waiting_outside(self._clock), anyio.fail_after(self.config.timeout):
                response = await self._http.post(
                    url,
                    content=orjson.dumps(args),
                    headers={"Content-Type": "application/json"},
                    extensions=extensions,
                )
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise ExtenderError(f'Post "{url}": {why}') from None
        except httpx.HTTPError as error:
            raise ExtenderError(f'Post "{url}": {error or type(error).__name__}') from None
        finally:
            self.waiting -= 1
        if response.status_code != 200:
            raise ExtenderError(f"failed {verb} with extender at URL {url}, code {response.status_code}")
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise ExtenderError(f"the answer of {url} is no JSON: {error}") from None

"""Who connects: asks the NetworkPolicies about each connection that the proxy is to relay, and says where a client is.

It needs to know whose address the client's is, so it is for runtimes whose pods have networks of their own; `policing`
asks it about what pods send without a Service. A connection to one that is refused is reset, a datagram is dropped, and
what has been established stays, as with network plug-ins that go by connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from minik8s.api.nodes import ZONE
from minik8s.api.pods import is_terminal
from minik8s.api.resources import NAMESPACES, NETWORK_POLICIES, NODES, PODS
from minik8s.client.informer import Informers
from minik8s.machinery.meta import Doc, labels_of
from minik8s.proxy.networkpolicy import Labels, Party, Target, is_allowed
from minik8s.proxy.servicemap import Endpoint, Place

_INDEX = "pod-address"


class Guard:
    """The clients of a cluster's Services, by what its caches say.

    `stand_ins` are endpoints that no pod is behind, each with what policies are to take it for: a party and its port.
    """

    def __init__(
        self, informers: Informers, stand_ins: Callable[[], Mapping[Endpoint, tuple[Party, int]]] = dict
    ) -> None:
        self._stand_ins = stand_ins
        self._informers = (informers(NETWORK_POLICIES), informers(PODS), informers(NAMESPACES), informers(NODES))
        policies, pods, namespaces, nodes = self._informers
        pods.add_index(_INDEX, _addresses)
        self._policies, self._pods, self._namespaces = policies.lister, pods.lister, namespaces.lister
        self._nodes = nodes.lister

    async def synced(self) -> None:
        for informer in self._informers:
            await informer.synced()

    def allows(self, client: str, protocol: str, endpoint: Endpoint) -> bool:
        """Whether a client, by its address, may connect to an endpoint."""
        if not len(self._policies):
            return True
        party, port = self._stand_ins().get(endpoint) or (self._party(endpoint.address), endpoint.port)
        return is_allowed(self._party(client), Target(party, protocol, port), self._policies.all, self._labels)

    def knows(self, address: str) -> bool:
        """Whether an address is that of a pod which has told it."""
        return self._party(address).pod is not None

    def place_of(self, client: str) -> Place | None:
        """The node of a pod by its address, None for what is no pod."""
        pod = self._party(client).pod
        name = "" if pod is None else pod["spec"].get("nodeName") or ""
        node = self._nodes.get(name) if name else None
        return Place(name, labels_of(node).get(ZONE, "") if node is not None else "") if name else None

    def _party(self, address: str) -> Party:
        pods = self._pods.by_index(_INDEX, address)
        return Party(address, pods[0] if pods else None)

    def _labels(self, namespace: str) -> Labels | None:
        found = self._namespaces.get(namespace)
        return None if found is None else labels_of(found)


def _addresses(pod: Doc) -> Iterable[str]:
    """The addresses that are this pod's alone, now."""
    if pod["spec"].get("hostNetwork") or is_terminal(pod):
        return ()
    return [entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ()]

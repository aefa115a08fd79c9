"""What the API says, handed to the one kubelet or pod that it concerns.

A cluster has one pod informer and perhaps a thousand kubelets. If each added its own handler, every pod event would be
looked at a thousand times; a dispatch adds one handler per resource and finds the interested by key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import count
from typing import Any

from minik8s.api.resources import CONFIG_MAPS, NODES, PODS, SECRETS, SERVICES
from minik8s.client.informer import Informer, Informers
from minik8s.machinery.meta import Doc, name_of, namespace_of

Listener = Callable[[Doc | None, Doc | None], None]
"""(old, new), as an informer's handler."""
KeyFunc = Callable[[Doc], Hashable]


class Subscriptions:
    """One informer's events by key."""

    def __init__(self, informer: Informer[Any], key: KeyFunc) -> None:
        self._key = key
        self._listeners: dict[Hashable, dict[int, Listener]] = {}
        self._tickets = count()
        informer.add_handler(self._handle)

    def subscribe(self, key: Hashable, listener: Listener) -> Callable[[], None]:
        """Calls `listener` for changes from now on of objects with that key; returns the removal.

        Neither looks at the others: every pod of a namespace listens to its `kube-root-ca.crt`.
        """
        ticket = next(self._tickets)
        self._listeners.setdefault(key, {})[ticket] = listener

        def remove() -> None:
            listeners = self._listeners.get(key)
            if listeners is not None and listeners.pop(ticket, None) is not None and not listeners:
                del self._listeners[key]

        return remove

    @property
    def listeners(self) -> int:
        """How many there are."""
        return sum(map(len, self._listeners.values()))

    def _handle(self, old: Doc | None, new: Doc | None) -> None:
        """An object whose key changed is deleted for the one key and added for the other."""
        before = None if old is None else self._key(old)
        after = None if new is None else self._key(new)
        if before == after:
            self._tell(before, old, new)
            return
        self._tell(before, old, None)
        self._tell(after, None, new)

    def _tell(self, key: Hashable, old: Doc | None, new: Doc | None) -> None:
        if key is not None and (listeners := self._listeners.get(key)):
            for listener in tuple(listeners.values()):
                listener(old, new)


class PodDispatch:
    """The informers that kubelets share: pods by node, nodes by name, ConfigMaps and Secrets by namespace and name.

    Make one per cluster and hand it to every kubelet.
    """

    def __init__(self, informers: Informers) -> None:
        self.pod_informer = informers(PODS)
        self.node_informer = informers(NODES)
        self.service_informer = informers(SERVICES)
        self.config_map_informer = informers(CONFIG_MAPS)
        self.secret_informer = informers(SECRETS)
        self.pods = Subscriptions(self.pod_informer, _node_name)
        self.nodes = Subscriptions(self.node_informer, name_of)
        self.config_maps = Subscriptions(self.config_map_informer, _namespaced_name)
        self.secrets = Subscriptions(self.secret_informer, _namespaced_name)

    async def synced(self) -> None:
        """Waits until every cache holds its first list."""
        for informer in (
            self.pod_informer,
            self.node_informer,
            self.service_informer,
            self.config_map_informer,
            self.secret_informer,
        ):
            await informer.synced()

    def subscribe_objects(
        self, namespace: str, config_maps: Iterable[str], secrets: Iterable[str], listener: Listener
    ) -> Callable[[], None]:
        """Calls `listener` for changes of these ConfigMaps and Secrets; returns the removal."""
        removals = [self.config_maps.subscribe((namespace, name), listener) for name in config_maps]
        removals += [self.secrets.subscribe((namespace, name), listener) for name in secrets]

        def remove() -> None:
            for removal in removals:
                removal()

        return remove


def _node_name(pod: Doc) -> str | None:
    return pod["spec"].get("nodeName") or None


def _namespaced_name(obj: Doc) -> tuple[str, str]:
    return namespace_of(obj), name_of(obj)

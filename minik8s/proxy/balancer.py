"""Which endpoint takes the next connection: a ring that keeps its place while endpoints come and go.

Restarting the rotation at every change would send a burst to the first endpoint whenever a rollout changes the list,
so the ring goes on where it was: leavers drop out, newcomers queue up behind. Pure: whoever asks says what time it
is.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable

from minik8s.proxy.servicemap import Endpoint


class Balancer:
    """Round-robin with optional client affinity. Times are seconds of any clock that never goes back."""

    def __init__(self, endpoints: Iterable[Endpoint] = (), affinity: int | None = None) -> None:
        self._ring: deque[Endpoint] = deque()
        self._members: frozenset[Endpoint] = frozenset()
        self._affinity: int | None = None
        self._clients: OrderedDict[str, tuple[Endpoint, float]] = OrderedDict()  # least recently used first
        self.update(endpoints, affinity)

    def __len__(self) -> int:
        return len(self._ring)

    def __contains__(self, endpoint: object) -> bool:
        return endpoint in self._members

    def update(self, endpoints: Iterable[Endpoint], affinity: int | None) -> None:
        """Takes the new set of endpoints; the one whose turn it was is still next if it stayed."""
        wanted = dict.fromkeys(endpoints)
        stayed = [endpoint for endpoint in self._ring if endpoint in wanted]
        self._ring = deque([*stayed, *(endpoint for endpoint in wanted if endpoint not in self._members)])
        self._members = frozenset(wanted)
        self._affinity = affinity
        if affinity is None:
            self._clients.clear()

    def pick(self, client: str, now: float, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a client's next connection, None when there is none (left).

        `tried` are endpoints that just refused; a client that was bound to one of them is bound anew.
        """
        if self._affinity is None:
            return self._next(tried)
        self._forget(now - self._affinity)
        bound = self._clients.get(client)
        if bound is not None and bound[0] in self._members and bound[0] not in tried:
            endpoint: Endpoint | None = bound[0]
        else:
            endpoint = self._next(tried)
        if endpoint is not None:  # every use prolongs the bond, as with iptables' `recent --update`
            self._clients[client] = (endpoint, now)
            self._clients.move_to_end(client)
        return endpoint

    def _next(self, tried: Collection[Endpoint]) -> Endpoint | None:
        ring = self._ring
        for _ in range(len(ring)):
            endpoint = ring[0]
            ring.rotate(-1)
            if endpoint not in tried:
                return endpoint
        return None

    def _forget(self, before: float) -> None:
        """Drops the bonds that were last used before a time, so that the table holds living clients only."""
        clients = self._clients
        while clients:
            client, (_, used) = next(iter(clients.items()))
            if used >= before:
                return
            del clients[client]

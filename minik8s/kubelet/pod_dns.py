"""A pod's /etc/resolv.conf, from its dnsPolicy and dnsConfig and from that of its node. Pure.

Upstream: pkg/kubelet/network/dns/dns.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address

import attrs

from minik8s.machinery.meta import Doc, namespace_of

DOMAIN = "cluster.local"
MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_LENGTH = 2048
_OMITTED = "{what} limits were exceeded, some {which} have been omitted, the applied {line} line is: {applied}"


@attrs.frozen
class Resolver:
    """What a resolv.conf says. An option without a value has an empty one."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: Mapping[str, str] = attrs.field(factory=dict)

    def text(self) -> str:
        options = [f"{name}:{value}" if value else name for name, value in self.options.items()]
        servers = [("nameserver", (server,)) for server in self.servers]
        lines: list[tuple[str, Sequence[str]]] = [("search", self.searches), *servers, ("options", options)]
        return "".join(f"{keyword} {' '.join(values)}\n" for keyword, values in lines if values)


def parse(text: str) -> Resolver:
    """Reads a resolv.conf; of `search` and `options` the last line counts, as to libc."""
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values:
            servers.append(values[0])
        elif keyword == "search":
            searches = values
        elif keyword == "options":
            options = {name: value for name, _, value in (option.partition(":") for option in values)}
    return Resolver(tuple(servers), tuple(searches), options)


def seen_from_pods(machine: Resolver, resolver: str) -> Resolver:
    """The machine's, where pods have networks of their own: its servers on loopback addresses are not theirs.

    `resolver` stands for them, unless it is "".
    """
    servers = [resolver if resolver and _is_loopback(server) else server for server in machine.servers]
    return attrs.evolve(machine, servers=_once(servers))


def _is_loopback(server: str) -> bool:
    try:
        return ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


def pod_resolver(pod: Doc, cluster_dns: str, node: Resolver) -> Resolver:
    """What the pod asks for, as much as there may be of it; `cluster_dns` "" is none."""
    return _fitting(_wanted(pod, cluster_dns, node), lambda _: None)


def omissions(pod: Doc, cluster_dns: str, node: Resolver) -> Sequence[str]:
    """What is said of a pod that asks for more than there may be (DNSConfigForming)."""
    said: list[str] = []
    _fitting(_wanted(pod, cluster_dns, node), said.append)
    return said


def _wanted(pod: Doc, cluster_dns: str, node: Resolver) -> Resolver:
    spec = pod["spec"]
    policy, config = spec.get("dnsPolicy") or "ClusterFirst", spec.get("dnsConfig") or {}
    if policy == "None":
        base = Resolver()
    elif policy == "Default" or not cluster_dns or (policy == "ClusterFirst" and spec.get("hostNetwork")):
        base = node
    else:
        own = (f"{namespace_of(pod)}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN)
        base = Resolver((cluster_dns,), _once((*own, *node.searches)), {"ndots": "5"})
    options = {option["name"]: option.get("value") or "" for option in config.get("options") or ()}
    return Resolver(
        _once((*base.servers, *(config.get("nameservers") or ()))),
        _once((*base.searches, *(config.get("searches") or ()))),
        {**base.options, **options},
    )


def _fitting(wanted: Resolver, say: Callable[[str], object]) -> Resolver:
    searches = wanted.searches[:MAX_SEARCHES]
    while len(" ".join(searches)) > MAX_SEARCH_LENGTH:
        searches = searches[:-1]
    servers = wanted.servers[:MAX_NAMESERVERS]
    if searches != wanted.searches:
        say(_OMITTED.format(what="Search Line", which="search paths", line="search", applied=" ".join(searches)))
    if servers != wanted.servers:
        say(_OMITTED.format(what="Nameserver", which="nameservers", line="nameserver", applied=" ".join(servers)))
    return Resolver(servers, searches, wanted.options)


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))

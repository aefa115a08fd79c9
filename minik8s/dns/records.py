"""What the names of a cluster stand for. Pure.

    <service>.<namespace>.svc.<domain>              its ClusterIP, or of a headless one the endpoints
    <endpoint>.<service>.<namespace>.svc.<domain>   one endpoint, by its hostname or its dashed address
    _<port>._<protocol>.<service>....               SRV: where a named port is
    <dashed address>.<namespace>.pod.<domain>       that address
    <address>.in-addr.arpa                          the Service or endpoint that has it

A name that exists, or has names below it, but no record of the type that is asked for has an empty answer; any other
name under the domain does not exist. Upstream: kubernetes/dns `docs/specification.md`, CoreDNS `plugin/kubernetes`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from minik8s.api.services import SERVICE_NAME_LABEL
from minik8s.machinery.meta import Doc, labels_of, name_of, namespace_of

VERSION = "1.1.0"
TTL = 5
"""Seconds; the default of CoreDNS' plugin."""
RecordType: TypeAlias = Literal["A", "SRV", "CNAME", "PTR", "TXT"]


@attrs.frozen(order=True)
class Record:
    """`data` as zone files have it: an address, a name with its dot, `priority weight port target`."""

    name: str
    type: RecordType
    data: str


@attrs.frozen
class Answer:
    """`exists` False is NXDOMAIN; `additional` are the addresses of what SRV records name."""

    exists: bool
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()


NOTHING = Answer(True)
NO_SUCH_NAME = Answer(False)


class World(Protocol):
    """Where Services and their endpoints are found."""

    def service(self, namespace: str, name: str) -> Doc | None: ...
    def services(self) -> Iterable[Doc]: ...
    def slices(self, namespace: str, service: str) -> Iterable[Doc]: ...
    def has_namespace(self, name: str) -> bool: ...


@attrs.frozen
class _Place:
    """One address of a Service: what it is called below the Service's name, and its ports (name, protocol, number)."""

    label: str
    address: str
    ports: tuple[tuple[str, str, int], ...]


class Zone:
    """The names under one domain, `cluster.local`."""

    def __init__(self, world: World, domain: str) -> None:
        self._world = world
        self.domain = domain.strip(".").lower()

    def covers(self, name: str) -> bool:
        """Whether the zone is responsible for a name: others are somebody else's."""
        name = name.rstrip(".").lower()
        return name == self.domain or name.endswith(f".{self.domain}") or self._is_own_reverse(name)

    def answer(self, name: str, wanted: str) -> Answer:
        """The answer to a question about `name` (with or without its last dot) for records of type `wanted`."""
        name = name.rstrip(".").lower()
        if name.endswith(".in-addr.arpa"):
            return self._reverse(name, wanted)
        labels = name.removesuffix(self.domain).strip(".").split(".") if name != self.domain else []
        match labels[::-1]:
            case [] | ["svc"] | ["pod"]:
                return NOTHING
            case ["dns-version"]:
                return _typed((Record(f"{name}.", "TXT", VERSION),), wanted)
            case ["svc" | "pod", namespace]:
                return NOTHING if self._world.has_namespace(namespace) else NO_SUCH_NAME
            case ["pod", namespace, dashed]:
                return self._pod(name, namespace, dashed, wanted)
            case ["svc", namespace, service, *below]:
                return self._service(name, namespace, service, below[::-1], wanted)
        return NO_SUCH_NAME

    def _pod(self, name: str, namespace: str, dashed: str, wanted: str) -> Answer:
        address = _dotted(dashed)
        if not address or not self._world.has_namespace(namespace):
            return NO_SUCH_NAME
        return _typed((Record(f"{name}.", "A", address),), wanted)

    def _service(self, name: str, namespace: str, service: str, below: Sequence[str], wanted: str) -> Answer:
        found = self._world.service(namespace, service)
        if found is None:
            return NO_SUCH_NAME
        if found["spec"].get("type") == "ExternalName":
            target = str(found["spec"].get("externalName", "")).rstrip(".")
            return Answer(True, (Record(f"{name}.", "CNAME", f"{target}."),)) if not below else NO_SUCH_NAME
        places = self._places(found)
        origin = f"{service}.{namespace}.svc.{self.domain}."
        if not below:
            if wanted == "SRV":
                return _located(name, places, origin, lambda port: True)
            return _typed(tuple(Record(f"{name}.", "A", place.address) for place in places), wanted)
        if len(below) == 2 and all(label.startswith("_") for label in below):
            port, protocol = below[0][1:], below[1][1:]
            located = _located(name, places, origin, lambda p: (p[0], p[1].lower()) == (port, protocol))
            return located if wanted == "SRV" else attrs.evolve(located, records=(), additional=())
        if len(below) == 1 and _is_headless(found):
            chosen = [place for place in places if place.label == below[0]]
            if chosen:
                return _typed(tuple(Record(f"{name}.", "A", place.address) for place in chosen), wanted)
        return NO_SUCH_NAME

    def _places(self, service: Doc) -> list[_Place]:
        """The addresses that a Service's name stands for."""
        if _is_headless(service):
            slices = self._world.slices(namespace_of(service), name_of(service))
            return sorted(dict.fromkeys(place for found in slices for place in _ready(found)), key=_by_address)
        ports = tuple(
            (p.get("name") or "", p.get("protocol") or "TCP", p["port"]) for p in service["spec"].get("ports") or ()
        )
        addresses = [ip for ip in service["spec"].get("clusterIPs") or () if ":" not in ip]
        return [_Place(_dashed(ip), ip, ports) for ip in addresses]

    def _is_own_reverse(self, name: str) -> bool:
        return name.endswith(".in-addr.arpa") and self._reverse(name, "PTR").exists

    def _reverse(self, name: str, wanted: str) -> Answer:
        address = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
        records = []
        for service in self._world.services():
            origin = f"{name_of(service)}.{namespace_of(service)}.svc.{self.domain}."
            for place in self._places(service) if service["spec"].get("type") != "ExternalName" else ():
                if place.address == address:
                    target = f"{place.label}.{origin}" if _is_headless(service) else origin
                    records.append(Record(f"{name}.", "PTR", target))
        return _typed(tuple(records), wanted) if records else NO_SUCH_NAME


def _located(
    name: str, places: Sequence[_Place], origin: str, chosen: Callable[[tuple[str, str, int]], bool]
) -> Answer:
    """SRV records for the ports that are chosen, one for each address, with those addresses."""
    records, additional = [], []
    for place in places:
        target = f"{place.label}.{origin}"
        for port in place.ports:
            if chosen(port):
                records.append(Record(f"{name}.", "SRV", f"0 100 {port[2]} {target}"))
                additional.append(Record(target, "A", place.address))
    if not records:
        return NO_SUCH_NAME
    return Answer(True, tuple(dict.fromkeys(records)), tuple(dict.fromkeys(additional)))


def _typed(records: tuple[Record, ...], wanted: str) -> Answer:
    """An answer to a name that exists: those of its records that were asked for."""
    return Answer(True, tuple(record for record in records if wanted in (record.type, "ANY")))


def _ready(found: Doc) -> Iterator[_Place]:
    """The ready endpoints of a slice; a Service that publishes others has them marked ready."""
    ports = tuple((p.get("name") or "", p.get("protocol") or "TCP", p["port"]) for p in found.get("ports") or ())
    for endpoint in found.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready", True) is False:
            continue
        for address in endpoint.get("addresses") or ():
            if found.get("addressType", "IPv4") == "IPv4":
                yield _Place(endpoint.get("hostname") or _dashed(address), address, ports)


def _is_headless(service: Doc) -> bool:
    return service["spec"].get("clusterIP") == "None"


def _by_address(place: _Place) -> int:
    return int(ipaddress.ip_address(place.address))


def _dashed(address: str) -> str:
    return address.replace(".", "-")


def _dotted(dashed: str) -> str:
    """The address that a label stands for, "" for none."""
    try:
        return str(ipaddress.IPv4Address(dashed.replace("-", ".")))
    except ValueError:
        return ""


def service_of(found: Doc) -> str:
    """The Service that an EndpointSlice belongs to."""
    return labels_of(found).get(SERVICE_NAME_LABEL, "")

"""What the names of a cluster stand for. Pure.

    <service>.<namespace>.svc.<domain>              its ClusterIPs, or of a headless one the endpoints
    <endpoint>.<service>.<namespace>.svc.<domain>   one endpoint, by its hostname or its dashed address
    _<port>._<protocol>.<service>....               SRV: where a named port is
    <dashed address>.<namespace>.pod.<domain>       that address
    <address>.in-addr.arpa, ....ip6.arpa            the Service or endpoint that has it

A name that exists, or has names below it, but no record of the type that is asked for has an empty answer; any other
name under the domain does not exist, and a headless Service without ready endpoints is such a name. Upstream:
kubernetes/dns `docs/specification.md`; where it leaves a choice, CoreDNS' `plugin/kubernetes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Protocol, TypeAlias

import attrs

from minik8s.api.services import SERVICE_NAME_LABEL
from minik8s.machinery.meta import Doc, labels_of, name_of, namespace_of

VERSION = "1.1.0"
TTL = 5
"""Seconds; the default of CoreDNS' plugin."""
VERSION_TTL = 28800
APEX_SERVICE = ("kube-system", "kube-dns")
"""The Service that the zone names as its name server."""
MAX_ALIASES = 8
"""How many ExternalNames of this zone may lead to one another."""
_REVERSE = {4: ".in-addr.arpa", 6: ".ip6.arpa"}
RecordType: TypeAlias = str
"""A, AAAA, SRV, CNAME, PTR, TXT, NS or SOA."""


@attrs.frozen(order=True)
class Record:
    """`data` as zone files have it: an address, a name with its dot, `priority weight port target`."""

    name: str
    type: RecordType
    data: str
    ttl: int = TTL


@attrs.frozen
class Answer:
    """`exists` False is NXDOMAIN; `additional` are the addresses of what SRV records name.

    `elsewhere` is a name outside of the zone that the records end at: what the question wants of it belongs to the
    answer, for libc asks no second time.
    """

    exists: bool
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    elsewhere: str = ""


NOTHING = Answer(True)
NO_SUCH_NAME = Answer(False)


class World(Protocol):
    """Where Services and their endpoints are found."""

    def service(self, namespace: str, name: str) -> Doc | None: ...
    def slices(self, namespace: str, service: str) -> Iterable[Doc]: ...
    def has_namespace(self, name: str) -> bool: ...

    def services_at(self, address: str) -> Iterable[Doc]:
        """Those with this ClusterIP."""
        ...

    def slices_at(self, address: str) -> Iterable[Doc]:
        """Those with an endpoint of this address."""
        ...

    def serial(self) -> int:
        """A number that grows with every change."""
        ...


@attrs.frozen
class _Place:
    """One address of a Service: what it is called below the Service's name, and its ports (name, protocol, number).

    A ClusterIP has no name of its own but the Service's: `label` is "".
    """

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
        return name == self.domain or name.endswith(f".{self.domain}") or bool(self._owners(name))

    def start_of_authority(self) -> Record:
        """The zone's SOA record, which goes with every answer that has no records (RFC 2308)."""
        domain = f"{self.domain}."
        data = f"ns.dns.{domain} hostmaster.{domain} {self._world.serial() & 0xFFFFFFFF} 7200 1800 86400 {TTL}"
        return Record(domain, "SOA", data)

    def answer(self, name: str, wanted: str) -> Answer:
        """The answer to a question about `name` (with or without its last dot) for records of type `wanted`."""
        name = name.rstrip(".").lower()
        if name.endswith(tuple(_REVERSE.values())):
            records = tuple(Record(f"{name}.", "PTR", owner) for owner in self._owners(name))
            return _typed(records, wanted) if records else NO_SUCH_NAME
        answer, seen = self._answer(name, wanted), 0
        while (target := _alias(answer, wanted)) and seen < MAX_ALIASES:
            if not self.covers(target):
                return attrs.evolve(answer, elsewhere=target)
            further, seen = self._answer(target.rstrip(".").lower(), wanted), seen + 1
            answer = attrs.evolve(further, records=answer.records + further.records)
        return answer

    def _answer(self, name: str, wanted: str) -> Answer:
        labels = name.removesuffix(self.domain).strip(".").split(".") if name != self.domain else []
        match labels[::-1]:
            case []:
                return self._apex(wanted)
            case ["svc"] | ["pod"]:
                return NOTHING
            case ["dns-version"]:
                return _typed((Record(f"{name}.", "TXT", VERSION, VERSION_TTL),), wanted)
            case ["svc" | "pod", namespace]:
                return NOTHING if self._world.has_namespace(namespace) else NO_SUCH_NAME
            case ["pod", namespace, dashed]:
                address = _undashed(dashed)
                if not address or not self._world.has_namespace(namespace):
                    return NO_SUCH_NAME
                return _typed((_located(f"{name}.", address),), wanted)
            case ["svc", namespace, service, *below]:
                return self._service(name, namespace, service, below[::-1], wanted)
        return NO_SUCH_NAME

    def _apex(self, wanted: str) -> Answer:
        """The domain itself: who is responsible for it."""
        namespace, name = APEX_SERVICE
        server = f"{name}.{namespace}.svc.{self.domain}."
        records = (self.start_of_authority(), Record(f"{self.domain}.", "NS", server))
        answer = _typed(records, wanted)
        return attrs.evolve(answer, additional=self._answer(server[:-1], "A").records) if wanted == "NS" else answer

    def _service(self, name: str, namespace: str, service: str, below: Sequence[str], wanted: str) -> Answer:
        found = self._world.service(namespace, service)
        if found is None:
            return NO_SUCH_NAME
        if found["spec"].get("type") == "ExternalName":
            target = str(found["spec"].get("externalName", "")).rstrip(".")
            if below or _undotted(target):  # an address is no name
                return NO_SUCH_NAME
            return Answer(True, (Record(f"{name}.", "CNAME", f"{target}."),))
        match below:
            case []:
                port, protocol, label = "", "", ""
            case [first, second] if first.startswith("_") and second.startswith("_"):
                port, protocol, label = first[1:], second[1:], ""
            case [label]:
                port, protocol = "", ""
            case _:
                return NO_SUCH_NAME
        places = self._places(found, label)
        if port:
            places = [kept for place in places if (kept := _with_port(place, port, protocol)).ports]
        if not places:
            return NO_SUCH_NAME
        if wanted == "SRV":
            return _service_records(f"{name}.", places, f"{service}.{namespace}.svc.{self.domain}.")
        return _typed(tuple(dict.fromkeys(_located(f"{name}.", place.address) for place in places)), wanted)

    def _places(self, service: Doc, label: str) -> list[_Place]:
        """The addresses that a Service's name, or a name below it, stands for."""
        if label or service["spec"].get("clusterIP") == "None":
            slices = self._world.slices(namespace_of(service), name_of(service))
            places = dict.fromkeys(place for found in slices for place in _ready(found))
            return sorted((p for p in places if not label or p.label == label), key=_by_address)
        ports = tuple(
            (p.get("name") or "", p.get("protocol") or "TCP", p["port"]) for p in service["spec"].get("ports") or ()
        )
        return [_Place("", address, ports) for address in service["spec"].get("clusterIPs") or ()]

    def _owners(self, name: str) -> list[str]:
        """The names of the Service that has the address of a reverse name, or else of the endpoints that have it."""
        address = _of_reverse(name)
        if not address:
            return []
        for service in self._world.services_at(address):
            return [f"{name_of(service)}.{namespace_of(service)}.svc.{self.domain}."]
        owners = {
            f"{place.label}.{service_of(found)}.{namespace_of(found)}.svc.{self.domain}.": None
            for found in self._world.slices_at(address)
            for place in _ready(found)
            if place.address == address and service_of(found)
        }
        return sorted(owners)


def _alias(answer: Answer, wanted: str) -> str:
    """The name that an answer leads to without an answer for it, "" for none."""
    last = answer.records[-1:]
    return last[0].data if wanted in ("A", "AAAA") and last and last[0].type == "CNAME" else ""


def _service_records(name: str, places: Sequence[_Place], origin: str) -> Answer:
    """SRV records for every port of every place, with those addresses; they share a weight of 100."""
    targets = [(f"{place.label}.{origin}" if place.label else origin, place) for place in places]
    weight = 100 // max(1, sum(len(place.ports) for place in places))
    found = [Record(name, "SRV", f"0 {weight} {port[2]} {target}") for target, p in targets for port in p.ports]
    additional = [_located(target, place.address) for target, place in targets if place.ports]
    return Answer(True, tuple(dict.fromkeys(found)), tuple(dict.fromkeys(additional)))


def _with_port(place: _Place, name: str, protocol: str) -> _Place:
    ports = tuple(port for port in place.ports if (port[0], port[1].lower()) == (name, protocol))
    return attrs.evolve(place, ports=ports)


def _typed(records: tuple[Record, ...], wanted: str) -> Answer:
    """An answer to a name that exists: those of its records that were asked for."""
    return Answer(True, tuple(record for record in records if wanted in (record.type, "ANY")))


def _located(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _ready(found: Doc) -> Iterator[_Place]:
    """The ready endpoints of a slice; a Service that publishes others has them marked ready."""
    if found.get("addressType") == "FQDN":
        return
    ports = tuple(
        (p.get("name") or "", p.get("protocol") or "TCP", p["port"])
        for p in found.get("ports") or ()
        if p.get("port") is not None
    )
    for endpoint in found.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready", True) is False:
            continue
        for address in endpoint.get("addresses") or ():
            yield _Place((endpoint.get("hostname") or _dashed(address)).lower(), address, ports)


def _by_address(place: _Place) -> tuple[int, int]:
    address = ip_address(place.address)
    return address.version, int(address)


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _undashed(label: str) -> str:
    """The address that a label stands for, "" for none."""
    dotted = label.count("-") == 3 and "--" not in label
    return _undotted(label.replace("-", "." if dotted else ":"))


def _undotted(text: str) -> str:
    """An address in its usual form, "" for what is none."""
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _of_reverse(name: str) -> str:
    """The address that a reverse name stands for, "" for none."""
    if name.endswith(_REVERSE[4]):
        parts = name.removesuffix(_REVERSE[4]).split(".")[::-1]
        return _undotted(".".join(parts)) if len(parts) == 4 else ""
    nibbles = "".join(name.removesuffix(_REVERSE[6]).split(".")[::-1])
    if not name.endswith(_REVERSE[6]) or len(nibbles) != 32:
        return ""
    return _undotted(":".join(nibbles[i : i + 4] for i in range(0, 32, 4)))


def addresses_of(found: Doc) -> tuple[str, ...]:
    """The addresses of a slice's endpoints, as the index of slices by address has them."""
    return tuple(_undotted(a) for endpoint in found.get("endpoints") or () for a in endpoint.get("addresses") or ())


def service_of(found: Doc) -> str:
    """The Service that an EndpointSlice belongs to."""
    return labels_of(found).get(SERVICE_NAME_LABEL, "")

"""What the names of a cluster stand for: the specification's examples, and what does not exist."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.dns.records import NO_SUCH_NAME, NOTHING, Record, Zone, addresses_of

PORTS = [{"name": "https", "port": 443, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]


def make_service(name: str, **spec: Any) -> Any:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": PORTS, **spec}}


def make_slice(service: str, *endpoints: Any, family: str = "IPv4") -> Any:
    metadata = {"name": f"{service}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}}
    return {"metadata": metadata, "addressType": family, "endpoints": list(endpoints), "ports": PORTS}


def endpoint(address: str, hostname: str = "", ready: bool = True) -> Any:
    named = {"hostname": hostname} if hostname else {}
    return {"addresses": [address], "conditions": {"ready": ready}, **named}


class Fixed:
    """A small world."""

    def __init__(self) -> None:
        self._services = {
            "web": make_service("web", clusterIP="10.96.0.5", clusterIPs=["10.96.0.5", "fd00::5"]),
            "db": make_service("db", clusterIP="None", clusterIPs=["None"]),
            "empty": make_service("empty", clusterIP="None", clusterIPs=["None"]),
            "bare": {"metadata": {"name": "bare", "namespace": "shop"}, "spec": {"clusterIP": "None"}},
            "far": make_service("far", type="ExternalName", externalName="example.com"),
            "near": make_service("near", type="ExternalName", externalName="Web.shop.svc.cluster.local."),
            "around": make_service("around", type="ExternalName", externalName="around.shop.svc.cluster.local"),
            "over": make_service("over", type="ExternalName", externalName="far.shop.svc.cluster.local"),
            "lost": make_service("lost", type="ExternalName", externalName="none.shop.svc.cluster.local"),
            "number": make_service("number", type="ExternalName", externalName="10.1.1.1"),
        }
        self._slices = {
            "db": [
                make_slice("db", endpoint("10.244.0.9", "db-1"), endpoint("10.244.0.2", "db-0")),
                make_slice("db", endpoint("10.244.0.7"), endpoint("10.244.0.8", ready=False)),
                make_slice("db", endpoint("fd00::9"), family="IPv6"),
            ],
            "web": [make_slice("web", endpoint("10.244.0.9"))],
            "bare": [make_slice("bare", endpoint("10.244.0.3")) | {"ports": []}],
            "empty": [make_slice("empty", endpoint("10.244.0.4", ready=False))],
        }

    def service(self, namespace: str, name: str) -> Any:
        return self._services.get(name) if namespace == "shop" else None

    def services_at(self, address: str) -> Any:
        return [s for s in self._services.values() if address in s["spec"].get("clusterIPs", ())]

    def slices_at(self, address: str) -> Any:
        return [s for slices in self._slices.values() for s in slices if address in addresses_of(s)]

    def serial(self) -> int:
        return 7

    def slices(self, namespace: str, service: str) -> Any:
        return self._slices.get(service, [])

    def has_namespace(self, name: str) -> bool:
        return name == "shop"


ZONE = Zone(Fixed(), "cluster.local")
DB = "db.shop.svc.cluster.local."
SHOP = "shop.svc.cluster.local."


@pytest.mark.parametrize(
    ("name", "wanted", "data"),
    [
        ("web.shop.svc.cluster.local.", "A", ["10.96.0.5"]),
        ("WEB.shop.SVC.cluster.local", "A", ["10.96.0.5"]),
        ("web.shop.svc.cluster.local.", "AAAA", ["fd00::5"]),
        ("web.shop.svc.cluster.local.", "MX", []),
        ("db.shop.svc.cluster.local.", "A", ["10.244.0.2", "10.244.0.7", "10.244.0.9"]),
        ("db.shop.svc.cluster.local.", "AAAA", ["fd00::9"]),
        ("db-1.db.shop.svc.cluster.local.", "A", ["10.244.0.9"]),
        ("10-244-0-7.db.shop.svc.cluster.local.", "A", ["10.244.0.7"]),
        ("10-244-0-9.web.shop.svc.cluster.local.", "A", ["10.244.0.9"]),
        ("fd00--9.db.shop.svc.cluster.local.", "AAAA", ["fd00::9"]),
        ("bare.shop.svc.cluster.local.", "A", ["10.244.0.3"]),
        ("bare.shop.svc.cluster.local.", "SRV", []),
        ("far.shop.svc.cluster.local.", "CNAME", ["example.com."]),
        ("_https._tcp.web.shop.svc.cluster.local.", "SRV", ["0 50 443 web.shop.svc.cluster.local."]),
        ("_HTTPS._TCP.web.shop.svc.cluster.local.", "A", ["10.96.0.5"]),
        ("web.shop.svc.cluster.local.", "SRV", [f"0 25 {p} web.shop.svc.cluster.local." for p in (443, 53)]),
        (
            "_dns._udp.db.shop.svc.cluster.local.",
            "SRV",
            [f"0 25 53 {host}.{DB}" for host in ("db-0", "10-244-0-7", "db-1", "fd00--9")],
        ),
        ("10-1-2-3.shop.pod.cluster.local.", "A", ["10.1.2.3"]),
        ("fd00--9.shop.pod.cluster.local.", "AAAA", ["fd00::9"]),
        ("5.0.96.10.in-addr.arpa.", "PTR", ["web.shop.svc.cluster.local."]),
        ("9.0.244.10.in-addr.arpa.", "PTR", ["10-244-0-9.web.shop.svc.cluster.local.", f"db-1.{DB}"]),
        (f"{'5' + '.0' * 27}.0.0.d.f.ip6.arpa.", "PTR", ["web.shop.svc.cluster.local."]),
        ("dns-version.cluster.local.", "TXT", ["1.1.0"]),
        ("cluster.local.", "SOA", ["ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5"]),
        ("cluster.local.", "NS", ["kube-dns.kube-system.svc.cluster.local."]),
    ],
)
def test_names(name: str, wanted: str, data: list[str]) -> None:
    """A name of each form, and the records of the type that was asked for; none of another type."""
    answer = ZONE.answer(name, wanted)
    assert answer.exists
    assert [record.data for record in answer.records] == data
    assert all(record.name == name.lower().rstrip(".") + "." for record in answer.records)


def test_addresses_come_along() -> None:
    """An SRV answer has the addresses of what it names."""
    answer = ZONE.answer("_https._tcp.db.shop.svc.cluster.local.", "SRV")
    assert answer.additional[0] == Record(f"db-0.{DB}", "A", "10.244.0.2")


@pytest.mark.parametrize(
    ("name", "data", "elsewhere"),
    [
        ("near", [f"web.{SHOP}", "10.96.0.5"], ""),
        ("far", ["example.com."], "example.com."),
        ("over", [f"far.{SHOP}", "example.com."], "example.com."),
    ],
)
def test_other_names_for_a_name(name: str, data: list[str], elsewhere: str) -> None:
    """An ExternalName is followed as far as the zone goes, and says what is to be asked of others."""
    answer = ZONE.answer(f"{name}.{SHOP}", "A")
    assert [record.data.lower() for record in answer.records] == data
    assert answer.elsewhere == elsewhere
    assert len(ZONE.answer(f"{name}.{SHOP}", "CNAME").records) == 1


def test_names_that_lead_nowhere() -> None:
    """A circle of ExternalNames ends, and one that leads to no name has none."""
    assert ZONE.answer(f"around.{SHOP}", "A").exists
    lost = ZONE.answer(f"lost.{SHOP}", "A")
    assert not lost.exists
    assert [record.type for record in lost.records] == ["CNAME"]


@pytest.mark.parametrize(
    "name",
    [
        "none.shop.svc.cluster.local.",
        "web.other.svc.cluster.local.",
        "other.svc.cluster.local.",
        "db-7.db.shop.svc.cluster.local.",
        "x.web.shop.svc.cluster.local.",
        "_http._tcp.web.shop.svc.cluster.local.",
        "10-1-2.shop.pod.cluster.local.",
        "10-1-2-3.other.pod.cluster.local.",
        "10-244-0-8.db.shop.svc.cluster.local.",
        "empty.shop.svc.cluster.local.",
        "number.shop.svc.cluster.local.",
        "x.far.shop.svc.cluster.local.",
        "_x._tcp.bare.shop.svc.cluster.local.",
        "1-2.shop.pod.cluster.local.",
        "1.0.10.in-addr.arpa.",
        "1.0.0.ip6.arpa.",
        "web.cluster.local.",
        "a.b.c.d.e.shop.svc.cluster.local.",
        "1.0.96.10.in-addr.arpa.",
    ],
)
def test_names_that_do_not_exist(name: str) -> None:
    """No Service, no namespace, no endpoint, no port, no address: NXDOMAIN."""
    assert ZONE.answer(name, "SRV" if name.startswith("_") else "A") == NO_SUCH_NAME


@pytest.mark.parametrize(
    "name", ["cluster.local.", "svc.cluster.local.", "pod.cluster.local.", "shop.svc.cluster.local."]
)
def test_names_above_others(name: str) -> None:
    """What has names below it exists, without records."""
    assert ZONE.answer(name, "A") == NOTHING


def test_whose_names() -> None:
    """The zone is responsible for its domain and for the addresses of its Services and endpoints, for nothing else."""
    assert ZONE.covers("web.shop.svc.cluster.local.")
    assert ZONE.covers("cluster.local")
    assert ZONE.covers("5.0.96.10.in-addr.arpa.")
    assert not ZONE.covers("9.9.9.9.in-addr.arpa.")
    assert not ZONE.covers("example.com.")
    assert not ZONE.covers("notcluster.local.")

"""What the names of a cluster stand for: the specification's examples, and what does not exist."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.dns.records import NO_SUCH_NAME, NOTHING, Record, Zone

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
            "far": make_service("far", type="ExternalName", externalName="example.com"),
        }
        self._slices = {
            "db": [
                make_slice("db", endpoint("10.244.0.9", "db-1"), endpoint("10.244.0.2", "db-0")),
                make_slice("db", endpoint("10.244.0.7"), endpoint("10.244.0.8", ready=False)),
                make_slice("db", endpoint("fd00::9"), family="IPv6"),
            ]
        }

    def service(self, namespace: str, name: str) -> Any:
        return self._services.get(name) if namespace == "shop" else None

    def services(self) -> Any:
        return self._services.values()

    def slices(self, namespace: str, service: str) -> Any:
        return self._slices.get(service, [])

    def has_namespace(self, name: str) -> bool:
        return name == "shop"


ZONE = Zone(Fixed(), "cluster.local")
DB = "db.shop.svc.cluster.local."


@pytest.mark.parametrize(
    ("name", "wanted", "data"),
    [
        ("web.shop.svc.cluster.local.", "A", ["10.96.0.5"]),
        ("WEB.shop.SVC.cluster.local", "A", ["10.96.0.5"]),
        ("web.shop.svc.cluster.local.", "AAAA", []),
        ("db.shop.svc.cluster.local.", "A", ["10.244.0.2", "10.244.0.7", "10.244.0.9"]),
        ("db-1.db.shop.svc.cluster.local.", "A", ["10.244.0.9"]),
        ("10-244-0-7.db.shop.svc.cluster.local.", "A", ["10.244.0.7"]),
        ("empty.shop.svc.cluster.local.", "A", []),
        ("far.shop.svc.cluster.local.", "A", ["example.com."]),
        ("_https._tcp.web.shop.svc.cluster.local.", "SRV", ["0 100 443 10-96-0-5.web.shop.svc.cluster.local."]),
        ("_dns._udp.db.shop.svc.cluster.local.", "SRV", [f"0 100 53 {h}.{DB}" for h in ("db-0", "10-244-0-7", "db-1")]),
        ("10-1-2-3.shop.pod.cluster.local.", "A", ["10.1.2.3"]),
        ("5.0.96.10.in-addr.arpa.", "PTR", ["web.shop.svc.cluster.local."]),
        ("9.0.244.10.in-addr.arpa.", "PTR", [f"db-1.{DB}"]),
        ("dns-version.cluster.local.", "TXT", ["1.1.0"]),
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

"""What a pod's /etc/resolv.conf is made from."""

from typing import Any

import pytest

from minik8s.kubelet.pod_dns import Resolver, omissions, parse, pod_resolver, seen_from_pods

DNS = "10.96.0.10"
OWN = "search ns.svc.cluster.local svc.cluster.local cluster.local"
NODE = Resolver(("192.0.2.53",), ("example.org",), {"timeout": "1"})
NODES = "search example.org\nnameserver 192.0.2.53\noptions timeout:1\n"


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web-0", "namespace": "ns", "uid": "u"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "dns", "expected"),
    [
        ({}, DNS, f"{OWN} example.org\nnameserver {DNS}\noptions ndots:5\n"),
        ({}, "", NODES),
        ({"dnsPolicy": "Default"}, DNS, NODES),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, DNS, NODES),
        (
            {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
            DNS,
            f"{OWN} example.org\nnameserver {DNS}\noptions ndots:5\n",
        ),
        ({"dnsPolicy": "None", "dnsConfig": {}}, DNS, ""),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["x.y"]}},
            DNS,
            "search x.y\nnameserver 1.1.1.1\n",
        ),
        (
            {"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "edns0"}]}},
            DNS,
            "search example.org\nnameserver 192.0.2.53\nnameserver 1.1.1.1\noptions timeout:1 edns0\n",
        ),
        (
            {
                "dnsConfig": {
                    "nameservers": ["1.1.1.1", DNS, "2.2.2.2"],
                    "searches": ["x.y", "cluster.local"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                }
            },
            DNS,
            f"{OWN} example.org x.y\nnameserver {DNS}\nnameserver 1.1.1.1\nnameserver 2.2.2.2\noptions ndots:2 edns0\n",
        ),
    ],
)
def test_resolv_conf(spec: dict[str, Any], dns: str, expected: str) -> None:
    """dnsPolicy chooses what is to begin with, dnsConfig adds to it; the node's own domains are searched last."""
    assert pod_resolver(pod(**spec), dns, NODE).text() == expected
    assert omissions(pod(**spec), dns, NODE) == []


def test_there_may_be_too_much() -> None:
    """Of more servers and domains than libc takes the first are kept, and the pod hears which."""
    many = {"nameservers": [f"192.0.2.{n}" for n in range(3)], "searches": [f"d{n}" for n in range(40)]}
    resolver = pod_resolver(pod(dnsConfig=many), DNS, Resolver())
    assert resolver.servers == (DNS, "192.0.2.0", "192.0.2.1")
    assert len(resolver.searches) == 32
    search, servers = omissions(pod(dnsConfig=many), DNS, Resolver())
    assert search.startswith(
        "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ns.svc."
    )
    assert servers == (
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is:"
        f" {DNS} 192.0.2.0 192.0.2.1"
    )
    long = {"searches": [f"{'x' * 60}{n}.example" for n in range(32)]}
    resolver = pod_resolver(pod(dnsPolicy="None", dnsConfig=long), DNS, Resolver())
    assert len(" ".join(resolver.searches)) <= 2048 < len(" ".join(long["searches"]))


def test_a_resolv_conf_is_read_as_libc_does() -> None:
    """Comments are none of its business, the last search and options lines count, and what is broken is passed over."""
    text = (
        "# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver\n\nsearch a b\nsearch c\noptions edns0 ndots:3\nx y\n"
    )
    assert parse(text) == Resolver(("127.0.0.53",), ("c",), {"edns0": "", "ndots": "3"})
    assert parse("") == Resolver()


def test_servers_on_loopback_are_the_machines() -> None:
    """To a pod its own loopback is nobody's name server: the way out has one for it, where there is one."""
    machine = Resolver(("127.0.0.53", "::1", "192.0.2.53", "what"))
    assert seen_from_pods(machine, "10.244.0.131").servers == ("10.244.0.131", "192.0.2.53", "what")
    assert seen_from_pods(machine, "") == machine

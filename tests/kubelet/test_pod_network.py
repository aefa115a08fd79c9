"""What a pod's /etc/hosts and /etc/resolv.conf are made from."""

from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.pod_network import fqdn, resolv_conf, sandbox_config

DNS = "10.96.0.10"
CLUSTER_SEARCH = "search ns.svc.cluster.local svc.cluster.local cluster.local"


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web-0", "namespace": "ns", "uid": "u"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "dns", "expected"),
    [
        ({}, DNS, f"{CLUSTER_SEARCH}\nnameserver {DNS}\noptions ndots:5\n"),
        ({}, "", ""),
        ({"dnsPolicy": "Default"}, DNS, ""),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, DNS, ""),
        (
            {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
            DNS,
            f"{CLUSTER_SEARCH}\nnameserver {DNS}\noptions ndots:5\n",
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["x.y"]}},
            DNS,
            "search x.y\nnameserver 1.1.1.1\n",
        ),
        (
            {
                "dnsConfig": {
                    "nameservers": ["1.1.1.1", DNS, "2.2.2.2", "3.3.3.3"],
                    "searches": ["x.y", "cluster.local"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                }
            },
            DNS,
            f"{CLUSTER_SEARCH} x.y\nnameserver {DNS}\nnameserver 1.1.1.1\nnameserver 2.2.2.2\noptions ndots:2 edns0\n",
        ),
    ],
)
def test_resolv_conf(spec: dict[str, Any], dns: str, expected: str) -> None:
    """dnsPolicy and dnsConfig make the file as upstream; "" is the node's own."""
    assert resolv_conf(pod(**spec), dns) == expected


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, ""),
        ({"subdomain": "db"}, "web-0.db.ns.svc.cluster.local"),
        ({"subdomain": "db", "hostname": "first"}, "first.db.ns.svc.cluster.local"),
    ],
)
def test_full_names(spec: dict[str, Any], name: str) -> None:
    """Only a pod with a subdomain has a full name."""
    assert fqdn(pod(**spec)) == name


def test_host_aliases() -> None:
    """Aliases reach the sandbox in their order."""
    spec = {"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}, {"ip": "::1"}]}
    config = sandbox_config(pod(**spec), Path("/x"), DNS)
    assert config.host_aliases == (("1.2.3.4", ("a", "b")), ("::1", ()))

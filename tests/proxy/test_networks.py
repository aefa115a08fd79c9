"""Pods with a network of their own: where the proxy's sockets come from, and what stands for ClusterIPs outside."""

import socket

import pytest

from minik8s.proxy.networks import alias_of, plain, to_endpoint, with_aliases
from minik8s.proxy.servicemap import Endpoint, Frontend, Kind, ServicePort


def port(kind: Kind) -> ServicePort:
    return ServicePort("ns", "web", "http", 80, kind)


@pytest.mark.parametrize(
    ("address", "alias"), [("10.96.0.10", "127.96.0.10"), ("172.20.255.1", "127.20.255.1"), ("fd00::1", "")]
)
def test_aliases_keep_the_host_part(address: str, alias: str) -> None:
    """A ClusterIP's alias is the loopback address that ends as it does; IPv6 has none."""
    assert alias_of(address) == alias


def test_only_cluster_ips_have_aliases_and_they_come_first() -> None:
    """Who looks for an address on this machine finds the alias before the ClusterIP."""
    cluster_ip, node_port = Frontend("TCP", "10.96.0.10", 80), Frontend("TCP", "127.0.0.1", 30000)
    made = with_aliases({cluster_ip: port("ClusterIP"), node_port: port("NodePort")})
    assert list(made) == [Frontend("TCP", "127.96.0.10", 80), cluster_ip, node_port]
    assert made[cluster_ip] is made[Frontend("TCP", "127.96.0.10", 80)]


def test_load_balancers_have_their_address_inside_as_well() -> None:
    """A pod that connects to it meets the proxy in its own network."""
    balancer = Frontend("TCP", "127.160.0.9", 80)
    assert list(with_aliases({balancer: port("LoadBalancer")})) == [balancer, balancer._replace(inside=True)]


def test_sockets_are_asked_for_by_address() -> None:
    """A socket to an endpoint is of its network and family, on behalf of a client, and never blocks."""
    asked: list[tuple[str, int, int, str]] = []

    def sockets(address: str, family: int, kind: int, source: str = "", *, listening: bool = False) -> socket.socket:
        asked.append((address, family, kind, source))
        return plain(address, family, kind)

    with to_endpoint(sockets, Endpoint("10.244.0.9", 80), socket.SOCK_DGRAM, "10.244.0.2") as sock:
        assert not sock.getblocking()
    assert asked == [("10.244.0.9", socket.AF_INET, socket.SOCK_DGRAM, "10.244.0.2")]

"""Who has which address in the pods' network, as far as it can be said without one."""

import socket

import pytest

from minik8s.config import SANDBOX_NODES
from minik8s.kubelet.runtime.network import Plan, PodNetwork
from minik8s.kubelet.runtime.processes import Spawner


def test_everybody_has_a_place() -> None:
    """Gateway, nodes and the way outside have addresses of their own, before those of pods."""
    plan = Plan("10.9.0.0/22")
    nodes = [plan.node(index) for index in range(SANDBOX_NODES)]
    others = [plan.gateway, plan.machine, plan.resolver]
    assert plan.gateway == "10.9.0.1"
    assert (nodes[0], nodes[-1]) == ("10.9.0.2", "10.9.0.126")
    assert (plan.outside, plan.machine, plan.resolver) == ("10.9.0.128/25", "10.9.0.130", "10.9.0.131")
    assert len({*nodes, *others}) == SANDBOX_NODES + 3
    with pytest.raises(OSError, match="for 125 nodes only"):
        plan.node(SANDBOX_NODES)


def test_whose_addresses_they_are() -> None:
    """Pods' begin after all of those; Services' are the network's, too; others are the machine's, as sockets are."""
    network = PodNetwork(Spawner(isolated=True), "10.9.0.0/22", "10.96.0.0/12")
    assert [network.is_pod(address) for address in ("10.9.0.255", "10.9.1.0", "10.9.3.254", "10.10.0.1", "::1")] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert [network.has(address) for address in ("10.9.0.2", "10.96.0.1", "10.112.0.1", "web")] == [
        True,
        True,
        False,
        False,
    ]
    assert network.node("a") is network.node("a")
    assert network.is_node("10.9.0.2")
    assert not network.is_node("10.9.0.3")
    with network.make_socket("192.0.2.1", socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert sock.fileno() >= 0
    with pytest.raises(OSError, match="lost"):
        network.make_socket("10.9.1.0", socket.AF_INET, socket.SOCK_STREAM)

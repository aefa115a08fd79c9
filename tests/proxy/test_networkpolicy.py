"""NetworkPolicies as truth tables: who of nine pods in three namespaces may reach whom (upstream's netpol model)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from minik8s.machinery.meta import Doc
from minik8s.proxy.networkpolicy import Party, Target, is_allowed

SPACES, NAMES = "xyz", "abc"
PODS = [f"{space}/{name}" for space in SPACES for name in NAMES]
NAMESPACES = {space: {"ns": space, "kubernetes.io/metadata.name": space} for space in SPACES}
PORTS = [
    {"containerPort": 80, "name": "serve-80-tcp", "protocol": "TCP"},
    {"containerPort": 80, "name": "serve-80-udp", "protocol": "UDP"},
    {"containerPort": 81, "name": "serve-81-tcp", "protocol": "TCP"},
]


def party(text: str) -> Party:
    space, name = text.split("/")
    address = f"10.244.{SPACES.index(space)}.{NAMES.index(name) + 1}"
    pod: Doc = {
        "metadata": {"namespace": space, "name": name, "uid": text, "labels": {"pod": name}},
        "spec": {"containers": [{"name": "main", "ports": PORTS}]},
    }
    return Party(address, pod)


def policy(selected: dict[str, str], space: str = "x", **spec: Any) -> Doc:
    types = spec.pop("types", ["Ingress"])
    return {
        "metadata": {"namespace": space, "name": "p"},
        "spec": {"podSelector": {"matchLabels": selected}, "policyTypes": types, **spec},
    }


def pods(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def spaces(*names: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchExpressions": [{"key": "ns", "operator": "In", "values": list(names)}]}}


def port(number: int | str, protocol: str = "TCP", **more: int) -> dict[str, Any]:
    return {"port": number, "protocol": protocol, **more}


def check(policies: list[Doc], source: Party, target: Party, number: int = 80, protocol: str = "TCP") -> bool:
    return is_allowed(
        source,
        Target(target, protocol, number),
        lambda space: [found for found in policies if found["metadata"]["namespace"] == space],
        NAMESPACES.get,
    )


def refused(policies: list[Doc], number: int = 80, protocol: str = "TCP") -> set[tuple[str, str]]:
    """Every (source, destination) of the nine pods that cannot connect."""
    pairs = itertools.product(PODS, PODS)
    return {(s, d) for s, d in pairs if not check(policies, party(s), party(d), number, protocol)}


def to(destination: str, *sources: str) -> set[tuple[str, str]]:
    """What is refused when only these sources, and it itself, reach a destination."""
    return {(source, destination) for source in PODS if source not in (*sources, destination)}


def of(source: str, *destinations: str) -> set[tuple[str, str]]:
    """What is refused when a source reaches only these, and itself."""
    return {(source, destination) for destination in PODS if destination not in (*destinations, source)}


X_ALL = [f"x/{name}" for name in NAMES]
Y_ALL = [f"y/{name}" for name in NAMES]
DENY_INGRESS, DENY_EGRESS = policy({}), policy({}, types=["Egress"])
FROM_B = policy({"pod": "a"}, ingress=[{"from": [pods(pod="b")]}])
CASES: dict[str, tuple[list[Doc], set[tuple[str, str]]]] = {
    "no policies": ([], set()),
    "default deny ingress": ([DENY_INGRESS], set().union(*(to(pod) for pod in X_ALL))),
    "default deny egress": ([DENY_EGRESS], set().union(*(of(pod) for pod in X_ALL))),
    "allow all ingress": ([policy({}, ingress=[{}])], set()),
    "deny and allow all add up": ([DENY_INGRESS, policy({}, ingress=[{}])], set()),
    "pods of the policy's namespace": ([FROM_B], to("x/a", "x/b")),
    "all pods of the policy's namespace": (
        [policy({"pod": "a"}, ingress=[{"from": [{"podSelector": {}}]}])],
        to("x/a", *X_ALL),
    ),
    "pods of any namespace": (
        [policy({"pod": "a"}, ingress=[{"from": [{"namespaceSelector": {}, **pods(pod="b")}]}])],
        to("x/a", "x/b", "y/b", "z/b"),
    ),
    "a namespace": ([policy({"pod": "a"}, ingress=[{"from": [spaces("y")]}])], to("x/a", *Y_ALL)),
    "namespace and pod": (
        [policy({"pod": "a"}, ingress=[{"from": [{**spaces("y", "z"), **pods(pod="c")}]}])],
        to("x/a", "y/c", "z/c"),
    ),
    "namespace or pod": (
        [policy({"pod": "a"}, ingress=[{"from": [spaces("y"), pods(pod="c")]}])],
        to("x/a", "x/c", *Y_ALL),
    ),
    "an address block": (
        [policy({"pod": "a"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.244.1.0/24"}}]}])],
        to("x/a", *Y_ALL),
    ),
    "an address block with an exception": (
        [
            policy(
                {"pod": "a"}, ingress=[{"from": [{"ipBlock": {"cidr": "10.244.1.0/24", "except": ["10.244.1.2/32"]}}]}]
            )
        ],
        to("x/a", "y/a", "y/c"),
    ),
    "an exception that another rule allows": (
        [
            policy(
                {"pod": "a"},
                ingress=[
                    {"from": [{"ipBlock": {"cidr": "10.244.1.0/24", "except": ["10.244.1.2/32"]}}]},
                    {"from": [{**spaces("y"), **pods(pod="b")}]},
                ],
            )
        ],
        to("x/a", *Y_ALL),
    ),
    "egress to a pod": (
        [policy({"pod": "a"}, types=["Egress"], egress=[{"to": [pods(pod="b")]}])],
        of("x/a", "x/b"),
    ),
    "egress to a namespace": (
        [policy({"pod": "a"}, types=["Egress"], egress=[{"to": [spaces("y")]}])],
        of("x/a", *Y_ALL),
    ),
    "egress needs ingress": (
        [policy({"pod": "a"}, types=["Egress"], egress=[{"to": [spaces("y")]}]), policy({}, "y")],
        of("x/a") | set().union(*(to(pod) for pod in Y_ALL)),
    ),
    "both directions in one policy": (
        [
            policy(
                {"pod": "a"},
                types=["Ingress", "Egress"],
                ingress=[{"from": [pods(pod="b")]}],
                egress=[{"to": [pods(pod="c")]}],
            )
        ],
        to("x/a", "x/b") | of("x/a", "x/c"),
    ),
    "rules of a direction that is not declared do nothing": (
        [policy({"pod": "a"}, types=["Egress"], ingress=[], egress=[{}])],
        set(),
    ),
    "another namespace's policy": ([policy({}, "y")], set().union(*(to(pod) for pod in Y_ALL))),
    "a policy that selects nobody": ([policy({"pod": "none"})], set()),
}


@pytest.mark.parametrize(("policies", "expected"), CASES.values(), ids=CASES)
def test_tables(policies: list[Doc], expected: set[tuple[str, str]]) -> None:
    """Of all 81 pairs exactly these are refused."""
    assert refused(policies) == expected


@pytest.mark.parametrize(
    ("ports", "open_ports"),
    [
        ([port(80)], {(80, "TCP")}),
        ([port("serve-81-tcp")], {(81, "TCP")}),
        ([port("serve-80-udp", "UDP")], {(80, "UDP")}),
        ([port("serve-80-udp", "TCP")], set()),
        ([port("nobody")], set()),
        ([port(80, endPort=81)], {(80, "TCP"), (81, "TCP")}),
        ([{"protocol": "UDP"}], {(80, "UDP")}),
        ([{}], {(80, "TCP"), (81, "TCP")}),
        ([port(80), port(80, "UDP")], {(80, "TCP"), (80, "UDP")}),
    ],
)
@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_ports(ports: list[Doc], open_ports: set[tuple[int, str]], direction: str) -> None:
    """Ports by number, range, protocol, and by the name that the destination's containers give them."""
    selected = {"pod": "a" if direction == "Ingress" else "b"}
    policies = [policy(selected, types=[direction], **{direction.lower(): [{"ports": ports}]})]
    tried = [(80, "TCP"), (80, "UDP"), (81, "TCP")]
    assert {t for t in tried if check(policies, party("x/b"), party("x/a"), *t)} == open_ports


def test_hosts() -> None:
    """Whoever is no pod is named by address blocks only, and is not isolated itself; a named port is a pod's."""
    host = Party("192.0.2.9")
    assert check([], host, party("x/a"))
    assert not check([FROM_B], host, party("x/a"))
    block = {"ipBlock": {"cidr": "192.0.2.0/24"}}
    assert check([policy({}, ingress=[{"from": [block]}])], host, party("x/a"))
    assert check([policy({}, types=["Egress"], egress=[{"to": [block]}])], party("x/a"), host)
    assert not check([DENY_EGRESS], party("x/a"), host)
    assert not check([policy({}, types=["Egress"], egress=[{"ports": [port("x")]}])], party("x/a"), host)
    assert not check([policy({}, ingress=[{"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}])], host, party("x/a"))


def test_a_pod_and_its_node() -> None:
    """Nothing keeps a pod and the node that it is on from each other; another node is a stranger."""
    pod = party("x/a")
    assert pod.pod is not None
    pod = Party(pod.address, {**pod.pod, "status": {"hostIP": "10.244.0.2"}})
    own, other = Party("10.244.0.2"), Party("10.244.0.3")
    policies = [policy({}, types=["Ingress", "Egress"])]
    assert check(policies, own, pod)
    assert check(policies, pod, own)
    assert not check(policies, other, pod)
    assert not check(policies, pod, other)

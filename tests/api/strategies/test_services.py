"""Services: rules beyond the common ones, warnings, and what a change of type leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.resources import SERVICES
from minik8s.api.strategies import strategy_for
from tests.api.conftest import made, texts

ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def service(annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": annotations or {}}, "spec": {"ports": [{"port": 80}], **spec}}


def ports(*numbers: int, **spec: Any) -> dict[str, Any]:
    listed = [{"name": f"p{i}", "port": 80 + i, "nodePort": number} for i, number in enumerate(numbers)]
    return service(ports=listed, **spec)


CASES: list[tuple[dict[str, Any], list[str]]] = [
    (service(type="ExternalName", externalName="a.b.", clusterIP="10.0.0.1", ipFamilyPolicy="SingleStack"), [
        "spec.clusterIPs: Forbidden: may not be set for ExternalName services",
        "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services",
    ]),
    (service(clusterIP="2001:db8::1"),
     ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster']),
    (ports(30001, 30001, type="NodePort"), ["spec.ports[1].nodePort: Duplicate value: 30001"]),
    (ports(30001, type="ExternalName", externalName="a"), []),
    (service(loadBalancerSourceRanges=["x"]), [
        f"spec.LoadBalancerSourceRanges: Forbidden: {ONLY_BALANCER}",
        f'spec.LoadBalancerSourceRanges[0]: Invalid value: "x": {CIDR}',
    ]),
    (service({RANGES: "10.0.0.0/8, x"}, type="LoadBalancer"),
     [f'metadata.annotations[{RANGES}]: Invalid value: "x": {CIDR}']),
    (service({RANGES: "10.0.0.0/8"}), [f"metadata.annotations[{RANGES}]: Forbidden: {ONLY_BALANCER}"]),
    (service({"service.kubernetes.io/topology-mode": "Auto", "service.kubernetes.io/topology-aware-hints": "x"}), [
        'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Auto": must match '
        "annotations[service.kubernetes.io/topology-aware-hints] when both are specified"
    ]),
    (service(loadBalancerClass="x", allocateLoadBalancerNodePorts=False), [
        f"spec.allocateLoadBalancerNodePorts: Forbidden: {ONLY_BALANCER}",
        f"spec.loadBalancerClass: Forbidden: {ONLY_BALANCER}",
    ]),
    (service(type="NodePort", externalTrafficPolicy="Foo", healthCheckNodePort=30005), [
        'spec.externalTrafficPolicy: Unsupported value: "Foo": supported values: "Cluster", "Local"',
        "spec.healthCheckNodePort: Invalid value: 30005: may only be set when `type` is 'LoadBalancer' and "
        "`externalTrafficPolicy` is 'Local'",
    ]),
    (service(internalTrafficPolicy="Foo", trafficDistribution="Bar"), [
        'spec.internalTrafficPolicy: Unsupported value: "Foo": supported values: "Cluster", "Local"',
        'spec.trafficDistribution: Unsupported value: "Bar": supported values: "PreferClose", "PreferSameZone", '
        '"PreferSameNode"',
    ]),
    (service(externalIPs=["0.0.0.0", "169.254.1.1"]), [
        'spec.externalIPs[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
        'spec.externalIPs[1]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, '
        "fe80::/10)",
    ]),
    (service(clusterIP="None", ports=[]), []),
]  # fmt: skip


@pytest.mark.parametrize(("doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(errors_of: Callable[..., list[str]], doc: dict[str, Any], expected: list[str]) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(SERVICES, doc) == expected


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        ({"ip": "1.2.3.4", "ipMode": "VIP", "hostname": "a.b"}, []),
        ({"ip": "x", "ipMode": "Foo"}, [
            'status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or '
            "2001:db8::ffff)",
            'status.loadBalancer.ingress[0].ipMode: Unsupported value: "Foo": supported values: "Proxy", "VIP"',
        ]),
        ({"hostname": "1.2.3.4", "ipMode": "VIP"}, [
            "status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set",
            'status.loadBalancer.ingress[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
        ]),
    ],
)  # fmt: skip
def test_load_balancer_status(ingress: dict[str, Any], expected: list[str]) -> None:
    """What a controller may write about a load balancer."""
    old = made(SERVICES, service(type="LoadBalancer"))
    new = {**old, "status": {"loadBalancer": {"ingress": [ingress]}}}
    assert texts(strategy_for(SERVICES).validate_status_update(new, old)) == expected
    plain = made(SERVICES, service())
    assert texts(strategy_for(SERVICES).validate_status_update({**new, "spec": plain["spec"]}, plain)) == [
        "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    ]


def test_a_change_of_type_clears_the_load_balancer() -> None:
    """A Service that is no load balancer any more has no load balancer in its status."""
    old = {**made(SERVICES, service(type="LoadBalancer")), "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}
    new = made(SERVICES, service())
    strategy_for(SERVICES).prepare_update(new, old)
    assert new["status"] == {"loadBalancer": {}}


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        (service(), []),
        (service(externalName="x"), ['spec.externalName is ignored when spec.type is not "ExternalName"']),
        (service(clusterIP="None", sessionAffinity="ClientIP"),
         ["spec.SessionAffinity is ignored for Headless Services"]),
        (service(type="ExternalName", externalName="x", externalIPs=["1.2.3.4"]),
         ['spec.externalIPs is ignored when spec.type is "ExternalName"']),
        (service({"service.kubernetes.io/topology-aware-hints": "auto"}),
         ["annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
          "service.kubernetes.io/topology-mode instead"]),
    ],
)  # fmt: skip
def test_warnings(doc: dict[str, Any], expected: list[str]) -> None:
    """What does nothing is said."""
    assert strategy_for(SERVICES).warnings(made(SERVICES, doc), None) == expected

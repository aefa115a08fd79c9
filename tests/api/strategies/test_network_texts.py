"""Validation of Services, their endpoints, Ingresses and network policies: upstream's texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}


def service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"ports": [{"port": 80}], **spec}}


def ingress(**path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]
    return {"spec": {"rules": [{"http": {"paths": paths}}]}}


CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (r.SERVICES, service(ports=[]), ["spec.ports: Required value"]),
    (
        r.SERVICES,
        service(ports=[{"port": 0}]),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    ),
    (
        r.SERVICES,
        service(ports=[{"port": 80}, {"port": 81}]),
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    ),
    (
        r.SERVICES,
        service(ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
        ['spec.ports[1].name: Duplicate value: "a"'],
    ),
    (
        r.SERVICES,
        service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 80}]),
        [
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
            '"NodePort":0}'
        ],
    ),
    (
        r.SERVICES,
        service(type="Foo"),
        [
            'spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
            '"NodePort"'
        ],
    ),
    (
        r.SERVICES,
        service(ports=[{"port": 80, "nodePort": 30000}]),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ),
    (
        r.SERVICES,
        service(clusterIP="1.2.3"),
        ['spec.clusterIPs[0]: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ),
    (
        r.SERVICES,
        service(clusterIP="None", type="NodePort"),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    ),
    (r.SERVICES, service(type="ExternalName"), ["spec.externalName: Required value"]),
    (
        r.SERVICES,
        service(sessionAffinity="Foo"),
        ['spec.sessionAffinity: Unsupported value: "Foo": supported values: "ClientIP", "None"'],
    ),
    (
        r.SERVICES,
        service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 100000}}),
        [
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 100000: must be greater than 0 and "
            "less than 86400"
        ],
    ),
    (
        r.SERVICES,
        service(externalTrafficPolicy="Local"),
        ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
    ),
    (
        r.SERVICES,
        service(ipFamilyPolicy="RequireDualStack"),
        [
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack '
            "services"
        ],
    ),
    (
        r.SERVICES,
        service(ipFamilies=["IPv6"]),
        ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    ),
    (
        r.SERVICES,
        service(allocateLoadBalancerNodePorts=True),
        ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ),
    (
        r.INGRESSES,
        {"spec": {}},
        ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        r.INGRESSES,
        ingress(pathType=None),
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        r.INGRESSES,
        ingress(path="a"),
        ['spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
    ),
    (
        r.INGRESSES,
        ingress(backend={}),
        ['spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required'],
    ),
    (
        r.INGRESSES,
        ingress(backend={"service": {"name": "s"}}),
        ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
    ),
    (
        r.INGRESSES,
        {"spec": {"rules": [{"host": "1.2.3.4"}]}},
        ['spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'],
    ),
    (
        r.NETWORK_POLICIES,
        {"spec": {"ingress": [{"from": [{}]}]}},
        ["spec.ingress[0].from[0]: Required value: must specify a peer"],
    ),
    (
        r.NETWORK_POLICIES,
        {"spec": {"policyTypes": ["Foo"]}},
        ['spec.policyTypes[0]: Unsupported value: "Foo": supported values: "Ingress", "Egress"'],
    ),
    (
        r.ENDPOINT_SLICES,
        {"addressType": "Foo", "endpoints": [{}]},
        [
            'addressType: Unsupported value: "Foo": supported values: "FQDN", "IPv4", "IPv6"',
            "endpoints[0].addresses: Required value: must contain at least 1 address",
        ],
    ),
    (
        r.ENDPOINTS,
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2}]}]},
        ["subsets[0].ports[0].name: Required value", "subsets[0].ports[1].name: Required value"],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=[f"{c[0].kind}-{i}" for i, c in enumerate(CASES)])
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected

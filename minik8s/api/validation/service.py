"""A Service: ports, addresses, policies, and what each type may have. Upstream: `ValidateService`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import Causes, in_range, named, no_special_ip, one_of, port, validate_labels
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICIES = ("Cluster", "Local")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_EXPOSED = ("NodePort", "LoadBalancer")
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
MAX_AFFINITY_SECONDS = 86400


def validate_service(service: Doc) -> Causes:
    """The whole Service, before addresses and node ports are allocated."""
    spec = service["spec"]
    yield from _ports_needed(spec)
    yield from _type(spec)
    yield from validate_labels(spec.get("selector"), "spec.selector")
    yield from _affinity(spec)
    yield from _cluster_addresses(spec)
    yield from _families(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        yield from no_special_ip(address, f"spec.externalIPs[{index}]")
    yield from _ports(spec)
    yield from _load_balancer(spec)
    yield from _external_policy(spec)
    internal = spec.get("internalTrafficPolicy")
    yield from one_of(internal, "spec.internalTrafficPolicy", _POLICIES, optional=True)
    yield from one_of(spec.get("trafficDistribution"), "spec.trafficDistribution", _DISTRIBUTIONS, optional=True)


def _is_headless(spec: Part) -> bool:
    return spec.get("clusterIP") == "None" or spec.get("clusterIPs") == ["None"]


def _ports_needed(spec: Part) -> Causes:
    if not spec.get("ports") and not _is_headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")


def _type(spec: Part) -> Causes:
    kind = spec.get("type", "")
    if kind == "ExternalName":
        if spec.get("clusterIP"):
            yield forbidden("spec.clusterIP", "may not be set for ExternalName services")
        name = spec.get("externalName", "").removesuffix(".")
        if name:
            yield from named(name, "spec.externalName", names.dns1123_subdomain)
        else:
            yield required("spec.externalName")
    elif kind not in TYPES:
        yield not_supported("spec.type", kind, TYPES)
    if kind in _EXPOSED and _is_headless(spec):
        detail = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", "None", detail)


def _affinity(spec: Part) -> Causes:
    affinity = spec.get("sessionAffinity", "")
    if affinity not in ("ClientIP", "None"):
        yield not_supported("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is not None and not 0 < seconds <= MAX_AFFINITY_SECONDS:
            path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            yield invalid(path, seconds, f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}")
    elif affinity == "None" and config is not None:
        yield forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")


def _cluster_addresses(spec: Part) -> Causes:
    several: Sequence[str] = spec.get("clusterIPs") or ()
    if spec.get("type") == "ExternalName":
        if several:
            yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
        return
    if several and several[0] != spec.get("clusterIP"):
        yield invalid("spec.clusterIPs", list(several), "first value must match `clusterIP`")
    for index, address in enumerate(several):
        path = f"spec.clusterIPs[{index}]"
        if address == "None":
            if index or len(several) > 1:
                yield invalid("spec.clusterIPs", list(several), "'None' must be the first and only value")
            continue
        for text in names.ip(address):
            yield invalid(path, address, text)
    if len(several) > 1 and not any(names.ip(address) for address in several):
        if len(several) > 2:
            yield invalid("spec.clusterIPs", list(several), "may only hold up to 2 values")
        elif spec.get("ipFamilyPolicy") in (None, "SingleStack"):
            yield invalid("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), _SECONDARY)


_SECONDARY = "must be RequireDualStack or PreferDualStack when multiple clusterIPs are specified"


def _families(spec: Part) -> Causes:
    """This cluster speaks IPv4 only."""
    if spec.get("type") == "ExternalName":
        for field in ("ipFamilyPolicy", "ipFamilies"):
            if spec.get(field):
                yield forbidden(f"spec.{field}", "may not be set for ExternalName services")
        return
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        yield not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)
    elif policy == "RequireDualStack":
        yield invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")
    seen = set()
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        path = f"spec.ipFamilies[{index}]"
        if family not in ("IPv4", "IPv6"):
            yield not_supported(path, family, ("IPv4", "IPv6"))
        elif family == "IPv6":
            yield invalid(path, family, "not configured on this cluster")
        if family in seen:
            yield duplicate(path, family)
        seen.add(family)


def _ports(spec: Part) -> Causes:
    ports = spec.get("ports") or ()
    port_names: set[str] = set()
    for index, item in enumerate(ports):
        path = f"spec.ports[{index}]"
        yield from _port(item, path, port_names, name_needed=len(ports) > 1)
        if item.get("nodePort") and spec.get("type") in ("ClusterIP", "ExternalName"):
            yield forbidden(f"{path}.nodePort", f"may not be used when `type` is '{spec['type']}'")
    yield from _same_ports(ports)


def _port(item: Part, path: str, taken: set[str], *, name_needed: bool) -> Causes:
    name = item.get("name", "")
    if name:
        yield from named(name, f"{path}.name", names.dns1123_label)
        if name in taken:
            yield duplicate(f"{path}.name", name)
        taken.add(name)
    elif name_needed:
        yield required(f"{path}.name")
    yield from in_range(item.get("port", 0), f"{path}.port", 1, 65535)
    yield from one_of(item.get("protocol"), f"{path}.protocol", PROTOCOLS)
    yield from port(item.get("targetPort"), f"{path}.targetPort")
    if application := item.get("appProtocol"):
        yield from named(application, f"{path}.appProtocol", names.qualified_name)


def _same_ports(ports: Sequence[Part]) -> Causes:
    node_ports: set[tuple[Any, Any]] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, item in enumerate(ports):
        protocol, node_port = item.get("protocol"), item.get("nodePort")
        if node_port:
            if (protocol, node_port) in node_ports:
                yield duplicate(f"spec.ports[{index}].nodePort", _go_port(Protocol=protocol or "", NodePort=node_port))
            node_ports.add((protocol, node_port))
        if (protocol, item.get("port")) in numbers:
            yield duplicate(f"spec.ports[{index}]", _go_port(Protocol=protocol or "", Port=item.get("port", 0)))
        numbers.add((protocol, item.get("port")))


def _go_port(**parts: Any) -> dict[str, Any]:
    """A port as upstream's messages show the key that came twice: its internal struct, mostly zeroes."""
    empty = {"Name": "", "Protocol": "", "AppProtocol": None, "Port": 0, "TargetPort": 0, "NodePort": 0}
    return {**empty, **parts}


def _load_balancer(spec: Part) -> Causes:
    is_balancer = spec.get("type") == "LoadBalancer"
    if ranges := spec.get("loadBalancerSourceRanges"):
        if not is_balancer:
            yield forbidden("spec.loadBalancerSourceRanges", _ONLY_LOAD_BALANCER)
        for index, text in enumerate(ranges):
            yield from named(text.strip(), f"spec.loadBalancerSourceRanges[{index}]", names.cidr)
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if is_balancer and allocate is None:
        yield required("spec.allocateLoadBalancerNodePorts")
    elif not is_balancer and allocate is not None:
        yield forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    if (class_ := spec.get("loadBalancerClass")) is not None:
        if not is_balancer:
            yield forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)
        else:
            yield from named(class_, "spec.loadBalancerClass", names.qualified_name)


def _external_policy(spec: Part) -> Causes:
    policy = spec.get("externalTrafficPolicy")
    exposed = spec.get("type") in _EXPOSED or (spec.get("type") == "ClusterIP" and spec.get("externalIPs"))
    if exposed:
        yield from one_of(policy, "spec.externalTrafficPolicy", _POLICIES)
    elif policy:
        yield invalid("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services")
    checked = spec.get("type") == "LoadBalancer" and policy == "Local"
    if number := spec.get("healthCheckNodePort"):
        if checked:
            yield from in_range(number, "spec.healthCheckNodePort", 1, 65535)
        else:
            detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            yield invalid("spec.healthCheckNodePort", number, detail)


def validate_service_change(service: Doc, old: Doc) -> Causes:
    """What an existing Service keeps: its addresses and primary family while it has a type that has them."""
    spec, before = service["spec"], old["spec"]
    if "ExternalName" not in (spec.get("type"), before.get("type")):
        new_ips, old_ips = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
        if old_ips and new_ips[:1] != old_ips[:1]:
            yield invalid("spec.clusterIPs[0]", list(new_ips), "may not change once set")
        new_families, old_families = spec.get("ipFamilies") or [], before.get("ipFamilies") or []
        if old_families and new_families[:1] != old_families[:1]:
            yield invalid("spec.ipFamilies[0]", list(new_families), "may not change once set")
    if spec.get("type") == before.get("type") == "LoadBalancer":
        if spec.get("loadBalancerClass") != before.get("loadBalancerClass"):
            yield invalid("spec.loadBalancerClass", spec.get("loadBalancerClass"), "may not change once set")
        old_check = before.get("healthCheckNodePort")
        if old_check and spec.get("healthCheckNodePort") != old_check and spec.get("externalTrafficPolicy") == "Local":
            yield forbidden("spec.healthCheckNodePort", "field is immutable")

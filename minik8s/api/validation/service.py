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
_IP_MODES = ("Proxy", "VIP")
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
_TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
MAX_AFFINITY_SECONDS = 86400


def validate_service(service: Doc) -> Causes:
    """The whole Service, before addresses and node ports are allocated."""
    spec, annotations = service["spec"], service["metadata"].get("annotations") or {}
    if annotations:
        yield from _annotations(annotations, spec)
    yield from _ports_needed(spec)
    yield from _type(spec)
    yield from _ports(spec)
    yield from validate_labels(spec.get("selector"), "spec.selector")
    yield from _affinity(spec)
    yield from _cluster_addresses(spec)
    yield from _families(spec)
    for index, address in enumerate(spec.get("externalIPs") or ()):
        yield from no_special_ip(address, f"spec.externalIPs[{index}]")
    if (kind := spec.get("type", "")) not in TYPES:
        yield not_supported("spec.type", kind, TYPES)
    if kind == "ClusterIP":
        for index, item in enumerate(spec.get("ports") or ()):
            if item.get("nodePort"):
                yield forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
    yield from _same_ports(spec.get("ports") or ())
    yield from _load_balancer(spec)
    yield from _external_policy(spec)
    internal = spec.get("internalTrafficPolicy")
    yield from one_of(internal, "spec.internalTrafficPolicy", _POLICIES, optional=True)
    yield from one_of(spec.get("trafficDistribution"), "spec.trafficDistribution", _DISTRIBUTIONS, optional=True)


def _annotations(annotations: Mapping[str, str], spec: Part) -> Causes:
    """The annotations that were fields before there were fields for them."""
    mode, hints = annotations.get(_TOPOLOGY_MODE), annotations.get(_TOPOLOGY_HINTS)
    if mode is not None and hints is not None and mode != hints:
        detail = f"must match annotations[{_TOPOLOGY_HINTS}] when both are specified"
        yield invalid(f"metadata.annotations[{_TOPOLOGY_MODE}]", mode, detail)
    ranges = annotations.get(_SOURCE_RANGES)
    if ranges is None or spec.get("loadBalancerSourceRanges"):
        return
    path = f"metadata.annotations[{_SOURCE_RANGES}]"
    if spec.get("type") != "LoadBalancer":
        yield forbidden(path, _ONLY_LOAD_BALANCER)
    for text in ranges.split(",") if ranges.strip() else ():
        yield from named(text.strip(), path, names.cidr)


def service_warnings(service: Doc) -> list[str]:
    """What is legal in a Service and does nothing. Upstream: pkg/api/service/warnings.go."""
    spec, texts = service["spec"], []
    if _TOPOLOGY_HINTS in (service["metadata"].get("annotations") or {}):
        texts.append(f"annotation {_TOPOLOGY_HINTS} is deprecated, please use {_TOPOLOGY_MODE} instead")
    if spec.get("type") == "ExternalName":
        if spec.get("externalIPs"):
            texts.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    elif spec.get("externalName"):
        texts.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if _is_headless(spec) and spec.get("sessionAffinity") == "ClientIP":
        texts.append("spec.SessionAffinity is ignored for Headless Services")
    return texts


def validate_load_balancer(status: Part, spec: Part) -> Causes:
    """What a load balancer's controller writes into the status."""
    path, ingresses = "status.loadBalancer.ingress", status.get("ingress") or ()
    if ingresses and spec.get("type") != "LoadBalancer":
        yield forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
        return
    for index, ingress in enumerate(ingresses):
        place, ip, mode = f"{path}[{index}]", ingress.get("ip"), ingress.get("ipMode")
        if ip:
            yield from named(ip, f"{place}.ip", names.ip)
        if ip and mode is None:
            yield required(f"{place}.ipMode", "must be specified when `ip` is set")
        elif mode is not None and not ip:
            yield forbidden(f"{place}.ipMode", "may not be specified when `ip` is not set")
        elif mode is not None and mode not in _IP_MODES:
            yield not_supported(f"{place}.ipMode", mode, _IP_MODES)
        if hostname := ingress.get("hostname"):
            yield from named(hostname, f"{place}.hostname", names.dns1123_subdomain)
            if not names.ip(hostname):
                yield invalid(f"{place}.hostname", hostname, "must be a DNS name, not an IP address")


def _is_headless(spec: Part) -> bool:
    return spec.get("clusterIP") == "None" or spec.get("clusterIPs") == ["None"]


def _ports_needed(spec: Part) -> Causes:
    if not spec.get("ports") and not _is_headless(spec) and spec.get("type") != "ExternalName":
        yield required("spec.ports")


def _type(spec: Part) -> Causes:
    kind = spec.get("type", "")
    if kind == "ExternalName":
        if spec.get("clusterIPs"):
            yield forbidden("spec.clusterIPs", "may not be set for ExternalName services")
        for field in ("ipFamilies", "ipFamilyPolicy"):
            if spec.get(field):
                yield forbidden(f"spec.{field}", "may not be set for ExternalName services")
        name = spec.get("externalName", "").removesuffix(".")
        if name:
            yield from named(name, "spec.externalName", names.dns1123_subdomain)
        else:
            yield required("spec.externalName")
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
    if (application := item.get("appProtocol")) is not None:
        yield from named(application, f"{path}.appProtocol", names.qualified_name)


def _same_ports(ports: Sequence[Part]) -> Causes:
    node_ports: set[tuple[Any, Any]] = set()
    numbers: set[tuple[Any, Any]] = set()
    for index, item in enumerate(ports):
        protocol, node_port = item.get("protocol"), item.get("nodePort")
        if node_port:
            if (protocol, node_port) in node_ports:
                yield duplicate(f"spec.ports[{index}].nodePort", node_port)
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
            yield forbidden("spec.LoadBalancerSourceRanges", _ONLY_LOAD_BALANCER)  # upstream's capital letter
        for index, text in enumerate(ranges):
            yield from named(text.strip(), f"spec.LoadBalancerSourceRanges[{index}]", names.cidr)
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

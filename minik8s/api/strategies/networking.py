"""Ingress, IngressClass, NetworkPolicy, and the address bookkeeping kinds."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import domain_path, in_range, named, unchanged
from minik8s.api.validation.ingress import validate_ingress
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, forbidden, invalid, not_supported, required, too_long
from minik8s.machinery.meta import Doc, Obj

OLD_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_POLICY_TYPES = ("Ingress", "Egress")


class IngressStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/ingress/strategy.go."""

    has_generation = True

    def check(self, obj: Doc) -> Causes:
        return validate_ingress(obj["spec"])

    def validate_create(self, obj: Doc) -> FieldErrors:
        errors = super().validate_create(obj)
        annotations = obj["metadata"].get("annotations") or {}
        value, name = annotations.get(OLD_CLASS_ANNOTATION), obj["spec"].get("ingressClassName")
        if value is not None and name is not None and value != name:
            detail = "must match `ingressClassName` when both are specified"
            errors.append(invalid("annotations.kubernetes.io/ingress.class", value, detail))
        return errors

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(_balancers((obj.get("status") or {}).get("loadBalancer") or {}))

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        if OLD_CLASS_ANNOTATION not in (obj["metadata"].get("annotations") or {}):
            return []
        return [f"annotation \"{OLD_CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _balancers(status: Mapping[str, Any]) -> Causes:
    for index, ingress in enumerate(status.get("ingress") or ()):
        path = f"status.loadBalancer.ingress[{index}]"
        if ip := ingress.get("ip"):
            yield from named(ip, f"{path}.ip", names.ip)
        if hostname := ingress.get("hostname"):
            yield from named(hostname, f"{path}.hostname", names.dns1123_subdomain)
            if not names.ip(hostname):
                yield invalid(f"{path}.hostname", hostname, "must be a DNS name, not an IP address")


class IngressClassStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/ingressclass/strategy.go."""

    has_generation = True

    def default(self, obj: Obj) -> None:
        if parameters := obj["spec"].get("parameters"):
            set_default(parameters, "scope", "Cluster")

    def check(self, obj: Doc) -> Causes:
        controller = obj["spec"].get("controller", "")
        if len(controller) > _MAX_CONTROLLER:
            yield too_long("spec.controller", _MAX_CONTROLLER)
        yield from domain_path(controller, "spec.controller")
        if (parameters := obj["spec"].get("parameters")) is not None:
            yield from _class_parameters(parameters, "spec.parameters")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("controller"), old["spec"].get("controller"), "spec.controller")


_MAX_CONTROLLER = 250


def _class_parameters(parameters: Mapping[str, Any], path: str) -> Causes:
    if (group := parameters.get("apiGroup")) is not None:
        yield from named(group, f"{path}.apiGroup", names.dns1123_subdomain)
    for field in ("kind", "name"):
        if not parameters.get(field):
            yield required(f"{path}.{field}")
        else:
            yield from named(parameters[field], f"{path}.{field}", names.path_segment)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in ("Cluster", "Namespace"):
        yield not_supported(f"{path}.scope", scope, ("Cluster", "Namespace"))
    elif scope == "Namespace" and namespace is None:
        yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace":
        yield from named(namespace or "", f"{path}.namespace", names.dns1123_label)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")


class NetworkPolicyStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/networkpolicy/strategy.go."""

    has_generation = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        if not spec.get("policyTypes"):
            spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        for direction in ("ingress", "egress"):
            for rule in spec.get(direction) or ():
                for port in rule.get("ports") or ():
                    set_default(port, "protocol", "TCP")

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from validate_label_selector(spec.get("podSelector") or {}, "spec.podSelector")
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for index, rule in enumerate(spec.get(direction) or ()):
                path = f"spec.{direction}[{index}]"
                for number, port in enumerate(rule.get("ports") or ()):
                    yield from _policy_port(port, f"{path}.ports[{number}]")
                for number, peer in enumerate(rule.get(peers) or ()):
                    yield from _peer(peer, f"{path}.{peers}[{number}]")
        types = spec.get("policyTypes") or ()
        if len(types) > len(_POLICY_TYPES):
            yield invalid("spec.policyTypes", list(types), "may not specify more than two policyTypes")
            return
        for index, kind in enumerate(types):
            if kind not in _POLICY_TYPES:
                yield not_supported(f"spec.policyTypes[{index}]", kind, _POLICY_TYPES)


def _policy_port(port: Mapping[str, Any], path: str) -> Causes:
    protocol, number, last = port.get("protocol"), port.get("port"), port.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        yield not_supported(f"{path}.protocol", protocol, _PROTOCOLS)
    if isinstance(number, str):
        if last is not None:
            yield invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric")
        yield from named(number, f"{path}.port", names.port_name)
    elif number is not None:
        yield from in_range(number, f"{path}.port", 1, 65535)
        if last is not None and last < number:
            yield invalid(f"{path}.endPort", last, "must be greater than or equal to `port`")
        yield from in_range(last, f"{path}.endPort", 1, 65535)
    elif last is not None:
        yield invalid(f"{path}.endPort", last, "may not be specified when `port` is not specified")


def _peer(peer: Mapping[str, Any], path: str) -> Causes:
    selectors = [name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    for name in selectors:
        yield from validate_label_selector(peer[name], f"{path}.{name}")
    block = peer.get("ipBlock")
    if block is not None:
        yield from _ip_block(block, f"{path}.ipBlock")
        if selectors:
            yield forbidden(path, "may not specify both ipBlock and another peer")
    elif not selectors:
        yield required(path, "must specify a peer")


def _ip_block(block: Mapping[str, Any], path: str) -> Causes:
    cidr = block.get("cidr", "")
    if not cidr:
        yield required(f"{path}.cidr")
        return
    if wrong := names.cidr(cidr):
        yield invalid(f"{path}.cidr", cidr, wrong[0])
        return
    outer = ip_network(cidr, strict=False)
    for index, text in enumerate(block.get("except") or ()):
        place = f"{path}.except[{index}]"
        if wrong := names.cidr(text):
            yield invalid(place, text, wrong[0])
            continue
        inner = ip_network(text, strict=False)
        contained = inner.version == outer.version and inner != outer and inner.subnet_of(outer)  # type: ignore[arg-type]
        if not contained:
            yield invalid(place, text, "must be a strict subset of `cidr`")


class ServiceCIDRStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/servicecidr."""

    def check(self, obj: Doc) -> Causes:
        cidrs = obj["spec"].get("cidrs") or ()
        if not cidrs:
            yield required("spec.cidrs", "at least one CIDR required")
        elif len(cidrs) > _MAX_CIDRS:
            yield invalid("spec.cidrs", list(cidrs), f"may only hold up to {_MAX_CIDRS} values")
        elif len(cidrs) == _MAX_CIDRS and len({":" in cidr for cidr in cidrs}) == 1:
            detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"
            yield invalid("spec.cidrs", list(cidrs), detail)
        for index, cidr in enumerate(cidrs):
            yield from _canonical_cidr(cidr, f"spec.cidrs[{index}]")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("cidrs"), old["spec"].get("cidrs"), "spec.cidrs")


_MAX_CIDRS = 2


def _canonical_cidr(cidr: str, path: str) -> Causes:
    if wrong := names.cidr(cidr):
        yield invalid(path, cidr, wrong[0])
    elif (plain := str(ip_network(cidr, strict=False))) != cidr:
        yield invalid(path, cidr, f'must be in canonical form ("{plain}")')


class IPAddressStrategy(KindStrategy):
    """Named after the address it stands for. Upstream: pkg/registry/networking/ipaddress."""

    def name_errors(self, name: str) -> list[str]:
        if names.ip(name):
            return names.ip(name)
        plain = str(ip_address(name))
        return [] if plain == name else [f'must be in canonical form ("{plain}")']

    def check(self, obj: Doc) -> Causes:
        if (parent := obj["spec"].get("parentRef")) is None:
            yield required("spec.parentRef")
            return
        path = "spec.parentRef"
        if group := parent.get("group"):
            yield from named(group, f"{path}.group", names.dns1123_subdomain)
        for field in ("resource", "name"):
            if value := parent.get(field):
                yield from named(value, f"{path}.{field}", names.path_segment)
            else:
                yield required(f"{path}.{field}")
        if namespace := parent.get("namespace"):
            yield from named(namespace, f"{path}.namespace", names.path_segment)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("parentRef"), old["spec"].get("parentRef"), "spec.parentRef")


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "ingressclasses": IngressClassStrategy,
    "ingresses": IngressStrategy,
    "ipaddresses": IPAddressStrategy,
    "networkpolicies": NetworkPolicyStrategy,
    "servicecidrs": ServiceCIDRStrategy,
}

"""Ingress, IngressClass, NetworkPolicy, and the address bookkeeping kinds."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import in_range, named, unchanged
from minik8s.api.validation.ingress import validate_ingress
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.api.validation.structure import validate_structure
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj

OLD_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_POLICY_TYPES = ("Ingress", "Egress")


class IngressStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/ingress/strategy.go."""

    has_generation = True

    def check(self, obj: Doc) -> Causes:
        return validate_ingress(obj["spec"])

    def validate_create(self, obj: Doc) -> FieldErrors:
        errors = super().validate_create(obj)
        annotations = obj["metadata"].get("annotations") or {}
        if OLD_CLASS_ANNOTATION in annotations and obj["spec"].get("ingressClassName") is not None:
            value = annotations[OLD_CLASS_ANNOTATION]
            detail = "can not be set when the class field is also set"
            errors.append(invalid("annotations.kubernetes.io/ingress.class", value, detail))
        return errors


class IngressClassStrategy(KindStrategy):
    """Upstream: pkg/registry/networking/ingressclass/strategy.go."""

    has_generation = True

    def default(self, obj: Obj) -> None:
        if parameters := obj["spec"].get("parameters"):
            set_default(parameters, "scope", "Cluster")

    def check(self, obj: Doc) -> Causes:
        controller = obj["spec"].get("controller", "")
        if not controller:
            yield required("spec.controller")
        elif "/" not in controller:
            yield invalid("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")')
        if (parameters := obj["spec"].get("parameters")) is not None:
            yield from _class_parameters(parameters, "spec.parameters")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("controller"), old["spec"].get("controller"), "spec.controller")


def _class_parameters(parameters: Mapping[str, Any], path: str) -> Causes:
    for field in ("kind", "name"):
        if not parameters.get(field):
            yield required(f"{path}.{field}")
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in ("Cluster", "Namespace"):
        yield not_supported(f"{path}.scope", scope, ("Cluster", "Namespace"))
    elif scope == "Namespace" and not namespace:
        yield required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
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
        yield from named(number, f"{path}.port", names.port_name)
        if last is not None:
            yield invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric")
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
        for index, cidr in enumerate(cidrs):
            yield from named(cidr, f"spec.cidrs[{index}]", names.cidr)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("cidrs"), old["spec"].get("cidrs"), "spec.cidrs")


class IPAddressStrategy(KindStrategy):
    """Named after the address it stands for. Upstream: pkg/registry/networking/ipaddress."""

    def name_errors(self, name: str) -> list[str]:
        return names.ip(name)

    def check(self, obj: Doc) -> Causes:
        return validate_structure(obj, self.resource.type)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("parentRef"), old["spec"].get("parentRef"), "spec.parentRef")


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "ingressclasses": IngressClassStrategy,
    "ingresses": IngressStrategy,
    "ipaddresses": IPAddressStrategy,
    "networkpolicies": NetworkPolicyStrategy,
    "servicecidrs": ServiceCIDRStrategy,
}

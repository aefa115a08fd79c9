"""Service: defaults, and what happens to its fields when its type changes.

ClusterIPs and node ports are filled in by the server's allocator after validation; here an update that leaves
them out keeps those it has. Upstream: pkg/registry/core/service/{strategy,storage/storage}.go.
"""

from __future__ import annotations

from typing import ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.validation.service import (
    service_warnings,
    validate_load_balancer,
    validate_service,
    validate_service_change,
)
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.meta import Doc, Obj

AFFINITY_SECONDS = 10800
_EXPOSED = ("NodePort", "LoadBalancer")


class ServiceStrategy(KindStrategy):
    """Names are DNS-1123 labels since 1.34."""

    returns_deleted = True
    creates_on_update = True
    selectable: ClassVar[Selectable] = {
        "spec.clusterIP": reads("spec", "clusterIP"),
        "spec.type": reads("spec", "type"),
    }

    def name_errors(self, name: str) -> list[str]:
        return names.dns1123_label(name)

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        set_default(spec, "type", "ClusterIP")
        set_default(spec, "sessionAffinity", "None")
        if spec["sessionAffinity"] == "None":
            spec.pop("sessionAffinityConfig", None)
        elif spec["sessionAffinity"] == "ClientIP":
            config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
            config.setdefault("timeoutSeconds", AFFINITY_SECONDS)
        for port in spec.get("ports") or ():
            set_default(port, "protocol", "TCP")
            if not port.get("targetPort"):
                port["targetPort"] = port.get("port", 0)
        _default_policies(spec)
        self.default_status(obj)

    def default_status(self, obj: Obj) -> None:
        status = obj.get("status") or {}
        balancer = status.get("loadBalancer") or {}
        entries = balancer.get("ingress") or ()
        if any(entry.get("ip") and "ipMode" not in entry for entry in entries):
            filled = [
                {**entry, "ipMode": entry.get("ipMode", "VIP")} if entry.get("ip") else entry for entry in entries
            ]
            obj["status"] = {**status, "loadBalancer": {**balancer, "ingress": filled}}

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        _agree_on_addresses(obj["spec"], None)
        _default_families(obj["spec"])

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_update(obj, old)
        spec, before = obj["spec"], old["spec"]
        if spec["type"] != "LoadBalancer" and (obj.get("status") or {}).get("loadBalancer"):
            obj["status"] = {**obj["status"], "loadBalancer": {}}
        _agree_on_addresses(spec, before)
        _keep_allocated(spec, before)
        _drop_what_the_type_had(spec, before)
        _default_families(spec)

    def check(self, obj: Doc) -> Causes:
        return validate_service(obj)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return validate_service_change(obj, old)

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_load_balancer((obj.get("status") or {}).get("loadBalancer") or {}, obj["spec"]))

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return service_warnings(obj)


def is_externally_accessible(spec: Doc) -> bool:
    """Whether external traffic can reach the Service, so that externalTrafficPolicy means something."""
    return spec["type"] in _EXPOSED or (spec["type"] == "ClusterIP" and bool(spec.get("externalIPs")))


def _default_policies(spec: Obj) -> None:
    kind = spec["type"]
    if kind in ("ClusterIP", *_EXPOSED):
        set_default(spec, "internalTrafficPolicy", "Cluster")
    if is_externally_accessible(spec):
        set_default(spec, "externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _default_families(spec: Obj) -> None:
    """The cluster is IPv4 only; an address of the other family is refused by its name."""
    if spec["type"] != "ExternalName":
        given = [ip for ip in spec.get("clusterIPs") or () if ip != "None"]
        set_default(spec, "ipFamilies", ["IPv6" if ":" in ip else "IPv4" for ip in given[:1]] or ["IPv4"])
        set_default(spec, "ipFamilyPolicy", "SingleStack")


def _agree_on_addresses(spec: Obj, before: Doc | None) -> None:
    """clusterIP and clusterIPs[0] are one value; a client may have set or cleared either."""
    single, several = spec.get("clusterIP", ""), spec.get("clusterIPs") or []
    if before is None:
        if single and not several:
            spec["clusterIPs"] = [single]
        elif several and several[0] and not single:
            spec["clusterIP"] = several[0]
        return
    old_single, old_several = before.get("clusterIP", ""), before.get("clusterIPs") or []
    if single and not several:
        spec["clusterIPs"] = list(old_several) if single == old_single else [single]
    elif single != old_single and several == old_several:
        _set_or_drop(spec, "clusterIPs", [single] if single else [])
    elif several != old_several and single == old_single:
        _set_or_drop(spec, "clusterIP", several[0] if several else "")


def _set_or_drop(spec: Obj, key: str, value: object) -> None:
    if value:
        spec[key] = value
    else:
        spec.pop(key, None)


def _keep_allocated(spec: Obj, before: Doc) -> None:
    """An update that leaves out what was allocated means to keep it."""
    if spec["type"] != "ExternalName" and before["type"] != "ExternalName" and not spec.get("clusterIP"):
        for key in ("clusterIP", "clusterIPs"):
            if key in before:
                spec[key] = before[key]
    if spec["type"] in _EXPOSED and before["type"] in _EXPOSED:
        known = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
        taken = {p.get("nodePort") for p in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            number = known.get((port.get("protocol"), port.get("port")))
            if number and not port.get("nodePort") and number not in taken:
                port["nodePort"] = number
    if _needs_health_check(spec) and _needs_health_check(before) and before.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])


def _needs_health_check(spec: Doc) -> bool:
    return spec["type"] == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _drop_what_the_type_had(spec: Obj, before: Doc) -> None:
    """A change of type lets go of fields that only the old type had, unless the client changed them too."""
    if spec["type"] == "ExternalName" and before["type"] != "ExternalName":
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            _drop_if_same(spec, before, key)
        _drop_if_same(spec, before, "internalTrafficPolicy")
    if before["type"] in _EXPOSED and spec["type"] not in _EXPOSED:
        old_ports = {p.get("nodePort") for p in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in old_ports:
                port.pop("nodePort", None)
    if is_externally_accessible(before) and not is_externally_accessible(spec):
        _drop_if_same(spec, before, "externalTrafficPolicy")
    if _needs_health_check(before) and not _needs_health_check(spec):
        _drop_if_same(spec, before, "healthCheckNodePort")
    if before["type"] == "LoadBalancer" and spec["type"] != "LoadBalancer":
        for key in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            _drop_if_same(spec, before, key)


def _drop_if_same(spec: Obj, before: Doc, key: str) -> None:
    if spec.get(key) == before.get(key):
        spec.pop(key, None)

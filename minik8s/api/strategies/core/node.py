"""Node: its status may come with its creation, for a kubelet registers itself in one write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads
from minik8s.api.validation.common import named, unique
from minik8s.api.validation.resources import validate_amount
from minik8s.api.validation.scheduling import validate_taint_effect
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors, duplicate, forbidden, invalid, render
from minik8s.machinery.meta import Doc, Obj


class NodeStrategy(KindStrategy):
    """Upstream: pkg/registry/core/node/strategy.go."""

    selectable: ClassVar[Selectable] = {"spec.unschedulable": reads("spec", "unschedulable", missing="false")}

    def default(self, obj: Obj) -> None:
        self.default_status(obj)
        cidrs = obj["spec"].get("podCIDRs")
        if obj["spec"].get("podCIDR") and not cidrs:
            obj["spec"]["podCIDRs"] = [obj["spec"]["podCIDR"]]
        elif cidrs and not obj["spec"].get("podCIDR"):
            obj["spec"]["podCIDR"] = cidrs[0]

    def default_status(self, obj: Obj) -> None:
        status = obj.get("status") or {}
        if "capacity" in status and "allocatable" not in status:
            obj["status"] = {**status, "allocatable": dict(status["capacity"])}

    def prepare_create(self, obj: Obj) -> None:
        if not obj.get("status"):
            super().prepare_create(obj)

    def check(self, obj: Doc) -> Causes:
        spec, status = obj["spec"], obj.get("status") or {}
        yield from validate_taints(spec.get("taints") or ())
        for part in ("capacity", "allocatable"):
            for name, amount in (status.get(part) or {}).items():
                yield from validate_amount(name, amount, f"status.{part}.{name}")
        cidrs = spec.get("podCIDRs") or ()
        for index, cidr in enumerate(cidrs):
            yield from named(cidr, f"spec.podCIDRs[{index}]", names.cidr)
        if len(cidrs) > 2 or len({":" in cidr for cidr in cidrs}) < len(cidrs):
            yield invalid("spec.podCIDRs", list(cidrs), "may specify no more than one CIDR for each IP family")
        yield from unique((f"spec.podCIDRs[{index}]", cidr) for index, cidr in enumerate(cidrs))

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        addresses = (obj.get("status") or {}).get("addresses") or ()
        known = (old.get("status") or {}).get("addresses") or ()
        for index, address in enumerate(addresses if addresses != known else ()):
            if address in addresses[:index]:
                yield duplicate(f"status.addresses[{index}]", dict(address))
        if before.get("podCIDRs") and new.get("podCIDRs") != before["podCIDRs"]:
            yield forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
        if before.get("providerID") and new.get("providerID") != before["providerID"]:
            yield forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        texts = []
        if obj["spec"].get("configSource") is not None:
            texts.append("spec.configSource: the feature is no longer supported")
        if obj["spec"].get("externalID"):
            texts.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
        return texts

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return [*self.check_change(obj, old), *self.check(obj)]


def validate_taints(taints: Sequence[Mapping[str, Any]]) -> Causes:
    """A node's taints; upstream reports them under metadata, and so must we."""
    seen = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"
        yield from named(taint.get("key", ""), f"{path}.key", names.qualified_name)
        if wrong := names.label_value(taint.get("value", "")):
            yield invalid(f"{path}.value", taint["value"], ";".join(wrong))
        yield from validate_taint_effect(taint.get("effect"), f"{path}.effect")
        pair = (taint.get("key"), taint.get("effect"))
        if pair in seen:
            shown = render(_go_taint(taint))
            detail = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
            yield StatusCause("FieldValueDuplicate", detail, path)
        seen.add(pair)


def _go_taint(taint: Mapping[str, Any]) -> Obj:
    """A taint with the field names of upstream's internal type, which its messages show."""
    return {
        "Key": taint.get("key", ""),
        "Value": taint.get("value", ""),
        "Effect": taint.get("effect", ""),
        "TimeAdded": taint.get("timeAdded"),
    }

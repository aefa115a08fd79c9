"""ReplicationController, whose template and selector say less than its successors', and PodTemplate."""

from __future__ import annotations

from typing import ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads
from minik8s.api.strategies.podspec import default_pod_template
from minik8s.api.validation.common import non_negative
from minik8s.api.validation.podspec import validate_pod_template
from minik8s.api.validation.podwarnings import template_warnings, workload_warnings
from minik8s.api.validation.workload import validate_replica_counts, validate_workload_template
from minik8s.machinery.field import FieldErrors, required
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.selectors import LabelSelector


class ReplicationControllerStrategy(KindStrategy):
    """Upstream: pkg/registry/core/replicationcontroller/strategy.go."""

    has_generation = True
    default_propagation = "Orphan"
    selectable: ClassVar[Selectable] = {"status.replicas": reads("status", "replicas", missing="0")}

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        template = spec.get("template")
        if template is None:
            return
        default_pod_template(template)
        if labels := template["metadata"].get("labels"):
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            if not obj["metadata"].get("labels"):
                obj["metadata"]["labels"] = dict(labels)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from non_negative(spec, "spec", "minReadySeconds")
        selector = spec.get("selector")
        if not selector:
            yield required("spec.selector")
        yield from non_negative(spec, "spec", "replicas")
        if spec.get("template") is None:
            yield required("spec.template")
            return
        parsed = LabelSelector.from_map(selector) if selector else None
        yield from validate_workload_template(spec["template"], parsed, "ReplicationController")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_replica_counts(obj["status"]))

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        template = obj["spec"].get("template")
        return workload_warnings(obj, old, template, "spec.template") if template else []


class PodTemplateStrategy(KindStrategy):
    """Upstream: pkg/registry/core/podtemplate/strategy.go."""

    has_generation = True
    returns_deleted = True

    def default(self, obj: Obj) -> None:
        default_pod_template(obj["template"])

    def check(self, obj: Doc) -> Causes:
        return validate_pod_template(obj["template"], "template")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return template_warnings(obj["template"], "template")

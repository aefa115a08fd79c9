"""Pod: defaults, initial status, what may still change once it exists."""

from __future__ import annotations

from typing import ClassVar

from minik8s.api.pods import is_terminal, qos_class
from minik8s.api.strategies.core.podparts import PARTS
from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads
from minik8s.api.strategies.podlabels import merge_label_keys
from minik8s.api.strategies.podspec import default_pod_only, default_pod_spec
from minik8s.api.strategy import Holes
from minik8s.api.validation.poddiff import validate_pod_change, validate_pod_status_change
from minik8s.api.validation.podspec import validate_pod, validate_pod_metadata
from minik8s.api.validation.podwarnings import pod_warnings
from minik8s.machinery.field import FieldErrors, forbidden
from minik8s.machinery.meta import Doc, Obj


class PodStrategy(KindStrategy):
    """Upstream: pkg/registry/core/pod/strategy.go."""

    has_generation = True
    graceful = True
    returns_deleted = True
    holes: ClassVar[Holes] = {"metadata": {"name": None}}
    selectable: ClassVar[Selectable] = {
        "spec.nodeName": reads("spec", "nodeName"),
        "spec.host": reads("spec", "nodeName"),
        "spec.restartPolicy": reads("spec", "restartPolicy"),
        "spec.schedulerName": reads("spec", "schedulerName"),
        "spec.serviceAccountName": reads("spec", "serviceAccountName"),
        "spec.hostNetwork": reads("spec", "hostNetwork", missing="false"),
        "status.phase": reads("status", "phase"),
        "status.podIP": reads("status", "podIP"),
        "status.podIPs": reads("status", "podIP"),
        "status.nominatedNodeName": reads("status", "nominatedNodeName"),
    }
    indexed = ("spec.nodeName",)
    parts = PARTS

    def default(self, obj: Obj) -> None:
        default_pod_spec(obj["spec"])
        default_pod_only(obj["spec"])

    def prepare_create(self, obj: Obj) -> None:
        merge_label_keys(obj)
        super().prepare_create(obj)

    def initial_status(self, obj: Obj) -> Obj:
        status: Obj = {"phase": "Pending", "qosClass": qos_class(obj)}
        if obj["spec"].get("schedulingGates"):
            status["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": None,
                    "lastTransitionTime": None,
                }
            ]
        return status

    def prepare_status_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_status_update(obj, old)
        before = (old.get("status") or {}).get("qosClass")
        if before and not obj["status"].get("qosClass"):
            obj["status"]["qosClass"] = before
        owners = old["metadata"].get("ownerReferences")
        if owners is not None:
            obj["metadata"]["ownerReferences"] = owners
        else:
            obj["metadata"].pop("ownerReferences", None)

    def check(self, obj: Doc) -> Causes:
        return validate_pod(obj)

    def validate_create(self, obj: Doc) -> FieldErrors:
        errors = super().validate_create(obj)
        spec = obj["spec"]
        if spec.get("ephemeralContainers"):
            errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
        if spec.get("nodeName") and spec.get("schedulingGates"):
            errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
        return errors

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        if obj["spec"] == old["spec"]:  # most patches of pods are about metadata, and this has been checked
            return list(validate_pod_metadata(obj))
        return [*self.check(obj), *validate_pod_change(obj, old)]

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_pod_status_change(obj, old))

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return pod_warnings(obj["spec"], "spec", obj["metadata"]) if old is None else []

    def deletable_at_once(self, obj: Doc, grace: int) -> bool:
        """Nobody has to be waited for when no node runs the pod, or its containers have ended."""
        return not obj["spec"].get("nodeName") or is_terminal(obj)

    def grace_period(self, obj: Doc) -> int:
        return int(obj["spec"].get("terminationGracePeriodSeconds", 0))

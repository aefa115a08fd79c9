"""Deployment, ReplicaSet, StatefulSet, DaemonSet, ControllerRevision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.strategies.podspec import default_pod_template
from minik8s.api.validation.common import (
    NOT_NEGATIVE,
    at_most_all,
    int_or_percent,
    non_negative,
    one_of,
    only_fields,
    required_name,
    unchanged,
)
from minik8s.api.validation.podspec import validate_template_metadata
from minik8s.api.validation.podwarnings import workload_warnings
from minik8s.api.validation.selectors import parse_selector
from minik8s.api.validation.workload import (
    validate_replica_counts,
    validate_runs_forever,
    validate_selected,
    validate_workload_selector,
    validate_workload_template,
)
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, forbidden, invalid, not_supported, required
from minik8s.machinery.intorstring import percentage
from minik8s.machinery.meta import Doc, Obj

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_STATEFUL_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


class WorkloadStrategy(KindStrategy):
    """What has a template and a selector that can never change."""

    has_generation = True
    changes_last = True

    def default(self, obj: Obj) -> None:
        default_pod_template(obj["spec"]["template"])

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"].get("selector"), old["spec"].get("selector"), "spec.selector")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return workload_warnings(obj, old, obj["spec"]["template"], "spec.template")


class DeploymentStrategy(WorkloadStrategy):
    """Upstream: pkg/registry/apps/deployment/strategy.go."""

    status_keeps_labels = True

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        spec.setdefault("replicas", 1)
        strategy = spec.setdefault("strategy", {})
        set_default(strategy, "type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from non_negative(spec, "spec", "replicas")
        selector = spec.get("selector")
        yield from validate_workload_selector(selector, "deployment")
        if (parsed := parse_selector(selector)) is not None:
            yield from validate_workload_template(spec["template"], parsed, "ReplicaSet")
        yield from _deployment_strategy(spec["strategy"], "spec.strategy")
        yield from non_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
        deadline = spec.get("progressDeadlineSeconds")
        if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
            yield invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        fields = ("updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
        status = obj.get("status") or {}
        errors = list(non_negative(status, "status", "observedGeneration", "replicas", *fields))
        errors += validate_replica_counts({**status, "unavailableReplicas": 0}, *fields[:3])
        return errors


def _deployment_strategy(strategy: Mapping[str, Any], path: str) -> Causes:
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            yield forbidden(f"{path}.rollingUpdate", detail)
    elif strategy["type"] == "RollingUpdate":
        if rolling is None:
            yield required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            yield from _rolling_update(rolling, f"{path}.rollingUpdate")
    else:
        shown = {"Type": strategy["type"], "RollingUpdate": rolling}
        yield not_supported(path, shown, ("Recreate", "RollingUpdate"))


def _rolling_update(rolling: Mapping[str, Any], path: str) -> Causes:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from int_or_percent(unavailable, f"{path}.maxUnavailable")
    yield from int_or_percent(surge, f"{path}.maxSurge")
    if _is_zero(unavailable) and _is_zero(surge):
        yield invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from at_most_all(unavailable, f"{path}.maxUnavailable")


def _is_zero(value: int | str | None) -> bool:
    """Whether a count or percentage is nothing; what is not valid counts as nothing too."""
    try:
        return not (percentage(value) if isinstance(value, str) else value)
    except ValueError:
        return True


class ReplicaSetStrategy(WorkloadStrategy):
    """Upstream: pkg/registry/apps/replicaset/strategy.go."""

    selectable: ClassVar[Selectable] = {"status.replicas": reads("status", "replicas", missing="0")}

    def default(self, obj: Obj) -> None:
        super().default(obj)
        obj["spec"].setdefault("replicas", 1)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from non_negative(spec, "spec", "replicas", "minReadySeconds")
        selector = spec.get("selector")
        # upstream's own words: a ReplicaSet's empty selector is refused in a Deployment's name
        yield from validate_workload_selector(selector, "deployment")
        if (parsed := parse_selector(selector)) is not None:
            yield from validate_workload_template(spec["template"], parsed, "ReplicaSet")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_replica_counts(obj.get("status") or {}))


class DaemonSetStrategy(WorkloadStrategy):
    """Upstream: pkg/registry/apps/daemonset/strategy.go."""

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        strategy = spec.setdefault("updateStrategy", {})
        set_default(strategy, "type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", 1)
            rolling.setdefault("maxSurge", 0)
        spec.setdefault("revisionHistoryLimit", 10)

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        _set_template_generation(obj, 1)

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_update(obj, old)
        number = _template_generation(old)
        changed = obj["spec"]["template"] != old["spec"]["template"]
        _set_template_generation(obj, number + 1 if changed else number)

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        selector = spec.get("selector")
        parsed = parse_selector(selector)
        yield from validate_workload_selector(selector, "daemonset")
        yield from validate_workload_template(spec["template"], parsed, "DaemonSet")
        yield from non_negative(spec, "spec", "minReadySeconds")
        yield from _daemon_strategy(spec["updateStrategy"], "spec.updateStrategy")
        yield from non_negative(spec, "spec", "revisionHistoryLimit")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        fields = (
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        )
        return list(non_negative(obj.get("status") or {}, "status", *fields))


def _template_generation(obj: Doc) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "1")
    return int(text) if text.isdigit() else 1


def _set_template_generation(obj: Obj, number: int) -> None:
    metadata = obj["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), TEMPLATE_GENERATION: str(number)}


def _daemon_strategy(strategy: Mapping[str, Any], path: str) -> Causes:
    if strategy["type"] not in ("RollingUpdate", "OnDelete"):
        shown = {"Type": strategy["type"], "RollingUpdate": strategy.get("rollingUpdate")}
        yield not_supported(path, shown, ("RollingUpdate", "OnDelete"))
    if strategy["type"] != "RollingUpdate":
        return
    path, rolling = f"{path}.rollingUpdate", strategy.get("rollingUpdate") or {}
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for field, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        yield from int_or_percent(value, f"{path}.{field}")
    for field, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        yield from at_most_all(value, f"{path}.{field}")
    if _is_zero(unavailable) and _is_zero(surge):
        yield required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif not _is_zero(unavailable) and not _is_zero(surge):
        yield invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")


class StatefulSetStrategy(WorkloadStrategy):
    """Names are DNS-1123 labels, for pods are named after them. Upstream: pkg/registry/apps/statefulset/strategy.go."""

    def name_errors(self, name: str) -> list[str]:
        return names.dns1123_label(name)

    def default(self, obj: Obj) -> None:
        super().default(obj)
        spec = obj["spec"]
        set_default(spec, "podManagementPolicy", "OrderedReady")
        strategy = spec.setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
            strategy.setdefault("rollingUpdate", {})
        if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
            strategy["rollingUpdate"].setdefault("partition", 0)
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        set_default(retention, "whenDeleted", "Retain")
        set_default(retention, "whenScaled", "Retain")
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        for claim in spec.get("volumeClaimTemplates") or ():
            claim["spec"].setdefault("volumeMode", "Filesystem")
            claim.setdefault("kind", "PersistentVolumeClaim")
            claim.setdefault("apiVersion", "v1")
            claim["status"] = {"phase": "Pending"}

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from _management_policy(spec)
        yield from _stateful_strategy(spec["updateStrategy"], "spec.updateStrategy")
        retention = spec["persistentVolumeClaimRetentionPolicy"]
        for field in ("whenDeleted", "whenScaled"):
            path = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield from one_of(retention.get(field), path, ("Retain", "Delete"))
        yield from non_negative(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
        yield from non_negative(spec.get("ordinals") or {}, "spec.ordinals", "start")
        if service := spec.get("serviceName"):
            yield from required_name(service, "spec.serviceName", names.dns1123_label)
        yield from validate_workload_selector(spec.get("selector"), "statefulset")
        if (parsed := parse_selector(spec.get("selector"))) is not None:
            yield from validate_selected(spec["template"], parsed)
            # Upstream does not look into the pod's spec, for its mounts may name claim templates; creating pods will.
            yield from validate_template_metadata(spec["template"], "spec.template")
        yield from validate_runs_forever(spec["template"], "StatefulSet")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if not only_fields(_named_claims(obj["spec"]), _named_claims(old["spec"]), _STATEFUL_MUTABLE):
            listed = ", ".join(f"'{field}'" for field in _STATEFUL_MUTABLE[:-1])
            listed += f" and '{_STATEFUL_MUTABLE[-1]}'"
            yield forbidden("spec", f"updates to statefulset spec for fields other than {listed} are forbidden")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        fields = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
        return list(validate_replica_counts(obj.get("status") or {}, *fields))


def _named_claims(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec in which claim templates are reduced to what their creator wrote."""
    claims = [{k: v for k, v in claim.items() if k != "status"} for claim in spec.get("volumeClaimTemplates") or ()]
    return {**spec, "volumeClaimTemplates": claims}


def _management_policy(spec: Mapping[str, Any]) -> Causes:
    policy = spec.get("podManagementPolicy")
    if policy not in ("OrderedReady", "Parallel"):
        yield invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")


def _stateful_strategy(strategy: Mapping[str, Any], path: str) -> Causes:
    kind, rolling = strategy["type"], strategy.get("rollingUpdate")
    if kind == "OnDelete":
        if rolling is not None:
            shown = {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}
            yield invalid(f"{path}.rollingUpdate", shown, "only allowed for updateStrategy 'RollingUpdate'")
    elif kind == "RollingUpdate":
        if rolling is not None:
            yield from non_negative(rolling, f"{path}.rollingUpdate", "partition")
            unavailable = rolling.get("maxUnavailable")
            yield from int_or_percent(unavailable, f"{path}.rollingUpdate.maxUnavailable")
            if unavailable is not None and _is_zero(unavailable):
                yield invalid(f"{path}.rollingUpdate.maxUnavailable", unavailable, "cannot be 0")
            yield from at_most_all(unavailable, f"{path}.rollingUpdate.maxUnavailable")
    else:
        yield invalid(path, {"Type": kind, "RollingUpdate": rolling}, "must be 'RollingUpdate' or 'OnDelete'")


class ControllerRevisionStrategy(KindStrategy):
    """A snapshot of a workload's past; its data never change. Upstream: pkg/registry/apps/controllerrevision."""

    changes_last = True

    def check(self, obj: Doc) -> Causes:
        if obj.get("data") is None:
            yield required("data", "data is mandatory")
        if (revision := obj.get("revision", 0)) < 0:
            yield invalid("revision", revision, NOT_NEGATIVE)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj.get("data"), old.get("data"), "data")


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "controllerrevisions": ControllerRevisionStrategy,
    "daemonsets": DaemonSetStrategy,
    "deployments": DeploymentStrategy,
    "replicasets": ReplicaSetStrategy,
    "statefulsets": StatefulSetStrategy,
}

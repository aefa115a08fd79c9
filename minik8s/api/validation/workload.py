"""What workloads share: a selector, a template that it matches, and counts of replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, non_negative
from minik8s.api.validation.podspec import validate_pod_template
from minik8s.api.validation.selectors import parse_selector, validate_label_selector
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.selectors import LabelSelector

MISMATCH = "`selector` does not match template `labels`"


def validate_workload_selector(selector: Mapping[str, Any] | None, kind: str) -> Causes:
    """A workload's selector: there, valid, and not everything. `kind` as upstream's message writes it."""
    if selector is None:
        yield required("spec.selector")
        return
    yield from validate_label_selector(selector, "spec.selector")
    parsed = parse_selector(selector)
    if parsed is None:
        yield invalid("spec.selector", dict(selector), "invalid label selector")
    elif parsed.is_everything:
        yield invalid("spec.selector", dict(selector), f"empty selector is invalid for {kind}")


def validate_workload_template(template: Mapping[str, Any], selector: LabelSelector | None, owner: str) -> Causes:
    """A template whose pods are to run for ever and to be found by the selector."""
    path = "spec.template"
    yield from validate_selected(template, selector)
    yield from validate_pod_template(template, path)
    yield from validate_runs_forever(template, owner)


def validate_selected(template: Mapping[str, Any], selector: LabelSelector | None) -> Causes:
    """The template's labels, which the selector must match if it is one."""
    if selector is None or selector.is_everything:
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector.matches(labels):
        yield invalid("spec.template.metadata.labels", labels or None, MISMATCH)


def validate_runs_forever(template: Mapping[str, Any], owner: str) -> Causes:
    spec = template["spec"]
    if spec.get("restartPolicy") != "Always":
        yield not_supported("spec.template.spec.restartPolicy", spec.get("restartPolicy", ""), ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {owner} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", detail)


_NOT_ABOVE_REPLICAS = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def validate_replica_counts(status: Mapping[str, Any], *fields: str) -> Causes:
    """The status of a replicated workload: no count is negative or larger than the one that contains it."""
    fields = fields or _NOT_ABOVE_REPLICAS
    yield from non_negative(status, "status", "replicas", *fields, "observedGeneration", "terminatingReplicas")
    replicas = status.get("replicas", 0)
    for field in fields:
        if status.get(field, 0) > replicas:
            yield invalid(f"status.{field}", status.get(field, 0), "cannot be greater than status.replicas")
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        yield invalid(
            "status.availableReplicas", status.get("availableReplicas", 0), "cannot be greater than readyReplicas"
        )

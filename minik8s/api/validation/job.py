"""A Job's spec, in a Job or in a CronJob. Upstream: pkg/apis/batch/validation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, domain_path, non_negative, one_of, required_name
from minik8s.api.validation.podspec import validate_pod_template
from minik8s.api.validation.selectors import parse_selector, validate_label_selector
from minik8s.api.validation.workload import MISMATCH
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, invalid, invalid_as_a_whole, not_supported, required, too_long, too_many

Part = Mapping[str, Any]

_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
MAX_INDEXED = 100_000
MAX_RULES, MAX_EXIT_CODES, MAX_CONDITIONS, MAX_MANAGER = 20, 255, 20, 63
_INDEX = re.compile("[0-9]{1,10}")
_PER_INDEX = "when backoffLimitPerIndex is specified"


def validate_job_template(template: Part, path: str) -> Causes:
    """A CronJob's template: a Job that will choose its own selector."""
    spec = template["spec"]
    yield from _spec(spec, f"{path}.spec")
    if spec.get("manualSelector"):
        yield not_supported(f"{path}.spec.manualSelector", True, ("nil", "false"))


def validate_job_spec(spec: Part, path: str) -> Causes:
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
    else:
        yield from validate_label_selector(selector, f"{path}.selector")
        parsed = parse_selector(selector)
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        if parsed is not None and not parsed.matches(labels):
            yield invalid(f"{path}.template.metadata.labels", dict(labels), MISMATCH)
    yield from _spec(spec, path)


def _spec(spec: Part, path: str) -> Causes:
    yield from non_negative(spec, path, *_COUNTS)
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        yield not_supported(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed":
        yield from _indexed(spec, path)
    else:
        if "backoffLimitPerIndex" in spec:
            detail = "requires indexed completion mode"
            yield invalid(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], detail)
        if "maxFailedIndexes" in spec:
            yield invalid(f"{path}.maxFailedIndexes", spec["maxFailedIndexes"], "requires indexed completion mode")
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if (manager := spec.get("managedBy")) is not None:
        yield from domain_path(manager, f"{path}.managedBy")
        if len(manager) > MAX_MANAGER:
            yield too_long(f"{path}.managedBy", MAX_MANAGER)
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None:
        supported = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
        yield from one_of(replacement, f"{path}.podReplacementPolicy", supported)
    if (policy := spec.get("podFailurePolicy")) is not None:
        yield from _failure_policy(policy, spec, f"{path}.podFailurePolicy")
    if (success := spec.get("successPolicy")) is not None:
        yield from _success_policy(success, spec, f"{path}.successPolicy")
    yield from validate_pod_template(spec["template"], f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _indexed(spec: Part, path: str) -> Causes:
    completions = spec.get("completions")
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
        return
    if completions > MAX_INDEXED and "backoffLimitPerIndex" not in spec:
        detail = f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"
        if spec.get("parallelism", 0) > MAX_INDEXED:
            yield invalid(f"{path}.parallelism", spec["parallelism"], detail)
    failed = spec.get("maxFailedIndexes")
    if failed is not None and failed > completions:
        yield invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if "backoffLimitPerIndex" in spec and completions > MAX_INDEXED:
        if failed is None:
            yield required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {MAX_INDEXED}")
        elif failed > 10_000:
            yield invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to 10000 {_PER_INDEX}")
    if spec.get("parallelism", 0) > MAX_INDEXED and "backoffLimitPerIndex" in spec:
        detail = f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", spec["parallelism"], detail)


def _restart_policy(spec: Part, path: str) -> Causes:
    policy = spec["template"]["spec"].get("restartPolicy", "")
    if policy in ("", "Always"):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        yield not_supported(path, policy, ("OnFailure", "Never"))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')


def _failure_policy(policy: Part, spec: Part, path: str) -> Causes:
    rules = policy.get("rules") or ()
    if len(rules) > MAX_RULES:
        yield too_many(f"{path}.rules", len(rules), MAX_RULES)
    pods = spec["template"]["spec"]
    containers = {c.get("name") for field in ("containers", "initContainers") for c in pods.get(field) or ()}
    for index, rule in enumerate(rules):
        yield from _failure_rule(rule, spec, containers, f"{path}.rules[{index}]")


def _failure_rule(rule: Part, spec: Part, containers: set[str], path: str) -> Causes:
    action = rule.get("action", "")
    yield from one_of(action, f"{path}.action", _ACTIONS)
    if action == "FailIndex" and "backoffLimitPerIndex" not in spec:
        yield invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if codes is not None and conditions:
        yield invalid_as_a_whole(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not conditions:
        yield invalid_as_a_whole(path, "specifying one of OnExitCodes and OnPodConditions is required")
    if codes is not None:
        yield from _exit_codes(codes, containers, f"{path}.onExitCodes")
    if conditions and len(conditions) > MAX_CONDITIONS:
        yield too_many(f"{path}.onPodConditions", len(conditions), MAX_CONDITIONS)
    for index, pattern in enumerate(conditions or ()):
        place = f"{path}.onPodConditions[{index}]"
        yield from required_name(pattern.get("type"), f"{place}.type", names.qualified_name)
        yield from one_of(pattern.get("status"), f"{place}.status", ("False", "True", "Unknown"))


def _exit_codes(codes: Part, containers: set[str], path: str) -> Causes:
    name, operator, values = codes.get("containerName"), codes.get("operator", ""), codes.get("values") or ()
    yield from one_of(operator, f"{path}.operator", ("In", "NotIn"))
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        yield invalid(f"{path}.containerName", name, detail)
    if not values:
        yield invalid(f"{path}.values", list(values), "at least one value is required")
    elif len(values) > MAX_EXIT_CODES:
        yield too_many(f"{path}.values", len(values), MAX_EXIT_CODES)
    seen = set()
    for index, value in enumerate(values):
        if value in seen:
            yield duplicate(f"{path}.values[{index}]", value)
        seen.add(value)
        if operator == "In" and value == 0:
            yield invalid(f"{path}.values[{index}]", value, "must not be 0 for the In operator")
    if list(values) != sorted(values):
        yield invalid(f"{path}.values", list(values), "must be ordered")


def _success_policy(policy: Part, spec: Part, path: str) -> Causes:
    if spec.get("completionMode") != "Indexed":
        yield invalid(path, dict(policy), "requires indexed completion mode")
    rules = policy.get("rules") or ()
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > MAX_RULES:
        yield too_many(f"{path}.rules", len(rules), MAX_RULES)
    for index, rule in enumerate(rules):
        yield from _success_rule(rule, spec.get("completions"), f"{path}.rules[{index}]")


def _success_rule(rule: Part, completions: int | None, path: str) -> Causes:
    indexes, count, chosen = rule.get("succeededIndexes"), rule.get("succeededCount"), None
    if indexes is None and count is None:
        yield required(path, "at least one of succeededCount or succeededIndexes must be specified")
    if indexes is not None:
        try:
            chosen = _count_indexes(indexes, completions or 0)
        except ValueError as error:
            yield invalid(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}")
    yield from non_negative(rule, path, "succeededCount")
    if count is None:
        return
    if completions is not None and count > completions:
        detail = f"must be less than or equal to {completions} (the number of specified completions)"
        yield invalid(f"{path}.succeededCount", count, detail)
    if chosen is not None and count > chosen:
        detail = (
            f"must be less than or equal to {chosen} (the number of indexes in the specified succeededIndexes field)"
        )
        yield invalid(f"{path}.succeededCount", count, detail)


def _count_indexes(text: str, completions: int) -> int:
    """How many indexes `1,3-5` names; raises ValueError in upstream's words."""
    total, last = 0, -1
    for fragment in text.split(","):
        parts = fragment.split("-")
        if len(parts) > 2:
            why = "violates the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f'the fragment "{fragment}" {why}')
        for part in parts:
            number = _index(part, completions)
            if number <= last:
                raise ValueError(f"non-increasing order, previous: {last}, current: {number}")
            total += 1 if part is parts[0] else number - last
            last = number
    return total


def _index(text: str, completions: int) -> int:
    if not _INDEX.fullmatch(text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)

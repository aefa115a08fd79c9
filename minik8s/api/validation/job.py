"""A Job's spec, in a Job or in a CronJob. Upstream: pkg/apis/batch/validation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
_MODES = ("NonIndexed", "Indexed")
_MANY = f"when completions are above {MAX_INDEXED} and used with backoff limit per index"
_MAX_OF_MANY = 10_000
"""Parallelism and failed indexes of an Indexed Job with that many completions."""


def validate_job_template(template: Part, path: str) -> Causes:
    """A CronJob's template: a Job that will choose its own selector."""
    spec = template["spec"]
    yield from _spec(spec, f"{path}.spec")
    if (selector := spec.get("selector")) is not None:
        yield invalid(f"{path}.spec.selector", dict(selector), "`selector` will be auto-generated")
    if spec.get("manualSelector"):
        yield not_supported(f"{path}.spec.manualSelector", True, ("nil", "false"))


def validate_job_spec(spec: Part, path: str) -> Causes:
    yield from _spec(spec, path)
    selector = spec.get("selector")
    if selector is None:
        yield required(f"{path}.selector")
    else:
        yield from validate_label_selector(selector, f"{path}.selector")
        parsed = parse_selector(selector)
        labels = (spec["template"].get("metadata") or {}).get("labels") or {}
        if parsed is not None and not parsed.matches(labels):
            yield invalid(f"{path}.template.metadata.labels", dict(labels), MISMATCH)


def _spec(spec: Part, path: str) -> Causes:
    yield from non_negative(spec, path, *_COUNTS)
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if (manager := spec.get("managedBy")) is not None:
        yield from domain_path(manager, f"{path}.managedBy")
        if len(manager) > MAX_MANAGER:
            yield too_long(f"{path}.managedBy", MAX_MANAGER)
    mode = spec.get("completionMode")
    if mode not in (None, *_MODES):
        yield not_supported(f"{path}.completionMode", mode, _MODES)
    if mode == "Indexed":
        yield from _indexed(spec, path)
    elif mode in (None, "NonIndexed"):
        for field in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if field in spec:
                yield invalid(f"{path}.{field}", spec[field], "requires indexed completion mode")
    if (policy := spec.get("podFailurePolicy")) is not None:
        yield from _failure_policy(policy, spec, f"{path}.podFailurePolicy")
    if (success := spec.get("successPolicy")) is not None:
        yield from _success_policy(success, spec, f"{path}.successPolicy")
    replacement = spec.get("podReplacementPolicy")
    supported = ("Failed",) if policy is not None else ("Failed", "TerminatingOrFailed")
    if replacement not in (None, *supported):
        yield not_supported(f"{path}.podReplacementPolicy", replacement, supported)
    yield from validate_pod_template(spec["template"], f"{path}.template")
    yield from _restart_policy(spec, f"{path}.template.spec.restartPolicy")


def _indexed(spec: Part, path: str) -> Causes:
    completions, failed, parallel = (spec.get(name) for name in ("completions", "maxFailedIndexes", "parallelism"))
    if completions is None:
        yield required(f"{path}.completions", "when completion mode is Indexed")
    if parallel is not None and parallel > MAX_INDEXED:
        detail = f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed"
        yield invalid(f"{path}.parallelism", parallel, detail)
    if failed is not None and completions is not None and failed > completions:
        yield invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions")
    if failed is not None and failed > MAX_INDEXED:
        yield invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {MAX_INDEXED}")
    if completions is None or completions <= MAX_INDEXED or "backoffLimitPerIndex" not in spec:
        return
    if failed is None:
        yield required(f"{path}.maxFailedIndexes", f"must be specified when completions is above {MAX_INDEXED}")
    for name, value in (("parallelism", parallel), ("maxFailedIndexes", failed)):
        if value is not None and value > _MAX_OF_MANY:
            yield invalid(f"{path}.{name}", value, f"must be less than or equal to {_MAX_OF_MANY} {_MANY}")


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
    if not action:
        yield required(f"{path}.action", f"valid values: {_listed(_ACTIONS)}")
    elif action not in _ACTIONS:
        yield not_supported(f"{path}.action", action, _ACTIONS)
    if action == "FailIndex" and "backoffLimitPerIndex" not in spec:
        yield invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set")
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if codes is not None:
        yield from _exit_codes(codes, containers, f"{path}.onExitCodes")
    if conditions and len(conditions) > MAX_CONDITIONS:
        yield too_many(f"{path}.onPodConditions", len(conditions), MAX_CONDITIONS)
    for index, pattern in enumerate(conditions or ()):
        place = f"{path}.onPodConditions[{index}]"
        yield from required_name(pattern.get("type"), f"{place}.type", names.qualified_name)
        yield from one_of(pattern.get("status"), f"{place}.status", ("False", "True", "Unknown"))
    if codes is not None and conditions:
        yield invalid_as_a_whole(path, "specifying both OnExitCodes and OnPodConditions is not supported")
    if codes is None and not conditions:
        yield invalid_as_a_whole(path, "specifying one of OnExitCodes and OnPodConditions is required")


def _listed(values: Sequence[str]) -> str:
    """Strings as Go's %q shows a slice of them."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"


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
        yield invalid(path, _go_success_policy(policy), "requires indexed completion mode")
        return
    rules = policy.get("rules") or ()
    if not rules:
        yield required(f"{path}.rules", "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > MAX_RULES:
        yield too_many(f"{path}.rules", len(rules), MAX_RULES)
    for index, rule in enumerate(rules):
        yield from _success_rule(rule, spec.get("completions"), f"{path}.rules[{index}]")


def _go_success_policy(policy: Part) -> Part:
    """A policy as upstream's message shows it: the internal struct's field names."""
    fields = {"SucceededIndexes": "succeededIndexes", "SucceededCount": "succeededCount"}
    rules = policy.get("rules")
    return {"Rules": rules and [{shown: rule.get(name) for shown, name in fields.items()} for rule in rules]}


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

"""Where a pod may run: tolerations, affinity, topology spread, scheduling gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.validation.common import Causes, named, one_of
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required

Part = Mapping[str, Any]

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TOLERATION_OPERATORS = ("Equal", "Exists")
_SPREAD_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION = ("Honor", "Ignore")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def validate_taint_effect(effect: str | None, path: str) -> Causes:
    return one_of(effect, path, TAINT_EFFECTS)


def validate_tolerations(tolerations: Sequence[Part], path: str) -> Causes:
    for index, toleration in enumerate(tolerations):
        yield from _toleration(toleration, f"{path}[{index}]")


def _toleration(toleration: Part, path: str) -> Causes:
    key, operator = toleration.get("key", ""), toleration.get("operator", "")
    value, effect = toleration.get("value", ""), toleration.get("effect", "")
    if key:
        yield from named(key, f"{path}.key", names.qualified_name)
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{path}.operator", operator, detail)
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        yield invalid(f"{path}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
    if operator in ("Equal", ""):
        if wrong := names.label_value(value):
            yield invalid(f"{path}.operator", value, ";".join(wrong))
    elif operator == "Exists":
        if value:
            yield invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'")
    else:
        yield not_supported(f"{path}.operator", operator, TOLERATION_OPERATORS)
    if effect:
        yield from validate_taint_effect(effect, f"{path}.effect")


def validate_affinity(affinity: Part, path: str) -> Causes:
    if node := affinity.get("nodeAffinity"):
        if (selector := node.get(_REQUIRED)) is not None:
            yield from validate_node_selector(selector, f"{path}.nodeAffinity.{_REQUIRED}")
        for index, term in enumerate(node.get(_PREFERRED) or ()):
            place = f"{path}.nodeAffinity.{_PREFERRED}[{index}]"
            yield from _weight(term, place)
            yield from _node_term(term.get("preference") or {}, f"{place}.preference", check_values=False)
    for name in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(name) or {}
        for index, term in enumerate(pods.get(_REQUIRED) or ()):
            yield from _pod_term(term, f"{path}.{name}.{_REQUIRED}[{index}]")
        for index, weighted in enumerate(pods.get(_PREFERRED) or ()):
            place = f"{path}.{name}.{_PREFERRED}[{index}]"
            yield from _weight(weighted, place)
            yield from _pod_term(weighted.get("podAffinityTerm") or {}, f"{place}.podAffinityTerm")


def _weight(term: Part, path: str) -> Causes:
    weight = term.get("weight", 0)
    if not 1 <= weight <= 100:
        yield invalid(f"{path}.weight", weight, "must be in the range 1-100")


def validate_node_selector(selector: Part, path: str) -> Causes:
    """A core.NodeSelector: terms of which one must match."""
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        yield required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        yield from _node_term(term, f"{path}.nodeSelectorTerms[{index}]", check_values=True)


def _node_term(term: Part, path: str, *, check_values: bool) -> Causes:
    for index, requirement in enumerate(term.get("matchExpressions") or ()):
        yield from _node_requirement(requirement, f"{path}.matchExpressions[{index}]", check_values)
    for index, requirement in enumerate(term.get("matchFields") or ()):
        yield from _node_field(requirement, f"{path}.matchFields[{index}]")


def _node_requirement(requirement: Part, path: str, check_values: bool) -> Causes:
    operator, values = requirement.get("operator", ""), requirement.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from named(requirement.get("key", ""), f"{path}.key", names.qualified_name)
    if check_values:
        for index, value in enumerate(values):
            yield from named(value, f"{path}.values[{index}]", names.label_value)


def _node_field(requirement: Part, path: str) -> Causes:
    operator, values = requirement.get("operator", ""), requirement.get("values") or ()
    if operator not in ("In", "NotIn"):
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        yield required(f"{path}.values", detail)
    if requirement.get("key") != "metadata.name":
        yield invalid(f"{path}.key", requirement.get("key", ""), "not a valid field selector key")
        return
    for index, value in enumerate(values):
        yield from named(value, f"{path}.values[{index}]", names.dns1123_subdomain)


def _pod_term(term: Part, path: str) -> Causes:
    for field in ("labelSelector", "namespaceSelector"):
        if (selector := term.get(field)) is not None:
            yield from validate_label_selector(selector, f"{path}.{field}")
    for namespace in term.get("namespaces") or ():
        yield from named(namespace, f"{path}.namespace", names.dns1123_label)
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        yield from _label_keys(term.get(field) or (), term.get("labelSelector"), f"{path}.{field}")
    for index, name in enumerate(term.get("matchLabelKeys") or ()):
        if name in (term.get("mismatchLabelKeys") or ()):
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            yield invalid(f"{path}.matchLabelKeys[{index}]", name, detail)
    key = term.get("topologyKey", "")
    if not key:
        yield required(f"{path}.topologyKey", "can not be empty")
    yield from named(key, f"{path}.topologyKey", names.qualified_name)


def _label_keys(keys: Sequence[str], selector: Part | None, path: str) -> Causes:
    """Labels whose values a selector takes from the pod itself."""
    if keys and selector is None:
        yield forbidden(path, "must not be specified when labelSelector is not set")
        return
    for index, key in enumerate(keys):
        yield from named(key, f"{path}[{index}]", names.qualified_name)


def validate_topology_spread(constraints: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, constraint in enumerate(constraints):
        place = f"{path}[{index}]"
        skew = constraint.get("maxSkew", 0)
        if skew <= 0:
            yield invalid(f"{place}.maxSkew", skew, "must be greater than zero")
        key = constraint.get("topologyKey", "")
        if not key:
            yield required(f"{place}.topologyKey", "can not be empty")
        else:
            yield from named(key, f"{place}.topologyKey", names.qualified_name)
        action = constraint.get("whenUnsatisfiable", "")
        if action not in _SPREAD_ACTIONS:
            yield not_supported(f"{place}.whenUnsatisfiable", action, _SPREAD_ACTIONS)
        if (key, action) in seen:
            yield duplicate(f"{place}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}")
        seen.add((key, action))
        yield from _min_domains(constraint, place, action)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = constraint.get(field)
            if policy is not None and policy not in _INCLUSION:
                yield not_supported(f"{place}.{field}", policy, _INCLUSION)
        selector = constraint.get("labelSelector")
        yield from _label_keys(constraint.get("matchLabelKeys") or (), selector, f"{place}.matchLabelKeys")
        if selector is not None:
            yield from validate_label_selector(selector, f"{place}.labelSelector")


def _min_domains(constraint: Part, path: str, action: str) -> Causes:
    minimum = constraint.get("minDomains")
    if minimum is None:
        return
    if minimum <= 0:
        yield invalid(f"{path}.minDomains", minimum, "must be greater than zero")
    if action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        yield invalid(f"{path}.minDomains", minimum, detail)


def validate_scheduling_gates(gates: Sequence[Part], path: str) -> Causes:
    seen = set()
    for index, gate in enumerate(gates):
        name = gate.get("name", "")
        yield from named(name, f"{path}[{index}]", names.qualified_name)
        if name in seen:
            yield duplicate(f"{path}[{index}]", name)
        seen.add(name)

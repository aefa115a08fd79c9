"""What a role's rules mean: which questions a rule answers with yes, and which rules another set of rules covers.

Pure, and to the letter of kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go` and
`component-helpers/auth/rbac/validation`. Rules are PolicyRules as JSON documents have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from minik8s.machinery.meta import Obj

Rule = Mapping[str, Any]
ALL = "*"
FULL_AUTHORITY: tuple[Rule, ...] = (
    {"verbs": [ALL], "apiGroups": [ALL], "resources": [ALL]},
    {"verbs": [ALL], "nonResourceURLs": [ALL]},
)


def allows_resource(rule: Rule, verb: str, group: str, resource: str, subresource: str) -> bool:
    """Whether the rule is about this verb on this resource, whatever the object's name."""
    return (
        _has(rule.get("verbs"), verb)
        and _has(rule.get("apiGroups"), group)
        and _names_resource(rule.get("resources") or (), resource, subresource)
    )


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    """Whether the rule allows an HTTP method (in lower case) on a path outside the resources."""
    return _has(rule.get("verbs"), verb) and any(_covers_path(url, path) for url in rule.get("nonResourceURLs") or ())


def names_of(rule: Rule) -> Sequence[str]:
    """The only objects that a rule is about; empty for all."""
    return rule.get("resourceNames") or ()


def uncovered(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Obj]:
    """The parts of `wanted` that `owned` does not grant, broken down to single verbs on single resources."""
    return [part for rule in wanted for part in _parts(rule) if not any(_covers(mine, part) for mine in owned)]


def describe(rules: Iterable[Rule]) -> list[str]:
    """Rules as the refusal of an escalation shows them, simple ones on the same resource put together, sorted."""
    return sorted({_compact(rule) for rule in _merged(rules)})


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and (wanted in values or ALL in values)


def _names_resource(resources: Sequence[str], resource: str, subresource: str) -> bool:
    whole = f"{resource}/{subresource}" if subresource else resource
    if ALL in resources or whole in resources:
        return True
    return bool(subresource) and f"*/{subresource}" in resources


def _covers_path(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith(ALL) and path.startswith(url.rstrip(ALL)))


def _parts(rule: Rule) -> Iterator[Obj]:
    verbs = rule.get("verbs") or ()
    for group, resource, verb in product(rule.get("apiGroups") or (), rule.get("resources") or (), verbs):
        part: Obj = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        names = names_of(rule)
        yield from ({**part, "resourceNames": [name]} for name in names) if names else (part,)
    for url, verb in product(rule.get("nonResourceURLs") or (), verbs):
        yield {"nonResourceURLs": [url], "verbs": [verb]}


def _covers(rule: Rule, part: Rule) -> bool:
    """Whether a rule grants all of what is one verb on one resource, name or path."""
    if not all(_has(rule.get("verbs"), verb) for verb in part["verbs"]):
        return False
    if urls := part.get("nonResourceURLs"):
        return all(any(_covers_path(mine, url) for mine in rule.get("nonResourceURLs") or ()) for url in urls)
    if not all(_has(rule.get("apiGroups"), group) for group in part["apiGroups"]):
        return False
    if not all(_covers_resource(rule.get("resources") or (), resource) for resource in part["resources"]):
        return False
    names = names_of(rule)
    return not names or (bool(part.get("resourceNames")) and set(part["resourceNames"]) <= set(names))


def _covers_resource(resources: Sequence[str], resource: str) -> bool:
    if ALL in resources or resource in resources:
        return True
    return "/" in resource and f"*/{resource.partition('/')[2]}" in resources


def _merged(rules: Iterable[Rule]) -> Iterator[Rule]:
    simple: dict[tuple[str, str, str | None], Obj] = {}
    for rule in rules:
        names = names_of(rule)
        if len(rule.get("apiGroups") or ()) != 1 or len(rule.get("resources") or ()) != 1 or len(names) > 1:
            yield rule
            continue
        key = (rule["apiGroups"][0], rule["resources"][0], names[0] if names else None)
        known = simple.setdefault(key, {**rule, "verbs": []})
        known["verbs"] += [verb for verb in rule["verbs"] if verb not in known["verbs"]]
    yield from simple.values()


def _compact(rule: Rule) -> str:
    fields = ("apiGroups", "resources", "nonResourceURLs", "resourceNames", "verbs")
    shown = [f"{field[0].upper()}{field[1:]}:{quoted(rule[field])}" for field in fields if rule.get(field)]
    return "{" + ", ".join(shown).replace("ApiGroups:", "APIGroups:", 1) + "}"


def quoted(values: Iterable[str]) -> str:
    """A list as Go's %q shows it."""
    return "[" + " ".join(f'"{value}"' for value in values) + "]"

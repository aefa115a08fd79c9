"""Which names a CustomResourceDefinition gets: conditions NamesAccepted and Established, as a pure function.

Names belong to whoever asked first, within a group. Upstream: apiextensions-apiserver
`pkg/controller/status/naming_controller.go` and `establish/establishing_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik8s.machinery.meta import Doc, Obj, annotations_of, find_condition, is_condition_true, set_condition

ESTABLISHED = {
    "type": "Established",
    "status": "True",
    "reason": "InitialNamesAccepted",
    "message": "the initial names have been accepted",
}
NOT_ACCEPTED = {
    "type": "Established",
    "status": "False",
    "reason": "NotAccepted",
    "message": "not all names are accepted",
}
ACCEPTED = {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"}


def settle_names(crd: Doc, others: Iterable[Doc], now: str) -> Obj:
    """The definition's status with its names as they are accepted beside those of the other definitions."""
    status: Obj = dict(crd.get("status") or {})
    taken = _taken(crd, others)
    names, conflict = _accepted(crd["spec"]["names"], status.get("acceptedNames") or {}, *taken)
    status["acceptedNames"] = {**{"plural": "", "kind": ""}, **names}
    accepted = ACCEPTED if conflict is None else {"type": "NamesAccepted", "status": "False", **conflict}
    conditions = _set(status.get("conditions"), accepted, now)
    established = find_condition(conditions, "Established")
    if established is None or established.get("status") != "True":
        conditions = _set(conditions, ESTABLISHED if conflict is None else NOT_ACCEPTED, now)
    if (approval := _approval(crd)) is not None:
        conditions = _set(conditions, approval, now)
    status["conditions"] = conditions
    return status


def _approval(crd: Doc) -> Obj | None:
    """What the Kubernetes project says about a kind in one of its groups; None for everybody else's.

    Upstream: apiextensions-apiserver `pkg/controller/apiapproval`; that there is an annotation has been validated.
    """
    text = annotations_of(crd).get(APPROVAL, "")
    if not is_protected(crd["spec"]["group"]) or not text:
        return None
    status, reason, message = "True", "ApprovedAnnotation", f"approved in {text}"
    if text.startswith("unapproved"):
        status, reason, message = "False", "UnapprovedAnnotation", f'not approved: "{text}"'
    type_ = "KubernetesAPIApprovalPolicyConformant"
    return {"type": type_, "status": status, "reason": reason, "message": message}


APPROVAL = "api-approved.kubernetes.io"


def is_protected(group: str) -> bool:
    """Whether a group is one of the Kubernetes project's."""
    return any(group == home or group.endswith(f".{home}") for home in ("k8s.io", "kubernetes.io"))


def is_settled(crd: Doc) -> bool:
    """Whether the definition has all the names that it asks for, so that nobody else's change concerns it."""
    status = crd.get("status") or {}
    wanted = {key: value for key, value in crd["spec"]["names"].items() if value}
    return (
        status.get("acceptedNames") == wanted
        and is_condition_true(crd, "NamesAccepted")
        and is_condition_true(crd, "Established")
    )


def _set(conditions: Iterable[Doc] | None, new: Doc, now: str) -> list[Obj]:
    """As `set_condition`; a condition that says what it said stays the very same."""
    old = find_condition(conditions, new["type"])
    if old is not None and all(old.get(key) == value for key, value in new.items()):
        return [dict(condition) for condition in conditions or ()]
    return set_condition(conditions, new, now)


def _taken(crd: Doc, others: Iterable[Doc]) -> tuple[set[str], set[str]]:
    """The resource names and the kinds that other definitions of the group have been granted."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["spec"]["group"] != crd["spec"]["group"] or other["metadata"]["name"] == crd["metadata"]["name"]:
            continue
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    return resources - {""}, kinds - {""}


_SINGLE = (
    ("plural", "PluralConflict", True),
    ("singular", "SingularConflict", True),
    ("shortNames", "ShortNamesConflict", True),
    ("kind", "KindConflict", False),
    ("listKind", "ListKindConflict", False),
)


def _accepted(
    wanted: Mapping[str, Any], had: Mapping[str, Any], resources: set[str], kinds: set[str]
) -> tuple[Obj, Obj | None]:
    """The accepted names, and what is wrong with the others: of several conflicts the last one is told."""
    accepted: Obj = dict(had)
    conflict: Obj | None = None
    for field, reason, is_resource in _SINGLE:
        value, before = wanted.get(field), had.get(field)
        if value == before:
            continue
        taken = resources if is_resource else kinds
        asked = [value] if isinstance(value, str) else list(value or ())
        known = {before} if isinstance(before, str) else set(before or ())
        clashes = [name for name in asked if name not in known and name in taken]
        if clashes:
            texts = [f'"{name}" is already in use' for name in clashes]
            message = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
            conflict = {"reason": reason, "message": message}
        elif value:
            accepted[field] = value
        else:
            accepted.pop(field, None)
    accepted.pop("categories", None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    return accepted, conflict

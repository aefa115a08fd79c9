"""Columns of admission webhooks and policies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import Columns, columns
from minik8s.api.columns.render import UNSET, age, dig, selector
from minik8s.machinery.meta import Doc, name_of


def _webhooks(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _policy(noun: str) -> Columns:
    """A policy's columns; `noun` is what it lists: Mutations or Validations."""

    def cells(obj: Doc, now: datetime) -> list[Any]:
        kind = dig(obj, "spec", "paramKind")
        shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
        return [name_of(obj), len(dig(obj, "spec", noun.lower(), default=())), shown, age(obj, now)]

    return columns(f"Name:s/name, {noun}:i, ParamKind:s, Age:s", cells)


def _parameters(reference: Doc | None) -> str:
    if not reference:
        return UNSET
    if name := reference.get("name"):
        return f"{reference['namespace']}/{name}" if reference.get("namespace") else str(name)
    return selector(reference["selector"]) if reference.get("selector") is not None else UNSET


def _binding(obj: Doc, now: datetime) -> list[Any]:
    reference = _parameters(dig(obj, "spec", "paramRef"))
    return [name_of(obj), dig(obj, "spec", "policyName", default=""), reference, age(obj, now)]


_WEBHOOKS = columns("Name:s/name, Webhooks:i, Age:s", _webhooks)
_BINDING = columns("Name:s/name, PolicyName:s, ParamRef:s, Age:s", _binding)
_GROUP = "admissionregistration.k8s.io"

COLUMNS = {
    (_GROUP, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_GROUP, "ValidatingWebhookConfiguration"): _WEBHOOKS,
    (_GROUP, "MutatingAdmissionPolicy"): _policy("Mutations"),
    (_GROUP, "ValidatingAdmissionPolicy"): _policy("Validations"),
    (_GROUP, "MutatingAdmissionPolicyBinding"): _BINDING,
    (_GROUP, "ValidatingAdmissionPolicyBinding"): _BINDING,
}

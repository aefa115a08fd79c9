"""Type checking of admission policies: what their expressions would get wrong about the kinds that they are about.

Expressions see objects without types, for a policy may be about many kinds; so a misspelt field is no error when the
policy is written. The controller validatingadmissionpolicy-status tells it in the policy's status instead. Upstream:
k8s.io/apiserver `policy/validating/typechecking.go`. Custom resources are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik8s import cel
from minik8s.api.policies import Compiler
from minik8s.api.resource import Resource
from minik8s.api.resources import BUILTIN
from minik8s.machinery.meta import Doc, Obj

MAX_TYPES = 10
"""More kinds than these are not checked (upstream's maxTypesToCheck)."""
_TEXT = "compilation failed: "


def type_checking(spec: Doc) -> Obj:
    """The status.typeChecking of a ValidatingAdmissionPolicy."""
    kinds = list(_kinds(spec.get("matchConstraints") or {}))[:MAX_TYPES]
    warnings = [{"fieldRef": field, "warning": "\n".join(texts)} for field, texts in _checked(spec, kinds).items()]
    return {"expressionWarnings": warnings} if warnings else {}


def _kinds(constraints: Mapping[str, Any]) -> Iterator[Resource[Any]]:
    """The built-in kinds that rules name without a wildcard, each once."""
    seen = set()
    for rule in constraints.get("resourceRules") or ():
        groups, versions, names = (set(rule.get(f) or ()) for f in ("apiGroups", "apiVersions", "resources"))
        if any("*" in name for name in groups | versions | names):
            continue
        for resource in BUILTIN:
            if resource.group in groups and resource.version in versions and resource.plural in names:
                key = (resource.api_version, resource.kind)
                if key not in seen:
                    seen.add(key)
                    yield resource


def _checked(spec: Doc, kinds: list[Resource[Any]]) -> dict[str, list[str]]:
    """Field -> what is wrong with it, for every kind with which something is."""
    found: dict[str, list[str]] = {}
    for resource in kinds:
        compiler = Compiler(has_params=spec.get("paramKind") is not None, object_type=cel.type_of(resource.type))
        compiler.variables(spec.get("variables") or (), "spec.variables")
        compiler.errors.clear()
        compiler.validations(spec.get("validations") or (), "spec.validations")
        group_version = resource.api_version if resource.group else f"/{resource.version}"
        for cause in compiler.errors:
            text = cause.message.partition(_TEXT)[2]
            if text:
                found.setdefault(cause.field, []).append(f"{group_version}, Kind={resource.kind}: {text}\n")
    return found

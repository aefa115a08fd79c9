"""CustomResourceDefinition, and the base of strategies for the resources that it defines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.strategy import Strategy
from minik8s.api.validation.common import named, one_of
from minik8s.api.validation.metadata import finalizer_warnings
from minik8s.machinery import names
from minik8s.machinery.field import invalid, required
from minik8s.machinery.meta import Doc, Obj, is_condition_true, name_of

_SCOPES = ("Cluster", "Namespaced")


class CustomResourceStrategy(Strategy):
    """What all custom resources have in common; their schema is checked by whoever holds the definition."""

    has_generation = True
    requires_version = True

    def prepare_create(self, obj: Obj) -> None:
        """Without the status subresource the status is a field like any other."""

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        pass

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return finalizer_warnings(obj)


class DefinitionStrategy(KindStrategy):
    """Upstream: apiextensions-apiserver pkg/apis/apiextensions/validation."""

    has_generation = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        kinds = spec.get("names") or {}
        if kind := kinds.get("kind"):
            set_default(kinds, "singular", kind.lower())
            set_default(kinds, "listKind", f"{kind}List")
        conversion = spec.setdefault("conversion", {})
        set_default(conversion, "strategy", "None")
        if service := ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service"):
            service.setdefault("port", 443)

    def initial_status(self, obj: Obj) -> Obj:
        """Nothing is accepted yet, but said in full: typed clients require every one of these fields."""
        stored = [version.get("name", "") for version in obj["spec"].get("versions") or () if version.get("storage")]
        return {"acceptedNames": {"plural": "", "kind": ""}, "conditions": [], "storedVersions": stored}

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        kinds = spec.get("names") or {}
        wanted = f"{kinds.get('plural', '')}.{spec.get('group', '')}"
        if name_of(obj) != wanted:
            yield invalid("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group')
        yield from _group(spec.get("group", ""))
        yield from one_of(spec.get("scope"), "spec.scope", _SCOPES)
        yield from _versions(spec.get("versions") or ())
        yield from _names(kinds)
        yield from one_of(
            (spec.get("conversion") or {}).get("strategy"), "spec.conversion.strategy", ("None", "Webhook")
        )

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        if is_condition_true(old, "Established"):
            for path in (("scope",), ("names", "kind")):
                yield from _kept(new, before, path)
        for path in (("group",), ("names", "plural")):
            yield from _kept(new, before, path)
        known = {version.get("name") for version in new.get("versions") or ()}
        for index, stored in enumerate((old.get("status") or {}).get("storedVersions") or ()):
            if stored not in known:
                detail = (
                    f"missing from spec.versions; {stored} was previously a storage version, and must remain in "
                    "spec.versions until a storage migration ensures no data remains persisted in "
                    f"{stored} and removes {stored} from status.storedVersions"
                )
                yield invalid(f"status.storedVersions[{index}]", stored, detail)


def _kept(new: Mapping[str, Any], before: Mapping[str, Any], path: tuple[str, ...]) -> Causes:
    value, had = new, before
    for key in path:
        value, had = value.get(key, {}), had.get(key, {})
    if value != had:
        yield invalid("spec." + ".".join(path), value, "field is immutable")


def _group(group: str) -> Causes:
    if not group:
        yield required("spec.group")
    elif wrong := names.dns1123_subdomain(group):
        yield invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _versions(versions: Any) -> Causes:
    if not versions:
        yield required("spec.versions", "must have exactly one version marked as storage version")
        return
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", list(versions), "must have exactly one version marked as storage version")
    seen = set()
    for index, version in enumerate(versions):
        path, name = f"spec.versions[{index}]", version.get("name", "")
        if wrong := names.dns1035_label(name):
            yield invalid(f"{path}.name", name, ",".join(wrong))
        if name in seen:
            yield invalid(f"{path}.name", name, "must contain unique version names")
        seen.add(name)
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        elif (kind := version["schema"]["openAPIV3Schema"].get("type")) != "object":
            if kind:
                yield invalid(f"{path}.schema.openAPIV3Schema.type", kind, "must be object at the root")
            else:
                yield required(f"{path}.schema.openAPIV3Schema.type", "must not be empty at the root")
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            for field in ("name", "type", "jsonPath"):
                if not column.get(field):
                    yield required(f"{path}.additionalPrinterColumns[{number}].{field}")


def _names(kinds: Mapping[str, Any]) -> Causes:
    for field in ("plural", "singular"):
        value = kinds.get(field, "")
        if not value and field == "plural":
            yield required("spec.names.plural")
        elif wrong := names.dns1035_label(value):
            yield invalid(f"spec.names.{field}", value, ",".join(wrong))
    for field in ("kind", "listKind"):
        value = kinds.get(field, "")
        if not value:
            yield required(f"spec.names.{field}")
        elif wrong := names.dns1035_label(value.lower()):
            yield invalid(
                f"spec.names.{field}", value, "may have mixed case, but should otherwise match: " + ",".join(wrong)
            )
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        yield invalid("spec.names.listKind", kinds["listKind"], "kind and listKind may not be the same")
    for field in ("shortNames", "categories"):
        for index, value in enumerate(kinds.get(field) or ()):
            yield from named(value, f"spec.names.{field}[{index}]", names.dns1035_label)


STRATEGIES: Mapping[str, type[KindStrategy]] = {"customresourcedefinitions": DefinitionStrategy}

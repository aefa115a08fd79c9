"""CustomResourceDefinition. What it makes is served by `apiserver/customresources.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, Obj, is_condition_true, name_of


class DefinitionStrategy(KindStrategy):
    """Upstream: apiextensions-apiserver pkg/registry/customresourcedefinition. Its validation is imported when asked
    for: who defines nothing pays nothing."""

    has_generation = True
    requires_version = True
    status_keeps_metadata = True

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
        return {
            "acceptedNames": {"plural": "", "kind": ""},
            "conditions": [],
            "storedVersions": [version.get("name", "") for version in _storage(obj)],
        }

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        """Every version that objects may be stored in is remembered."""
        super().prepare_update(obj, old)
        status = obj.get("status") or {}
        stored = status.get("storedVersions") or []
        missing = [name for version in _storage(obj) if (name := version.get("name", "")) not in stored]
        if missing:
            obj["status"] = {**status, "storedVersions": [*stored, *missing]}

    def check(self, obj: Doc) -> Causes:
        yield from self._judged(obj, None)

    def _judged(self, obj: Doc, old: Doc | None) -> Causes:
        from minik8s.api.validation.definition import validate_approval, validate_definition

        spec = obj["spec"]
        wanted = f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}"
        if name_of(obj) != wanted:
            yield invalid("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group')
        yield from validate_approval(obj)
        yield from validate_definition(spec, old and old["spec"])

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        """Formats that nobody checks, each once."""
        from minik8s.schema.formats import is_known
        from minik8s.schema.structural import nodes

        versions = obj["spec"].get("versions") or ()
        schemas = [(version.get("schema") or {}).get("openAPIV3Schema") or {} for version in versions]
        formats = {node["format"] for schema in schemas for node in nodes(schema) if node.get("format")}
        return [f'unrecognized format "{name}"' for name in sorted(formats) if not is_known(name)]

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        if is_condition_true(old, "Established"):
            for path in (("scope",), ("names", "kind")):
                yield from _kept(new, before, path)
        for path in (("group",), ("names", "plural")):
            yield from _kept(new, before, path)
        yield from _stored_versions(obj)

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        if obj["spec"] == old["spec"]:
            return list(self.check_change(obj, old))
        return [*self.check_change(obj, old), *self._judged(obj, old)]

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(_stored_versions(obj))


def _storage(obj: Doc) -> list[Mapping[str, Any]]:
    return [version for version in obj["spec"].get("versions") or () if version.get("storage")]


def _stored_versions(obj: Doc) -> Causes:
    known = {version.get("name") for version in obj["spec"].get("versions") or ()}
    stored = (obj.get("status") or {}).get("storedVersions") or []
    if not stored:
        yield invalid("status.storedVersions", [], "must have at least one stored version")
    for version in _storage(obj):
        if stored and version.get("name") not in stored:
            detail = f"must have the storage version {version.get('name')}"
            yield invalid("status.storedVersions", dict(version), detail)
    for index, name in enumerate(stored):
        if name not in known:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {name} and removes "
                f"{name} from status.storedVersions"
            )
            yield invalid(f"status.storedVersions[{index}]", name, detail)


def _kept(new: Mapping[str, Any], before: Mapping[str, Any], path: tuple[str, ...]) -> Causes:
    value, had = new, before
    for key in path:
        value, had = value.get(key, {}), had.get(key, {})
    if value != had:
        yield invalid("spec." + ".".join(path), value, "field is immutable")


STRATEGIES: Mapping[str, type[KindStrategy]] = {"customresourcedefinitions": DefinitionStrategy}

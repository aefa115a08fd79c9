"""What a CustomResourceDefinition must be beside its schemas: names, versions, columns, subresources, conversion.

Upstream: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik8s.api.columns.jsonpath import compile_path
from minik8s.api.definitionstatus import APPROVAL, is_protected
from minik8s.api.validation.common import named, one_of
from minik8s.api.validation.structural import validate_schema
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import duplicate, forbidden, invalid, required
from minik8s.machinery.meta import Doc, annotations_of

Causes = Iterator[StatusCause]
SCOPES = ("Cluster", "Namespaced")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
REVIEW_VERSIONS = ("v1", "v1beta1")
MAX_WARNING = 256
MAX_SELECTABLE = 8


def validate_definition(spec: Doc, old: Doc | None = None) -> Causes:
    """What is wrong with a definition's spec; `old` is the one that it replaces."""
    yield from _group(spec.get("group", ""))
    yield from one_of(spec.get("scope"), "spec.scope", SCOPES)
    if spec.get("preserveUnknownFields"):
        detail = f"cannot set to true, set {_PRESERVE} to true in spec.versions[*].schema instead"
        yield invalid("spec.preserveUnknownFields", True, detail)
    versions = spec.get("versions") or ()
    before = (old or {}).get("versions") or ()
    alike = _alike(versions)
    yield from _versions(versions, before, alike)
    yield from _names(spec.get("names") or {})
    if versions:
        yield from _parts(versions[0], "spec", alike, lenient=_is_unchanged(versions[0], before))
    yield from _conversion(spec.get("conversion") or {})


_PARTS = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


def _alike(versions: Any) -> frozenset[str]:
    """What all versions have alike. Upstream takes it out of the versions, and so errors about it are told."""
    return frozenset(name for name in _PARTS if all(each.get(name) == versions[0].get(name) for each in versions))


_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def validate_approval(obj: Doc) -> Causes:
    """Groups of the Kubernetes project are not for everybody."""
    group = obj["spec"].get("group", "")
    if not is_protected(group):
        return
    path, value = f"metadata.annotations[{APPROVAL}]", annotations_of(obj).get(APPROVAL, "")
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not value:
        yield required(path, f'protected groups must have approval annotation "{APPROVAL}", {see}')
    elif not value.startswith(("unapproved", "http://", "https://")):
        detail = f'protected groups must have approval annotation "{APPROVAL}" with either a URL or a reason starting with "unapproved", {see}'  # noqa: E501
        yield invalid(path, value, detail)


def _group(group: str) -> Causes:
    if not group:
        yield required("spec.group")
    elif wrong := names.dns1123_subdomain(group):
        yield invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _names(kinds: Mapping[str, Any]) -> Causes:
    for field in ("plural", "singular"):
        value = kinds.get(field, "")
        if not value and field == "plural":
            yield required("spec.names.plural")
        elif value and (wrong := names.dns1035_label(value)):
            yield invalid(f"spec.names.{field}", value, ",".join(wrong))
    for field in ("kind", "listKind"):
        value = kinds.get(field, "")
        if not value:
            yield required(f"spec.names.{field}")
        elif wrong := names.dns1035_label(value.lower()):
            detail = "may have mixed case, but should otherwise match: " + ",".join(wrong)
            yield invalid(f"spec.names.{field}", value, detail)
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        yield invalid("spec.names.listKind", kinds["listKind"], "kind and listKind may not be the same")
    for field in ("shortNames", "categories"):
        for index, value in enumerate(kinds.get(field) or ()):
            yield from named(value, f"spec.names.{field}[{index}]", names.dns1035_label)


def _versions(versions: Any, before: Any, alike: frozenset[str]) -> Causes:
    if not versions:
        yield required("spec.versions", "must have exactly one version marked as storage version")
        return
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
    seen = [version.get("name", "") for version in versions]
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if wrong := names.dns1035_label(seen[index]):
            yield invalid(f"{path}.name", seen[index], ",".join(wrong))
        yield from _deprecation(version, path)
        own = frozenset(_PARTS) - alike
        yield from _parts(version, path, own, lenient=_is_unchanged(version, before))
    if len(set(seen)) != len(seen):
        yield invalid("spec.versions", list(versions), "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid("spec.versions", list(versions), "must have exactly one version marked as storage version")


def _is_unchanged(version: Mapping[str, Any], before: Any) -> bool:
    """Whether a version's schema is stored as it is."""
    name, schema = version.get("name"), version.get("schema")
    return any(old.get("name") == name and old.get("schema") == schema for old in before)


def _parts(version: Mapping[str, Any], path: str, which: frozenset[str], *, lenient: bool) -> Causes:
    """What is wrong with these parts of a version."""
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if "schema" in which and schema is not None:
        at = f"{path}.{'validation' if path == 'spec' else 'schema'}.openAPIV3Schema"
        yield from validate_schema(schema, at, lenient=lenient)
    scale = (version.get("subresources") or {}).get("scale")
    if "subresources" in which and scale is not None:
        yield from _scale(scale, f"{path}.subresources.scale")
    if "additionalPrinterColumns" in which:
        for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
            yield from _column(column, f"{path}.additionalPrinterColumns[{number}]")
    if "selectableFields" in which:
        yield from _selectable(version.get("selectableFields") or (), schema or {}, f"{path}.selectableFields")


def _deprecation(version: Mapping[str, Any], path: str) -> Causes:
    warning = version.get("deprecationWarning")
    if warning is None:
        return
    where = f"{path}.deprecationWarning"
    if not version.get("deprecated"):
        yield invalid(where, warning, "can only be set for deprecated versions")
    if len(warning.encode()) > MAX_WARNING:
        yield invalid(where, warning, f"must be <= {MAX_WARNING} characters long")
    if not warning:
        yield invalid(where, warning, "must not be an empty string")
    for position, char in enumerate(warning):
        if not char.isprintable():
            yield invalid(
                where,
                warning,
                f"must only contain printable UTF-8 characters; non-printable character found at index {position}",
            )
            break


def _column(column: Mapping[str, Any], path: str) -> Causes:
    if not column.get("name"):
        yield required(f"{path}.name")
    kind, format_ = column.get("type") or "", column.get("format") or ""
    if not kind:
        yield required(f"{path}.type", "must be one of " + ",".join(COLUMN_TYPES))
    elif kind not in COLUMN_TYPES:
        yield invalid(f"{path}.type", kind, "must be one of " + ",".join(COLUMN_TYPES))
    if format_ and format_ not in COLUMN_FORMATS:
        yield invalid(f"{path}.format", format_, "must be one of " + ",".join(COLUMN_FORMATS))
    if not column.get("jsonPath"):
        yield required(f"{path}.JSONPath", "")
    else:
        yield from _json_path(column["jsonPath"], f"{path}.JSONPath")


def _json_path(text: str, path: str) -> Causes:
    if not text.startswith("."):
        yield invalid(path, text, "must be a simple json path starting with .")
        return
    try:
        compile_path(text)
    except (ValueError, RecursionError) as error:
        yield invalid(path, text, f"is an invalid JSON path: {error}")


def _selectable(fields: Any, schema: Doc, path: str) -> Causes:
    seen = set()
    for index, field in enumerate(fields):
        text, where = field.get("jsonPath") or "", f"{path}[{index}].jsonPath"
        if not text:
            yield required(where)
            continue
        if text in seen:
            yield duplicate(where, text)
        seen.add(text)
        yield from _selected(text, schema, where)
    if len(seen) > MAX_SELECTABLE:
        yield StatusCause("FieldValueTooMany", f"Too many: {len(seen)}: must have at most {MAX_SELECTABLE} items", path)


def _selected(text: str, schema: Doc, where: str) -> Causes:
    parts = text.removeprefix(".").split(".")
    if not text.startswith(".") or any(not part or "[" in part for part in parts):
        yield invalid(where, text, "is an invalid path: must be a simple json path")
        return
    if parts[0] == "metadata":
        yield invalid(where, text, "must not point to fields in metadata")
        return
    node: Any = schema
    for part in parts:
        node = (node.get("properties") or {}).get(part) if isinstance(node, dict) else None
        if node is None:
            yield invalid(where, text, "is an invalid path: does not refer to a valid field")
            return
    if node.get("type") not in ("string", "boolean", "integer"):
        detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."  # noqa: E501
        yield invalid(where, text, detail)


def _scale(scale: Mapping[str, Any], path: str) -> Causes:
    for field, roots in (
        ("specReplicasPath", ("spec",)),
        ("statusReplicasPath", ("status",)),
        ("labelSelectorPath", ("status", "spec")),
    ):
        text = scale.get(field) or ""
        if not text:
            if field != "labelSelectorPath":
                yield required(f"{path}.{field}")
            continue
        if not text.startswith("."):
            yield invalid(f"{path}.{field}", text, "must be a simple json path starting with .")
        elif "[" in text or ".." in text or text.endswith("."):
            yield invalid(f"{path}.{field}", text, "must be a json path in the dot notation")
        elif not text.startswith(tuple(f".{root}." for root in roots)):
            shown = "either .spec or .status" if len(roots) > 1 else f".{roots[0]}"
            yield invalid(f"{path}.{field}", text, f"should be a json path under {shown}")


def _conversion(conversion: Mapping[str, Any]) -> Causes:
    strategy, webhook = conversion.get("strategy"), conversion.get("webhook")
    yield from one_of(strategy, "spec.conversion.strategy", ("None", "Webhook"))
    config, where = "spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions"
    webhook = webhook or {}
    versions = webhook.get("conversionReviewVersions") or ()
    if strategy != "Webhook":
        if webhook.get("clientConfig") is not None:
            yield forbidden(config, "should not be set when strategy is not set to Webhook")
        if versions:
            yield forbidden(where, "should not be set when strategy is not set to Webhook")
        return
    yield from _client_config(webhook.get("clientConfig"), config)
    if not versions:
        yield required(where)
        return
    seen = set()
    for index, version in enumerate(versions):
        yield from named(version, f"{where}[{index}]", names.dns1035_label)
        if version in seen:
            yield invalid(f"{where}[{index}]", version, "duplicate version")
        seen.add(version)
    if seen.isdisjoint(REVIEW_VERSIONS):
        yield invalid(where, list(versions), f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


def _client_config(config: Mapping[str, Any] | None, path: str) -> Causes:
    if config is None:
        yield required(path, "required when strategy is set to Webhook")
        return
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
        return
    if url is not None:
        if not url.startswith("https://"):
            yield invalid(
                f"{path}.url", url, "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            )
        elif "?" in url or "#" in url or "@" in url:
            yield invalid(
                f"{path}.url", url, "query parameters, fragments and user information are not permitted in the URL"
            )
        return
    service = service or {}
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{path}.service.{field}")
    for text in names.port_number(service.get("port", 443)):
        yield invalid(f"{path}.service.port", service.get("port"), text)
    if (at := service.get("path")) and not at.startswith("/"):
        yield invalid(f"{path}.service.path", at, "must start with a '/'")

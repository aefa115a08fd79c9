"""What CustomResourceDefinitions are refused for, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from minik8s.api.strategies import strategy_for
from minik8s.machinery.meta import copy_document
from minik8s.schema.decode import decode

STRING: dict[str, Any] = {"type": "string"}
OBJECT: dict[str, Any] = {"type": "object"}
AT = "spec.validation.openAPIV3Schema"
KEYS = "x-kubernetes-list-map-keys"


def definition(schema: Any = None, version: Any = None, **spec: Any) -> dict[str, Any]:
    """A valid definition but for what is given."""
    whole = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema or OBJECT}}
    return {
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{**whole, **(version or {})}],
            **spec,
        },
    }


def errors(doc: dict[str, Any]) -> list[str]:
    """The field errors of a new definition."""
    resource = CUSTOM_RESOURCE_DEFINITIONS
    obj = decode(copy_document(doc), resource.type, resource.kind).obj
    strategy = strategy_for(resource)
    strategy.default(obj)
    strategy.prepare_create(obj)
    return [f"{cause.field}: {cause.message}" for cause in strategy.validate_create(obj)]


def test_a_sound_definition_has_no_errors() -> None:
    """Every keyword that may be used, used."""
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "metadata": {"type": "object", "properties": {"name": {**STRING, "maxLength": 10}}},
            "spec": {
                "type": "object",
                "oneOf": [{"required": ["a"]}, {"required": ["b"], "properties": {"b": {"minimum": 1}}}],
                "properties": {
                    "a": {**STRING, "enum": ["x"], "default": "x"},
                    "b": {"type": "integer", "multipleOf": 2, "nullable": True},
                    "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, STRING]},
                    "percent": {
                        "x-kubernetes-int-or-string": True,
                        "allOf": [{"anyOf": [{"type": "integer"}, STRING]}, {"pattern": "%$"}],
                    },
                    "any": {"x-kubernetes-preserve-unknown-fields": True},
                    "pod": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "x-kubernetes-preserve-unknown-fields": True,
                    },
                    "list": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        KEYS: ["k"],
                        "items": {"type": "object", "required": ["k"], "properties": {"k": STRING}},
                    },
                },
                "x-kubernetes-validations": [
                    {"rule": "has(self.a) || self.b > 1", "messageExpression": "'a is ' + self.a"},
                    {"rule": "self.?b == oldSelf.?b", "message": "b is fixed", "fieldPath": ".b"},
                ],
            },
        },
    }
    assert errors(definition(schema)) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"group": "x"},
            [
                'metadata.name: Invalid value: "foos.example.com": must be spec.names.plural+"."+spec.group',
                'spec.group: Invalid value: "x": should be a domain with at least one dot',
            ],
        ),
        ({"scope": "Foo"}, ['spec.scope: Unsupported value: "Foo": supported values: "Cluster", "Namespaced"']),
        (
            {"preserveUnknownFields": True},
            [
                "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set "
                "x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
            ],
        ),
        (
            {"names": {"plural": "foos", "kind": "Foo", "listKind": "Foo"}},
            ['spec.names.listKind: Invalid value: "Foo": kind and listKind may not be the same'],
        ),
        (
            {"conversion": {"strategy": "Magic"}},
            ['spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook"'],
        ),
        (
            {"conversion": {"strategy": "Webhook"}},
            [
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
        ),
        (
            {"conversion": {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}},
            [
                "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to "
                "Webhook"
            ],
        ),
        (
            {
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {"conversionReviewVersions": ["v2"], "clientConfig": {}},
                }
            },
            [
                "spec.conversion.webhookClientConfig: Required value: exactly one of url or service is required",
                'spec.conversion.conversionReviewVersions: Invalid value: ["v2"]: must include at least '
                "one of v1, v1beta1",
            ],
        ),
    ],
)
def test_specs(spec: Any, expected: list[str]) -> None:
    """Names, scope and conversion."""
    assert errors(definition(**spec)) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ({"name": "V1"}, ["spec.versions[0].name"]),
        ({"storage": False}, ["spec.versions"]),
        ({"schema": {}}, ["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"]),
        (
            {"deprecationWarning": "old"},
            ['spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions'],
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "x", "jsonPath": "a"}]},
            [
                'spec.additionalPrinterColumns[0].type: Invalid value: "x": must be one of '
                "boolean,date,integer,number,string",
                'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "a": must be a simple '
                "json path starting with .",
            ],
        ),
        (
            {"additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".a[?(bad"}]},
            ["spec.additionalPrinterColumns[0].JSONPath"],
        ),
        (
            {"selectableFields": [{"jsonPath": ".spec.a"}]},
            [
                'spec.selectableFields[0].jsonPath: Invalid value: ".spec.a": is an invalid path: '
                "does not refer to a valid field"
            ],
        ),
        (
            {"subresources": {"scale": {"specReplicasPath": ".replicas", "statusReplicasPath": ".status.r"}}},
            ['spec.subresources.scale.specReplicasPath: Invalid value: ".replicas": should be a json path under .spec'],
        ),
    ],
)
def test_versions(version: Any, expected: list[str]) -> None:
    """Each with the path of what is wrong; the message where it is short enough to read."""
    found = errors(definition(version=version))
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def test_what_versions_do_not_share_is_told_of_each() -> None:
    """What all of them have alike is told once, of the spec."""
    shared = {"served": True, "additionalPrinterColumns": [{"name": "A", "type": "x", "jsonPath": ".a"}]}
    versions = [
        {"name": name, **shared, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}}
        for name, schema in (("v1", OBJECT), ("v2", STRING))
    ]
    assert [text.partition(": ")[0] for text in errors(definition(versions=versions))] == [
        "spec.versions[1].schema.openAPIV3Schema.type",
        "spec.additionalPrinterColumns[0].type",
    ]


def spec_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"a": STRING}}, ["type: Required value: must not be empty at the root"]),
        ({"type": "array", "items": STRING}, ['type: Invalid value: "array": must be object at the root']),
        (spec_of(a={}), ["properties[a].type: Required value: must not be empty for specified object fields"]),
        (
            spec_of(a={"type": "array", "items": {}}),
            ["properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        (spec_of(a={"type": "array"}), ["properties[a].items: Required value: must be specified"]),
        (
            spec_of(a={"type": "x"}),
            [
                'properties[a].type: Unsupported value: "x": supported values: "array", "boolean", "integer", '
                '"number", "object", "string"'
            ],
        ),
        (
            spec_of(a={"type": "null"}),
            ["properties[a].type: Forbidden: type cannot be set to null, use nullable as an alternative"],
        ),
        (
            spec_of(a={**STRING, "pattern": "("}),
            [
                'properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: '
                "error parsing regexp: missing closing ): `(`"
            ],
        ),
        (
            spec_of(a={"type": "array", "items": [STRING]}),
            ["properties[a].items: Forbidden: items must be a schema object and not an array"],
        ),
        (
            spec_of(a={"type": "array", "items": STRING, "uniqueItems": True}),
            [
                "properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime "
                "complexity becomes quadratic"
            ],
        ),
        (
            spec_of(a={**OBJECT, "additionalProperties": False}),
            ["properties[a].additionalProperties: Forbidden: additionalProperties cannot be set to false"],
        ),
        (
            spec_of(a={**OBJECT, "additionalProperties": STRING, "properties": {"b": STRING}}),
            ["properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (spec_of(a={"$ref": "#/x", **STRING}), ["properties[a].$ref: Forbidden: $ref is not supported"]),
        (
            spec_of(a={**STRING, "anyOf": [STRING]}),
            ["properties[a].anyOf[0].type: Forbidden: must be empty to be structural"],
        ),
        (
            spec_of(a={**OBJECT, "not": {"properties": {"b": {}}}}),
            [
                f"properties[a].properties[b]: Required value: because it is defined in "
                f"{AT}.properties[a].not.properties[b]"
            ],
        ),
        (
            spec_of(a={**STRING, "default": 1}),
            [
                'properties[a].default: Invalid value: "integer": '
                + f'{AT}.properties[a].default in body must be of type string: "integer"'
            ],
        ),
        (
            spec_of(a={**OBJECT, "default": {"b": 1}}),
            ['properties[a].default: Invalid value: {"b":1}: must not have unknown fields'],
        ),
        (
            spec_of(a={"type": "array", "items": OBJECT, "x-kubernetes-list-type": "map"}),
            [f"properties[a].{KEYS}: Required value: must not be empty if x-kubernetes-list-type is map"],
        ),
        (
            spec_of(a={"type": "array", "items": spec_of(k=STRING), "x-kubernetes-list-type": "map", KEYS: ["k"]}),
            [
                f"properties[a].items.properties[k].default: Required value: this property is in {KEYS}, so it "
                f"must have a default or be a required property"
            ],
        ),
        (
            spec_of(a={"type": "array", "items": OBJECT, "x-kubernetes-list-type": "set"}),
            [
                "properties[a].items.x-kubernetes-map-type: Required value: must be atomic as item of a list "
                "with x-kubernetes-list-type=set"
            ],
        ),
        (
            spec_of(a={**STRING, "x-kubernetes-list-type": "set"}),
            ['properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified'],
        ),
        (
            spec_of(metadata=spec_of(labels=OBJECT)),
            [
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
                "but metadata is implicitly specified"
            ],
        ),
        (
            spec_of(a={**OBJECT, "x-kubernetes-embedded-resource": True}),
            [
                "properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource "
                "is true without x-kubernetes-preserve-unknown-fields"
            ],
        ),
        (
            spec_of(a={**STRING, "x-kubernetes-int-or-string": True}),
            ['properties[a].type: Invalid value: "string": must be empty if x-kubernetes-int-or-string is true'],
        ),
    ],
)
def test_schemas(schema: Any, expected: list[str]) -> None:
    """Structure, keywords, list types and defaults."""
    assert errors(definition(schema)) == [f"{AT}.{text}" for text in expected]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": " "}, ["rule: Required value: rule is not specified"]),
        (
            {"rule": "self.zz == 1"},
            ["rule: Invalid value: \"self.zz == 1\": compilation failed: ERROR: <input>:1:5: undefined field 'zz'"],
        ),
        ({"rule": "'x'"}, ["rule: Invalid value: \"'x'\": cel expression must evaluate to a bool"]),
        (
            {"rule": "true", "message": "a\nb"},
            ['message: Invalid value: "a\\nb": message must not contain line breaks'],
        ),
        ({"rule": "true", "fieldPath": ".zz"}, ['fieldPath: Invalid value: ".zz": fieldPath must be a valid path']),
        ({"rule": "true", "messageExpression": "1"}, ["messageExpression: Invalid value"]),
        ({"rule": "true", "reason": "Because"}, ['reason: Unsupported value: "Because"']),
        (
            {"rule": "true", "optionalOldSelf": True},
            ["optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"],
        ),
    ],
)
def test_rules(rule: Any, expected: list[str]) -> None:
    """A rule that does not compile is refused with its definition."""
    schema = spec_of(spec={**spec_of(a=STRING), "x-kubernetes-validations": [rule]})
    found = errors(definition(schema))
    path = f"{AT}.properties[spec].x-kubernetes-validations[0]."
    wanted = [path + text for text in expected]
    assert [text[: len(start)] for text, start in zip(found, wanted, strict=True)] == wanted


def test_transition_rules_need_something_to_compare_with() -> None:
    """Elements of lists without keys have no predecessors."""
    item = {**STRING, "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}
    found = errors(definition(spec_of(a={"type": "array", "maxItems": 9, "items": {**item, "maxLength": 9}})))
    assert "oldSelf cannot be used on the uncorrelatable portion of the schema within" in found[0]


def test_groups_of_the_project_need_approval() -> None:
    """By an annotation that names it."""
    doc = definition(group="x.k8s.io")
    doc["metadata"]["name"] = "foos.x.k8s.io"
    assert errors(doc)[0].startswith(
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups"
    )
    doc["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, for a test"}
    assert errors(doc) == []


def test_a_hostile_schema_is_refused() -> None:
    """However deep, nothing recurses for ever."""
    nested: Any = STRING
    for _ in range(400):
        nested = {"type": "array", "items": nested}
    assert errors(definition(spec_of(a=nested))) == [
        f'{AT}: Invalid value: "object": must not be nested deeper than 100 levels'
    ]

"""What the rules of a CustomResourceDefinition may cost, each and together, and what is said if they cost more."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from minik8s.api.strategies import strategy_for
from minik8s.machinery.meta import Doc, copy_document
from minik8s.schema.decode import decode

AT = "spec.validation.openAPIV3Schema"
ADVICE = (
    " (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)
TOTAL = "Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
CONTRIBUTED = "Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
LISTS = "self.all(x, self.all(y, true))"
"""Costs 3n² + 5n + 2 with n elements."""


def definition(**properties: Any) -> Doc:
    """As it is once defaults are in it."""
    schema = {"type": "object", "properties": properties}
    doc = {
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    }
    resource = CUSTOM_RESOURCE_DEFINITIONS
    obj = decode(copy_document(doc), resource.type, resource.kind).obj
    strategy = strategy_for(resource)
    strategy.default(obj)
    strategy.prepare_create(obj)
    return obj


def errors(**properties: Any) -> list[tuple[str, str]]:
    causes = strategy_for(CUSTOM_RESOURCE_DEFINITIONS).validate_create(definition(**properties))
    return [(cause.field, cause.message) for cause in causes]


def ruled(schema: Doc, *rules: str) -> Doc:
    return {**schema, "x-kubernetes-validations": [{"rule": rule} for rule in rules]}


def numbers(most: int) -> Doc:
    return {"type": "array", "maxItems": most, "items": {"type": "integer"}}


def test_a_message_of_unknown_length() -> None:
    """As reported by users of Kubernetes: nobody knows how long a number's text is."""
    config = {
        "type": "object",
        "properties": {"attempts": {"type": "integer", "maximum": 9}},
        "x-kubernetes-validations": [
            {"rule": "self.attempts >= 0", "messageExpression": "'invalid attempts: ' + string(self.attempts)"}
        ],
    }
    path = f"{AT}.properties[config].x-kubernetes-validations[0].messageExpression"
    assert errors(config=config) == [
        (path, f"Forbidden: estimated messageExpression cost exceeds budget by factor of more than 100x{ADVICE}"),
        (path, CONTRIBUTED),
        (AT, f"{TOTAL} exceeds budget by factor of more than 100x{ADVICE}"),
    ]


@pytest.mark.parametrize(
    ("most", "factor"),
    [(1824, None), (1825, "1.000100x"), (2200, "1.453100x"), (2300, "1.6x"), (5700, "9.7x")],
)
def test_factors(most: int, factor: str | None) -> None:
    """Small ones are told exactly, so that none is 1.0; the total is far from its limit."""
    wanted = f"Forbidden: estimated rule cost exceeds budget by factor of {factor}{ADVICE}"
    path = f"{AT}.properties[list].x-kubernetes-validations[0].rule"
    assert errors(list=ruled(numbers(most), LISTS)) == ([(path, wanted)] if factor else [])


@pytest.mark.parametrize(
    ("outer", "refused"),
    [
        ({"type": "array", "maxItems": 3000}, False),
        ({"type": "array", "maxItems": 4000}, True),
        ({"type": "array"}, True),
        ({"type": "object", "maxProperties": 4000}, True),
        ({"type": "object", "maxProperties": 4000 // 8}, False),
    ],
)
def test_a_rule_is_evaluated_for_each_element(outer: Doc, refused: bool) -> None:
    """Below a list or map it counts as often as that can have elements."""
    inner = ruled(numbers(30), LISTS)
    below = "items" if outer["type"] == "array" else "additionalProperties"
    found = errors(outer={**outer, below: {"type": "object", "properties": {"inner": inner}}})
    path = f"{AT}.properties[outer].{below}.properties[inner].x-kubernetes-validations[0].rule"
    assert [field for field, _ in found][:1] == ([path] if refused else [])


def test_an_unbounded_list_has_as_many_elements_as_fit_into_a_request() -> None:
    """A cheap rule is allowed for each of them."""
    item = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    assert errors(list={"type": "array", "items": ruled(item, "has(self.name)")}) == []


def test_all_rules_together() -> None:
    """Each alone is within its limit; the four most expensive are named."""
    heavy = {f"f{index:02}": ruled(numbers(1800), LISTS) for index in range(11)}
    heavy["f05"] = ruled(numbers(1820), LISTS)
    found = errors(**heavy)
    assert found[0] == (f"{AT}.properties[f05].x-kubernetes-validations[0].rule", CONTRIBUTED)
    assert [message for _, message in found[:4]] == [CONTRIBUTED] * 4
    assert found[4:] == [(AT, f"{TOTAL} exceeds budget by factor of 1.072363x{ADVICE}")]
    del heavy["f00"], heavy["f01"]
    assert errors(**heavy) == []


def test_what_is_stored_stays() -> None:
    """An update that leaves a version's schema as it is may keep an expensive rule; one that touches it may not."""
    strategy = strategy_for(CUSTOM_RESOURCE_DEFINITIONS)
    old = definition(list=ruled(numbers(3000), LISTS))
    old["status"]["storedVersions"] = ["v1"]
    new = copy_document(old)
    new["spec"]["names"]["shortNames"] = ["fo"]
    assert strategy.validate_update(new, old) == []
    new["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "changed"
    assert len(strategy.validate_update(new, old)) == 1

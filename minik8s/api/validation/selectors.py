"""metav1.LabelSelector as part of a spec. Upstream: apimachinery pkg/apis/meta/v1/validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, named, validate_labels
from minik8s.machinery import names
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.field import forbidden, invalid, required
from minik8s.machinery.selectors import LabelSelector


def validate_label_selector(selector: Mapping[str, Any], path: str) -> Causes:
    """Every rule of a selector's two halves."""
    yield from validate_labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        yield from _expression(expression, f"{path}.matchExpressions[{index}]")


def _expression(expression: Mapping[str, Any], path: str) -> Causes:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")
    yield from named(expression.get("key", ""), f"{path}.key", names.qualified_name)
    for index, value in enumerate(values):
        yield from named(value, f"{path}.values[{index}]", names.label_value)


def parse_selector(selector: Mapping[str, Any] | None) -> LabelSelector | None:
    """The selector, None when it is not valid (which `validate_label_selector` reports)."""
    try:
        return LabelSelector.from_object(selector)
    except BadRequest:
        return None

"""The selectors of access reviews, as authorizers are told them. Pure.

Requirements are joined, so whoever leaves one out asks for more than was meant, and is allowed no more: what cannot be
understood is left out, and said. Upstream: pkg/registry/authorization/util/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc
from minik8s.machinery.selectors import FieldSelector, LabelSelector

_SIGNS = {"In": "=", "NotIn": "!="}
Found = tuple[str, str]
"""The selector's text, and what has become of it in the words of an evaluation error: "" if it is whole."""


def field_selector(attributes: Doc) -> Found:
    """That of a review's resourceAttributes."""
    return _read(attributes, "fieldSelector", lambda text: str(FieldSelector.parse(text)), _field_requirement)


def label_selector(attributes: Doc) -> Found:
    return _read(attributes, "labelSelector", lambda text: str(LabelSelector.parse(text)), _label_requirement)


def _read(attributes: Doc, name: str, parse: Callable[[str], str], requirement: Callable[[Doc], str]) -> Found:
    given = attributes.get(name) or {}
    requirements: Sequence[Any] = given.get("requirements") or ()
    if not requirements:
        try:
            return parse(given.get("rawSelector") or ""), ""
        except BadRequest:
            return "", f"spec.resourceAttributes.{name} ignored due to parse error"
    texts = []
    for one in requirements:
        try:
            texts.append(requirement(one))
        except BadRequest:
            continue
    if len(texts) == len(requirements):
        return ",".join(texts), ""
    partly = "partially ignored" if texts else "ignored"
    return ",".join(texts), f"spec.resourceAttributes.{name} {partly} due to parse error"


def _field_requirement(requirement: Doc) -> str:
    """Raises BadRequest for what field selectors cannot say."""
    values: Sequence[str] = requirement.get("values") or ()
    sign = _SIGNS.get(requirement.get("operator", ""))
    if sign is None or len(values) != 1:
        raise BadRequest("fieldSelectors do not yet support that")
    return str(FieldSelector(((requirement["key"], sign, values[0]),)))


def _label_requirement(requirement: Doc) -> str:
    """Raises BadRequest."""
    return str(LabelSelector.from_object({"matchExpressions": [requirement]}))

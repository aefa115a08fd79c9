"""What all custom resources have in common: their definition's schema decides about everything else.

Upstream: apiextensions-apiserver `pkg/registry/customresource/strategy.go` and `validator.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from minik8s.api.resource import Custom, ScalePaths
from minik8s.api.rules import Rules
from minik8s.api.strategy import Strategy
from minik8s.api.validation.embedded import embedded_errors
from minik8s.api.validation.metadata import finalizer_warnings
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, Obj, value_at
from minik8s.schema.constraints import MISSING, check_lists, check_values
from minik8s.schema.defaulting import fill_defaults

MAX_REPLICAS = 2**31 - 1
BLOCKING = frozenset({
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
})  # fmt: skip
"""Errors after which rules are not asked, since they could not trust what they see."""
UNCHECKED = StatusCause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)


class CustomResourceStrategy(Strategy):
    """The strategy of one version of a custom resource."""

    has_generation = True
    requires_version = True
    status_keeps_metadata = True

    def __init__(
        self,
        custom: Custom,
        *,
        has_status: bool,
        selectable: Mapping[str, Callable[[Doc], str]],
        rules: Rules | None,
    ) -> None:
        self._custom = custom
        self.status_is_separate = has_status
        self.selectable = selectable  # type: ignore[misc]  # the one strategy whose paths are not its class's
        self._rules = rules

    def default(self, obj: Obj) -> None:
        fill_defaults(obj, self._custom.type)

    def prepare_create(self, obj: Obj) -> None:
        if self.status_is_separate and obj.pop("status", None) is not None:
            self.default(obj)

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        if self.status_is_separate:
            super().prepare_update(obj, old)

    def validate_create(self, obj: Doc) -> FieldErrors:
        return self._errors(obj, None)

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return self._errors(obj, old)

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return self._errors(obj, old)

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        """Also what an update leaves as wrong as it was."""
        found = finalizer_warnings(obj) if "finalizers" in obj["metadata"] else []
        if self._rules is not None and old is not None:
            found += [f"{cause.field}: {cause.message}" for cause in self._rules.tolerated(obj, old)]
        return found

    def _errors(self, obj: Doc, old: Doc | None) -> FieldErrors:
        schema = self._custom.schema
        errors = check_values(obj, schema, MISSING if old is None else old)
        if self._custom.scale is not None:
            errors += _scale_errors(obj, self._custom.scale)
        errors += embedded_errors(obj, self._custom.type)
        lists = check_lists(obj, schema)
        if lists and old is not None:  # what was there twice before may stay
            known = check_lists(old, schema)
            lists = [cause for cause in lists if cause not in known]
        errors += lists
        if self._rules is not None:
            if any(cause.reason in BLOCKING for cause in errors):
                errors.append(UNCHECKED)
            else:
                errors += self._rules.check(obj, old)
        return errors


def _scale_errors(obj: Doc, paths: ScalePaths) -> Iterator[StatusCause]:
    for path in (paths.replicas, paths.status_replicas):
        value = value_at(obj, path)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        if value < 0:
            yield invalid("." + ".".join(path), value, "should be a non-negative integer")
        elif value > MAX_REPLICAS:
            yield invalid("." + ".".join(path), value, f"should be less than or equal to {MAX_REPLICAS}")

"""Errors and the Status documents they become."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.machinery.errors import (
    AlreadyExists,
    ApiError,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    StatusCause,
    TooManyRequests,
)
from minik8s.machinery.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)

CAUSES: FieldErrors = [invalid("spec.replicas", -1, "must be greater than or equal to 0"), required("spec.selector")]


@pytest.mark.parametrize("kind", sorted(ApiError.by_reason.values(), key=lambda kind: kind.reason))
def test_every_error_survives_the_wire(kind: type[ApiError]) -> None:
    """A Status is turned back into the exception it came from, with all that it said."""
    error = kind("no", name="n", group="g", kind="k", uid="u", causes=CAUSES, retry_after=3)
    back = ApiError.from_status(error.to_status())
    assert type(back) is kind
    assert back.to_status() == error.to_status()


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NotFound.object("deployments", "apps", "x"), 404, 'deployments.apps "x" not found'),
        (AlreadyExists.object("pods", "", "x"), 409, 'pods "x" already exists'),
        (Forbidden.object("pods", "", "x", "no"), 403, 'pods "x" is forbidden: no'),
        (
            Conflict.modified("pods", "", "x"),
            409,
            'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes to the '
            "latest version and try again",
        ),
        (
            Invalid.object("Deployment", "apps", "x", CAUSES[:1]),
            422,
            'Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
        ),
        (
            Invalid.object("Pod", "", "x", CAUSES),
            422,
            'Pod "x" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, '
            "spec.selector: Required value]",
        ),
    ],
)
def test_texts(error: ApiError, code: int, message: str) -> None:
    """Codes and messages are upstream's."""
    status = error.to_status()
    assert (status["code"], status["message"], status["status"]) == (code, message, "Failure")


def test_causes() -> None:
    """The causes of an invalid object stand in the details, empty parts left out."""
    details = Invalid.object("Pod", "", "x", CAUSES).to_status()["details"]
    assert details["causes"][1] == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.selector",
    }


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ({"reason": "Expired", "code": 410}, 0, Expired),
        ({"reason": "Gone"}, 410, Expired),
        ({}, 400, BadRequest),
        ({"message": "slow down", "code": 429}, 0, TooManyRequests),
        ({"reason": "SomethingNew", "code": 418}, 0, ApiError),
        ({}, 0, InternalError),
    ],
)
def test_foreign_statuses(status: dict[str, Any], code: int, kind: type[ApiError]) -> None:
    """What other servers answer becomes the nearest error, and keeps its own code and reason."""
    error = ApiError.from_status(status, code)
    assert type(error) is kind
    assert error.code == (status.get("code") or code or 500)
    assert error.reason == (status.get("reason") or error.reason)
    assert str(error)


@pytest.mark.parametrize(
    ("cause", "reason", "message"),
    [
        (required("a"), "FieldValueRequired", "Required value"),
        (required("a", "say it"), "FieldValueRequired", "Required value: say it"),
        (invalid("a", "x y", "no"), "FieldValueInvalid", 'Invalid value: "x y": no'),
        (invalid("a", True, "no"), "FieldValueInvalid", "Invalid value: true: no"),
        (invalid("a", None, "no"), "FieldValueInvalid", "Invalid value: null: no"),
        (invalid("a", {"b": [1]}, "no"), "FieldValueInvalid", 'Invalid value: {"b":[1]}: no'),
        (
            not_supported("a", "x", ["One", "Two"]),
            "FieldValueNotSupported",
            'Unsupported value: "x": supported values: "One", "Two"',
        ),
        (forbidden("a", "may not"), "FieldValueForbidden", "Forbidden: may not"),
        (duplicate("a", 8080), "FieldValueDuplicate", "Duplicate value: 8080"),
        (too_long("a", 63), "FieldValueTooLong", "Too long: may not be more than 63 bytes"),
        (too_many("a", 2, 1), "FieldValueTooMany", "Too many: 2: must have at most 1 item"),
        (too_many("a", 9, 8), "FieldValueTooMany", "Too many: 9: must have at most 8 items"),
    ],
)
def test_field_errors(cause: StatusCause, reason: str, message: str) -> None:
    """Field errors have upstream's reasons and texts, and name their field."""
    assert (cause.reason, cause.message, cause.field) == (reason, message, "a")


def test_special_cases_do_not_take_over() -> None:
    """A Status is the class of its reason, whatever narrower classes the server has for itself."""
    from minik8s.machinery.patch.jsonpatch import DoesNotApply

    assert type(ApiError.from_status(DoesNotApply("no such path").to_status())) is Invalid

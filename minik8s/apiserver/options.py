"""Query parameters, understood and checked.

Booleans are tolerant (`true`, `True`, `1`, or a bare name), unknown parameters are ignored; what is wrong is an
error with upstream's text, before anything else happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from minik8s.api.request import APPLY_PATCH, ApiRequest
from minik8s.machinery import field
from minik8s.machinery.errors import BadRequest, Invalid, StatusCause
from minik8s.machinery.meta import Doc

Validation = Literal["Ignore", "Warn", "Strict"]
META_GROUP = "meta.k8s.io"
MAX_MANAGER_LENGTH = 128


def truth(options: Mapping[str, str], name: str) -> bool:
    """Whether a boolean parameter is set."""
    value = options.get(name)
    return value is not None and value.lower() not in ("false", "0")


@attrs.frozen
class WriteOptions:
    """Parameters of create, update and patch. `manager` is the field manager, from the user agent if none is given."""

    dry_run: bool
    manager: str
    validation: Validation
    force: bool


def write_options(request: ApiRequest) -> WriteOptions:
    """Raises Invalid."""
    options = request.options
    errors = [*dry_run_errors(request.repeated.get("dryRun") or options.get("dryRun"))]
    manager = options.get("fieldManager", "")
    is_apply = request.content_type == APPLY_PATCH
    if len(manager.encode()) > MAX_MANAGER_LENGTH:
        errors.append(field.too_long("fieldManager", MAX_MANAGER_LENGTH))
    if is_apply and not manager:
        errors.append(field.required("fieldManager", "is required for apply patch"))
    if "force" in options and not is_apply and request.verb == "patch":
        errors.append(field.forbidden("force", "may not be specified for non-apply patch"))
    validation = options.get("fieldValidation", "") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        errors.append(field.not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    if errors:
        kind = {"create": "CreateOptions", "update": "UpdateOptions"}.get(request.verb, "PatchOptions")
        raise Invalid.object(kind, META_GROUP, "", errors)
    return WriteOptions(
        dry_run=bool(options.get("dryRun")),
        manager=manager or request.user_agent.partition("/")[0] or "unknown",
        validation=validation,  # type: ignore[arg-type]
        force=truth(options, "force"),
    )


def dry_run_errors(value: Any) -> list[StatusCause]:
    """What is wrong with a dryRun parameter or list."""
    values = [value] if isinstance(value, str) and value else list(value or ())
    if values and any(v != "All" for v in values):
        return [field.not_supported("dryRun", values, ("All",))]
    return []


@attrs.frozen
class DeleteOptions:
    """What a DELETE may say; `grace` None means the kind's own."""

    dry_run: bool = False
    grace: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""


_POLICIES = ("Foreground", "Background", "Orphan")


def delete_options(request: ApiRequest, body: Doc | None) -> DeleteOptions:
    """Options from the body, or from the query when there is none. Raises Invalid or BadRequest."""
    given: Doc = body or request.options
    policy = given.get("propagationPolicy") or ""
    orphan = given.get("orphanDependents")
    errors = dry_run_errors(given.get("dryRun"))
    if policy and policy not in _POLICIES:
        errors.append(field.not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
    if policy and orphan is not None:
        errors.append(
            field.invalid("propagationPolicy", policy, "orphanDependents and propagationPolicy cannot be both set")
        )
    if errors:
        raise Invalid.object("DeleteOptions", META_GROUP, "", errors)
    if orphan is not None:
        policy = "Orphan" if str(orphan).lower() == "true" else "Background"
    preconditions = given.get("preconditions") if body else None
    return DeleteOptions(
        dry_run=bool(given.get("dryRun")),
        grace=_integer(given.get("gracePeriodSeconds")),
        propagation=policy,
        uid=(preconditions or {}).get("uid") or "",
        resource_version=(preconditions or {}).get("resourceVersion") or "",
    )


def integer_option(options: Mapping[str, str], name: str) -> int | None:
    """A numeric parameter, None when absent; BadRequest in Go's words when it is no number."""
    return _integer(options.get(name) or None)


def _integer(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    try:
        return int(value)
    except ValueError:
        raise BadRequest(f'strconv.ParseInt: parsing "{value}": invalid syntax') from None


def list_options_error(cause: StatusCause) -> Invalid:
    """A refusal of list or watch parameters."""
    return Invalid.object("ListOptions", META_GROUP, "", [cause])

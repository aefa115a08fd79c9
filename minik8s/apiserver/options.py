"""Query parameters, understood and checked.

Booleans are tolerant (`true`, `True`, `1`, or a bare name), unknown parameters are ignored; what is wrong is an
error with upstream's text, before anything else happens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from minik8s.api.request import APPLY_PATCH, ApiRequest
from minik8s.machinery import field
from minik8s.machinery.errors import BadRequest, Invalid, StatusCause
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.meta import Doc, Obj

Validation = Literal["Ignore", "Warn", "Strict"]
META_GROUP = "meta.k8s.io"
MAX_MANAGER_LENGTH = 128
_INT64 = range(-(1 << 63), 1 << 63)
_NUMBER = re.compile(r"[+-]?[0-9]+")


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
    is_apply = request.content_type == APPLY_PATCH
    dry_run = tuple(request.repeated.get("dryRun") or ())
    return _write_options(request.verb, request.user_agent, is_apply, dry_run, *request.options.items())


@lru_cache(maxsize=1024)
def _write_options(
    verb: str, user_agent: str, is_apply: bool, dry_run: tuple[str, ...], *given: tuple[str, str]
) -> WriteOptions:
    """Cached, for a client's requests are many and all of them say the same."""
    options = dict(given)
    errors = [*dry_run_errors(list(dry_run) or options.get("dryRun"))]
    manager = options.get("fieldManager", "")
    errors += _manager_errors(manager, required=is_apply)
    if "force" in options and not is_apply and verb == "patch":
        errors.append(field.forbidden("force", "may not be specified for non-apply patch"))
    validation = options.get("fieldValidation", "") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        errors.append(field.not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    if errors:
        kind = {"create": "CreateOptions", "update": "UpdateOptions"}.get(verb, "PatchOptions")
        raise Invalid.object(kind, META_GROUP, "", errors)
    return WriteOptions(
        dry_run=bool(options.get("dryRun")),
        manager=manager or _manager_of(user_agent) or "unknown",
        validation=validation,  # type: ignore[arg-type]
        force=truth(options, "force"),
    )


def _manager_of(user_agent: str) -> str:
    """The user agent up to its first slash, without what is not printable, cut to the length of a manager's name."""
    name = user_agent.partition("/")[0]
    if name.isascii() and name.isprintable() and len(name) <= MAX_MANAGER_LENGTH:
        return name
    printable = "".join(char for char in name if char.isprintable())
    return printable.encode()[:MAX_MANAGER_LENGTH].decode(errors="ignore")


def _manager_errors(manager: str, *, required: bool) -> FieldErrors:
    if not manager:
        return [field.required("fieldManager", "is required for apply patch")] if required else []
    if len(manager.encode()) > MAX_MANAGER_LENGTH:
        return [field.too_long("fieldManager", MAX_MANAGER_LENGTH)]
    if not manager.isprintable():
        return [field.invalid("fieldManager", manager, "should only contain printable characters")]
    return []


def dry_run_errors(value: Any) -> FieldErrors:
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
    """Options from the (decoded) body, or from the query when there is none. Raises Invalid or BadRequest."""
    given: Doc = request.options if body is None else body
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
        orphan = orphan if isinstance(orphan, bool) else truth(request.options, "orphanDependents")
        policy = "Orphan" if orphan else "Background"
    preconditions = given.get("preconditions") if body else None
    grace = integer_option(request.options, "gracePeriodSeconds") if body is None else body.get("gracePeriodSeconds")
    return DeleteOptions(
        dry_run=bool(given.get("dryRun")),
        grace=grace,
        propagation=policy,
        uid=(preconditions or {}).get("uid") or "",
        resource_version=(preconditions or {}).get("resourceVersion") or "",
    )


def options_document(options: DeleteOptions) -> Obj:
    """The options as the `DeleteOptions` object that admission is shown."""
    document: Obj = {"kind": "DeleteOptions", "apiVersion": f"{META_GROUP}/v1"}
    if options.grace is not None:
        document["gracePeriodSeconds"] = options.grace
    preconditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    if any(preconditions.values()):
        document["preconditions"] = {key: value for key, value in preconditions.items() if value}
    if options.propagation:
        document["propagationPolicy"] = options.propagation
    if options.dry_run:
        document["dryRun"] = ["All"]
    return document


def integer_option(options: Mapping[str, str], name: str) -> int | None:
    """A numeric parameter, None when absent; BadRequest in Go's words when it is no 64-bit number."""
    text = options.get(name)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(text) > 20 or int(text) not in _INT64:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def list_errors(options: Mapping[str, str]) -> FieldErrors:
    """What is wrong with the version parameters of a list. Upstream: ValidateListOptions."""
    match, path = options.get("resourceVersionMatch", ""), "resourceVersionMatch"
    errors: FieldErrors = []
    if match:
        if not options.get("resourceVersion"):
            errors.append(field.forbidden(path, f"{path} is forbidden unless resourceVersion is provided"))
        if options.get("continue"):
            errors.append(field.forbidden(path, f"{path} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            errors.append(field.not_supported(path, match, ("Exact", "NotOlderThan", "")))
        if match == "Exact" and options.get("resourceVersion") == "0":
            errors.append(field.forbidden(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in options:
        errors.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def watch_errors(options: Mapping[str, str]) -> FieldErrors:
    """The same for a watch."""
    match, path = options.get("resourceVersionMatch", ""), "resourceVersionMatch"
    streaming = "sendInitialEvents" in options
    errors: FieldErrors = []
    if streaming and match != "NotOlderThan":
        errors.append(field.forbidden(path, f"sendInitialEvents requires setting {path} to NotOlderThan"))
    if match:
        if not streaming:
            errors.append(field.forbidden(path, f"{path} is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            errors.append(field.not_supported(path, match, ("NotOlderThan",)))
        if options.get("continue"):
            errors.append(field.forbidden(path, f"{path} is forbidden when continue is provided"))
    return errors


def check_list_options(causes: list[StatusCause]) -> None:
    """Raises Invalid if there are any."""
    if causes:
        raise Invalid.object("ListOptions", META_GROUP, "", causes)

"""Every way a request can fail, as exceptions that know their HTTP code, reason and details.

    ApiError                      code reason
    +-- BadRequest                400  BadRequest            the request cannot be understood
    +-- Unauthorized              401  Unauthorized          who are you
    +-- Forbidden                 403  Forbidden             you may not
    +-- NotFound                  404  NotFound              no such object, resource or namespace
    +-- MethodNotAllowed          405  MethodNotAllowed
    +-- NotAcceptable             406  NotAcceptable         no representation fits Accept
    +-- AlreadyExists             409  AlreadyExists         the name is taken
    +-- Conflict                  409  Conflict              somebody else wrote first
    +-- Expired                   410  Expired               history has moved past that version
    +-- RequestEntityTooLarge     413  RequestEntityTooLarge
    +-- UnsupportedMediaType      415  UnsupportedMediaType
    +-- Invalid                   422  Invalid               the object breaks a rule; causes say which
    +-- TooManyRequests           429  TooManyRequests       try again later
    +-- InternalError             500  InternalError         a bug of ours, or upstream answers 500 too
    +-- ServiceUnavailable        503  ServiceUnavailable
    +-- Timeout                   504  Timeout

On the wire each is a `Status` object (`to_status`); a client turns the Status back into the same
exception (`ApiError.from_status`). Reasons and codes: apimachinery `pkg/apis/meta/v1/types.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import attrs


@attrs.frozen
class StatusCause:
    """One of several causes of a failure: `reason` (a CauseType), `message`, and the JSON `field` path."""

    reason: str = ""
    message: str = ""
    field: str = ""

    def to_dict(self) -> dict[str, str]:
        """The cause as it stands in `Status.details.causes`, empty parts left out."""
        return {k: v for k, v in attrs.asdict(self).items() if v}


class ApiError(Exception):
    """An answer of the API server other than success.

    `kind` is the plural resource (for `Invalid` the Kind), `group` its API group, `name` the object's.
    `continue_` is a token with which an expired list can go on, inconsistently.
    `retry_after` (seconds) makes clients try again by themselves: never set it on a permanent error.
    """

    code: int = 500
    reason: str = "InternalError"
    has_details: ClassVar[bool] = False
    """Whether the Status has details though there is nothing to say, as some of upstream's constructors leave it."""
    by_reason: ClassVar[dict[str, type[ApiError]]] = {}

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Iterable[StatusCause] = (),
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.name, self.group, self.kind, self.uid = name, group, kind, uid
        self.causes = tuple(causes)
        self.retry_after = retry_after
        self.continue_ = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "reason" in vars(cls):  # others are special cases of the class that a Status stands for
            ApiError.by_reason[cls.reason] = cls

    def to_status(self) -> dict[str, Any]:
        """The `Status` object of this failure (meta/v1)."""
        details: dict[str, Any] = {}
        for key in ("name", "group", "kind", "uid"):
            if value := getattr(self, key):
                details[key] = value
        if self.causes:
            details["causes"] = [cause.to_dict() for cause in self.causes]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_} if self.continue_ else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if details or self.has_details:
            status["details"] = details
        status["code"] = self.code
        return status

    @classmethod
    def from_status(cls, status: Mapping[str, Any], code: int = 0) -> ApiError:
        """The exception that a `Status` document stands for; `code` is used when it names none."""
        details = status.get("details") or {}
        code = status.get("code") or code or 500
        known = cls.by_reason.get(status.get("reason", "")) or _BY_CODE.get(code, ApiError)
        error = known(
            status.get("message", "") or f"HTTP {code}",
            name=details.get("name", ""),
            group=details.get("group", ""),
            kind=details.get("kind", ""),
            uid=details.get("uid", ""),
            causes=[
                StatusCause(c.get("reason", ""), c.get("message", ""), c.get("field", ""))
                for c in details.get("causes") or ()
            ],
            retry_after=details.get("retryAfterSeconds", 0),
        )
        error.code = code
        if reason := status.get("reason"):
            error.reason = reason
        return error


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"

    @classmethod
    def object(cls, kind: str, group: str, name: str, why: str, **more: Any) -> Self:
        """`pods "x" is forbidden: <why>`: the form that admission uses."""
        return cls(f'{_qualified(kind, group)} "{name}" is forbidden: {why}', kind=kind, group=group, name=name, **more)


class NotFound(ApiError):
    code, reason = 404, "NotFound"
    has_details = True

    @classmethod
    def object(cls, kind: str, group: str, name: str) -> Self:
        """`deployments.apps "x" not found`; `kind` is the plural resource."""
        return cls(f'{_qualified(kind, group)} "{name}" not found', kind=kind, group=group, name=name)

    @classmethod
    def path(cls) -> Self:
        """The answer to an unknown resource, version or path inside the API."""
        return cls("the server could not find the requested resource")


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"
    has_details = True

    @classmethod
    def default(cls) -> Self:
        return cls("the server does not allow this method on the requested resource")


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def object(cls, kind: str, group: str, name: str, prefix: str = "") -> Self:
        return cls(f'{prefix}{_qualified(kind, group)} "{name}" already exists', kind=kind, group=group, name=name)


class Conflict(ApiError):
    code, reason = 409, "Conflict"

    @classmethod
    def object(cls, kind: str, group: str, name: str, why: str, **more: Any) -> Self:
        """`Operation cannot be fulfilled on <kind.group> "<name>": <why>`."""
        return cls(
            f'Operation cannot be fulfilled on {_qualified(kind, group)} "{name}": {why}',
            kind=kind,
            group=group,
            name=name,
            **more,
        )

    @classmethod
    def modified(cls, kind: str, group: str, name: str) -> Self:
        """The optimistic lock failed: the caller's resourceVersion is stale."""
        return cls.object(kind, group, name, MODIFIED)


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Expired(ApiError):
    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    code, reason = 422, "Invalid"
    has_details = True

    @classmethod
    def object(cls, kind: str, group: str, name: str, causes: Iterable[StatusCause]) -> Self:
        """`<Kind>[.group] "<name>" is invalid: …` with one cause per broken rule.

        Each cause's message is the text without its field path; `kind` is the Kind, not the plural.
        """
        causes = tuple(causes)
        texts = [f"{c.field}: {c.message}" for c in causes]
        body = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        return cls(
            f'{_qualified(kind, group)} "{name}" is invalid: {body}', kind=kind, group=group, name=name, causes=causes
        )


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


def unexplained(message: str) -> InternalError:
    """A 500 without a reason: what upstream answers where it passes an error on that it did not expect."""
    error = InternalError(message)
    error.reason = ""
    return error


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


_BY_CODE: dict[int, type[ApiError]] = {
    cls.code: cls for cls in reversed(list(ApiError.by_reason.values())) if cls is not AlreadyExists
}


def _qualified(kind: str, group: str) -> str:
    return f"{kind}.{group}" if group else kind

"""CertificateSigningRequest: who asks is noted, what is asked for never changes, decisions are final.

Upstream: pkg/registry/certificates/certificates/strategy.go and pkg/apis/certificates/validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from minik8s.api.certificates import LEGACY_UNKNOWN, BadRequestError, request_of
from minik8s.api.request import User
from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.strategy import PartialWrite
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, duplicate, forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj, evolve, find_condition, rfc3339

SHORTEST = 600
"""Seconds that a certificate must be asked for at least."""
FINAL = ("Approved", "Denied", "Failed")
USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
_SIGNER_FORM = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
_CERTIFICATE = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CONDITIONS = "status.conditions"


class CertificateSigningRequestStrategy(KindStrategy):
    """Approval and status have their own endpoints."""

    selectable: ClassVar[Selectable] = {"spec.signerName": reads("spec", "signerName")}

    def default(self, obj: Obj) -> None:
        self.default_status(obj)

    def default_status(self, obj: Obj) -> None:
        for condition in (obj.get("status") or {}).get("conditions") or ():
            set_default(condition, "status", "True")

    def sign(self, obj: Obj, user: User) -> None:
        """The requestor is whoever asks, never what the body claims."""
        who: Obj = {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
        }
        given = {name: value for name, value in (obj.get("spec") or {}).items() if name not in who}
        obj["spec"] = {**given, **{name: value for name, value in who.items() if value}}

    def date(self, obj: Obj, old: Doc, now: Callable[[], datetime]) -> None:
        conditions = (obj.get("status") or {}).get("conditions")
        if not conditions:
            return
        known, text = (old.get("status") or {}).get("conditions"), rfc3339(now())
        obj["status"] = evolve(obj["status"], "conditions", value=[_dated(c, known, text) for c in conditions])

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_update(obj, old)
        obj["spec"] = old["spec"]

    def check(self, obj: Doc) -> Causes:
        yield from _spec_errors(obj)
        yield from _condition_errors((obj.get("status") or {}).get("conditions") or ())

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return [*_change_errors(obj, old, may_add=("Failed",)), *_certificate_errors(obj, old)]


def _keep_approval(obj: Obj, old: Doc) -> None:
    """An approval writes conditions, and of the status nothing else; metadata may change with it."""
    conditions = (obj.get("status") or {}).get("conditions")
    obj["spec"] = old["spec"]
    obj["status"] = evolve(old.get("status") or {}, "conditions", value=conditions)


def _check_approval(obj: Doc, old: Doc) -> FieldErrors:
    return _change_errors(obj, old, may_add=("Approved", "Denied"))


CertificateSigningRequestStrategy.parts = {
    "approval": PartialWrite(_keep_approval, _check_approval, frozenset({"spec"}))
}


def _spec_errors(obj: Doc) -> Causes:
    spec = obj["spec"]
    try:
        request_of(obj)
    except BadRequestError as error:
        yield invalid("spec.request", spec.get("request", ""), str(error))
    usages = spec.get("usages") or ()
    if not usages:
        yield required("spec.usages", "usages are required")
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            yield not_supported(f"spec.usages[{index}]", usage, USAGES)
        if usage in usages[:index]:
            yield duplicate(f"spec.usages[{index}]", usage)
    if spec.get("signerName") == LEGACY_UNKNOWN:
        yield invalid("spec.signerName", LEGACY_UNKNOWN, "the legacy signerName is not allowed via this API version")
    else:
        yield from _signer_errors(spec.get("signerName", ""))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SHORTEST:
        why = f"may not specify a duration less than {SHORTEST} seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", seconds, why)


def _signer_errors(signer: str) -> Causes:
    if not signer:
        yield required("spec.signerName")
        return
    domain, slash, path = signer.partition("/")
    if not slash or "/" in path or not domain or not path:
        yield invalid("spec.signerName", signer, _SIGNER_FORM)
        return
    for problem in names.dns1123_subdomain(domain):
        yield invalid("spec.signerName", signer, f"validating label {render(domain)}: {problem}")
    if "." not in domain:
        yield invalid("spec.signerName", signer, "should be a domain with at least two segments separated by dots")
    for problem in names.dns1123_subdomain(path):
        yield invalid("spec.signerName", signer, f"validating label {render(path)}: {problem}")


def render(text: str) -> str:
    """Text as Go's %q shows it."""
    return f'"{text}"'


def _condition_errors(conditions: Sequence[Doc]) -> Causes:
    seen: dict[str, int] = {}
    for index, condition in enumerate(conditions):
        path, kind = f"{_CONDITIONS}[{index}]", condition.get("type", "")
        if not kind:
            yield required(f"{path}.type")
        if kind in FINAL and condition.get("status") != "True":
            yield not_supported(f"{path}.status", condition.get("status", ""), ("True",))
        if kind in seen:
            yield duplicate(f"{path}.type", kind)
        if kind in ("Approved", "Denied") and {"Approved", "Denied"} - {kind} & seen.keys():
            yield invalid(f"{path}.type", kind, "Approved and Denied conditions are mutually exclusive")
        seen[kind] = index


def _change_errors(obj: Doc, old: Doc, may_add: Sequence[str]) -> FieldErrors:
    """What has been decided stays; other decisions are taken elsewhere."""
    now, before = (((d.get("status") or {}).get("conditions") or ()) for d in (obj, old))
    errors = list(_condition_errors(now))
    for kind in FINAL:
        had, has = find_condition(before, kind), find_condition(now, kind)
        if had and not has:
            errors.append(forbidden(_CONDITIONS, f'updates may not remove a condition of type "{kind}"'))
        elif has and not had and kind not in may_add:
            errors.append(forbidden(_CONDITIONS, f'updates may not add a condition of type "{kind}"'))
        elif has and had and any(has.get(k) != had.get(k) for k in ("status", "reason", "message")):
            errors.append(forbidden(_CONDITIONS, f'updates may not modify a condition of type "{kind}"'))
    return errors


def _certificate_errors(obj: Doc, old: Doc) -> Causes:
    now, before = ((d.get("status") or {}).get("certificate") or "" for d in (obj, old))
    if now == before:
        return
    path = "status.certificate"
    if before:
        yield forbidden(path, "updates may not modify existing certificate content")
        return
    try:
        blocks = _CERTIFICATE.findall(base64.b64decode(now, validate=True))
    except binascii.Error as error:
        yield invalid(path, "<certificate data>", str(error))
        return
    if not blocks:
        yield invalid(path, "<certificate data>", "must contain at least one CERTIFICATE PEM block")
    for block in blocks:
        if block != b"CERTIFICATE":
            why = f"only CERTIFICATE PEM blocks are allowed, found {render(block.decode('ascii'))}"
            yield invalid(path, "<certificate data>", why)


def _dated(condition: Doc, known: Any, now: str) -> Doc:
    """A condition with its times; one whose status has not changed keeps the time of its transition."""
    if condition.get("lastUpdateTime") and condition.get("lastTransitionTime"):
        return condition
    same = find_condition(known, condition.get("type", ""))
    since = same.get("lastTransitionTime") if same and same.get("status") == condition.get("status") else None
    return {
        **condition,
        "lastUpdateTime": condition.get("lastUpdateTime") or now,
        "lastTransitionTime": condition.get("lastTransitionTime") or since or now,
    }


STRATEGIES: Mapping[str, type[KindStrategy]] = {"certificatesigningrequests": CertificateSigningRequestStrategy}

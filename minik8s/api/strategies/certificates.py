"""CertificateSigningRequest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from minik8s.api.request import User
from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.validation.structure import validate_structure
from minik8s.machinery.field import invalid, required
from minik8s.machinery.meta import Doc, Obj

SHORTEST = 600
"""Seconds that a certificate must be asked for at least."""


class CertificateSigningRequestStrategy(KindStrategy):
    """Approval and status have their own endpoints. Upstream: pkg/registry/certificates/certificates/strategy.go."""

    selectable: ClassVar[Selectable] = {"spec.signerName": reads("spec", "signerName")}

    def default(self, obj: Obj) -> None:
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

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_update(obj, old)
        obj["spec"] = old["spec"]

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        if not spec.get("usages"):
            yield required("spec.usages")
        signer = spec.get("signerName", "")
        if signer and "/" not in signer:
            yield invalid(
                "spec.signerName",
                signer,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < SHORTEST:
            yield invalid(
                "spec.expirationSeconds",
                seconds,
                f"may not specify a duration less than {SHORTEST} seconds (10 minutes)",
            )
        yield from validate_structure(obj, self.resource.type)


STRATEGIES: Mapping[str, type[KindStrategy]] = {"certificatesigningrequests": CertificateSigningRequestStrategy}

"""Who may approve and sign certificates, and whom no certificate is made out to.

Upstream: plugin/pkg/admission/certificates. Approving and signing are verbs on the resource `signers` by the signer's
name, or by its domain with a star.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.certificates import CLIENT, BadRequestError, request_of
from minik8s.api.users import MASTERS
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.apiserver.authorization import AccessAttributes, is_privileged
from minik8s.machinery.meta import Doc

REQUESTS = "certificatesigningrequests.certificates.k8s.io"


class CertificateApproval(AdmissionPlugin):
    """Writes to /approval."""

    name: ClassVar[str] = "CertificateApproval"
    resources: ClassVar[Collection[str]] = (REQUESTS,)

    def validate(self, attributes: Attributes, world: World) -> None:
        if _is_update(attributes, "approval") and attributes.old is not None:
            _check(attributes, attributes.old, "approve", world)


class CertificateSigning(AdmissionPlugin):
    """Writes to /status that bring a certificate or a failure."""

    name: ClassVar[str] = "CertificateSigning"
    resources: ClassVar[Collection[str]] = (REQUESTS,)

    def validate(self, attributes: Attributes, world: World) -> None:
        if not _is_update(attributes, "status") or attributes.object is None or attributes.old is None:
            return
        now, before = (d.get("status") or {} for d in (attributes.object, attributes.old))
        if any(now.get(field) != before.get(field) for field in ("certificate", "conditions")):
            _check(attributes, attributes.old, "sign", world)


class CertificateSubjectRestriction(AdmissionPlugin):
    """Nobody becomes an administrator by certificate request."""

    name: ClassVar[str] = "CertificateSubjectRestriction"
    resources: ClassVar[Collection[str]] = (REQUESTS,)

    def validate(self, attributes: Attributes, world: World) -> None:
        if attributes.object is None or not attributes.concerns("CREATE", REQUESTS):
            return
        if attributes.object["spec"].get("signerName") != CLIENT:
            return
        try:
            organizations = request_of(attributes.object).organizations
        except BadRequestError as error:
            raise attributes.forbidden(f"failed to parse CSR: {error}") from None
        if MASTERS in organizations:
            raise attributes.forbidden(f"use of {CLIENT} signer with {MASTERS} group is not allowed")


def _is_update(attributes: Attributes, subresource: str) -> bool:
    request = attributes.request
    return (
        request.subresource == subresource
        and attributes.operation == "UPDATE"
        and request.resource.group_resource == REQUESTS
    )


def _check(attributes: Attributes, csr: Doc, verb: str, world: World) -> None:
    user, signer = attributes.request.user, csr["spec"].get("signerName", "")
    if is_privileged(user):
        return
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        question = AccessAttributes(user, verb, "certificates.k8s.io", "*", "signers", name=name)
        if world.authorizer.authorize(question).allowed:
            return
    raise attributes.forbidden(f'user not permitted to {verb} requests with signerName "{signer}"')

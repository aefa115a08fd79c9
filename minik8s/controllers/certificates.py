"""The controllers of CertificateSigningRequests: one approves kubelets' own, one signs, one throws away.

Upstream: `pkg/controller/certificates` with `approver`, `signer` and `cleaner`. A request of another signer is nobody's
business here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar

from minik8s.api.certificates import (
    KUBELET_CLIENT,
    SIGNERS,
    BadRequestError,
    CertificateRequest,
    SignerRefusal,
    check_kubelet_client,
    check_signable,
    expiry_of,
    request_of,
)
from minik8s.api.resource import Resource
from minik8s.api.resources import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from minik8s.controllers.runtime import Context, Controller, Reconciler, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, find_condition, is_terminating, name_of, parse_time, rfc3339, uid_of

LONGEST = timedelta(days=365)
"""--cluster-signing-duration"""
SHORTEST = timedelta(minutes=10)
CLEANING_SECONDS = 3600.0
DECIDED_LASTS, PENDING_LASTS = timedelta(hours=1), timedelta(hours=24)
_GROUP = "certificates.k8s.io"


def _condition(csr: Doc, kind: str) -> Doc | None:
    found = find_condition((csr.get("status") or {}).get("conditions"), kind)
    return found if found and found.get("status", "True") == "True" else None


def _with_condition(csr: Doc, kind: str, reason: str, message: str, now: datetime) -> Obj:
    status = csr.get("status") or {}
    text = rfc3339(now)
    condition = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": text,
        "lastTransitionTime": text,
    }
    return {**csr, "status": {**status, "conditions": [*(status.get("conditions") or ()), condition]}}


class CSRApprovingController(Reconciler[Any]):
    """Approves a kubelet's request for a client certificate, if whoever asks may ask for it."""

    name: ClassVar[str] = "csrapproving"
    component: ClassVar[str] = "certificate-controller"
    resource = CERTIFICATE_SIGNING_REQUESTS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (CERTIFICATE_SIGNING_REQUESTS,)

    async def reconcile(self, csr: Doc) -> Requeue | None:
        status = csr.get("status") or {}
        if csr["spec"]["signerName"] != KUBELET_CLIENT or status.get("certificate") or is_terminating(csr):
            return None
        if find_condition(status.get("conditions"), "Approved") or find_condition(status.get("conditions"), "Denied"):
            return None
        try:
            request = request_of(csr)
            check_kubelet_client(request, csr["spec"].get("usages") or ())
        except (BadRequestError, SignerRefusal):
            return None
        for subresource, message in _permissions(csr, request):
            if await self._may(csr, subresource):
                approved = _with_condition(csr, "Approved", "AutoApproved", message, self.clock.now())
                await self.client.update(CERTIFICATE_SIGNING_REQUESTS, approved, subresource="approval")
                return None
        return None

    async def _may(self, csr: Doc, subresource: str) -> bool:
        spec = csr["spec"]
        who = {name: spec[name] for name in ("uid", "groups", "extra") if spec.get(name)}
        attributes = {
            "group": _GROUP,
            "resource": "certificatesigningrequests",
            "verb": "create",
            "subresource": subresource,
        }
        review = {"spec": {"user": spec.get("username", ""), **who, "resourceAttributes": attributes}}
        answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool(answer["status"]["allowed"])


def _permissions(csr: Doc, request: CertificateRequest) -> Iterable[tuple[str, str]]:
    if csr["spec"].get("username") == request.name:
        yield "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."
    yield "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."


class CSRSigningController(Reconciler[Any]):
    """Signs what has been approved, as kubernetes.io's own signers."""

    name: ClassVar[str] = "csrsigning"
    component: ClassVar[str] = "certificate-controller"
    resource = CERTIFICATE_SIGNING_REQUESTS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (CERTIFICATE_SIGNING_REQUESTS,)

    async def reconcile(self, csr: Doc) -> Requeue | None:
        spec, keys = csr["spec"], self.context.keys
        done = (csr.get("status") or {}).get("certificate") or _condition(csr, "Failed") or is_terminating(csr)
        if keys is None or spec["signerName"] not in SIGNERS or done or not _condition(csr, "Approved"):
            return None
        usages = spec.get("usages") or ()
        try:
            request = request_of(csr)
            check_signable(request, spec["signerName"], usages)
        except (BadRequestError, SignerRefusal) as error:
            failed = _with_condition(csr, "Failed", "SignerValidationFailure", str(error), self.clock.now())
            await self.client.update_status(CERTIFICATE_SIGNING_REQUESTS, failed)
            return None
        certificate = keys.sign_request(request, usages, lifetime(spec.get("expirationSeconds")))
        status = {**(csr.get("status") or {}), "certificate": base64.b64encode(certificate).decode()}
        await self.client.update_status(CERTIFICATE_SIGNING_REQUESTS, {**csr, "status": status})
        return None


def lifetime(seconds: int | None) -> timedelta:
    """How long a certificate is good: as long as was asked for, within limits."""
    return LONGEST if seconds is None else min(max(timedelta(seconds=seconds), SHORTEST), LONGEST)


class CSRCleaner(Controller[str]):
    """Deletes requests that nobody needs any more, once an hour."""

    name: ClassVar[str] = "csrcleaner"
    component: ClassVar[str] = "certificate-controller"
    wakes: ClassVar[tuple[Resource[Any], ...]] = (CERTIFICATE_SIGNING_REQUESTS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = self.informers(CERTIFICATE_SIGNING_REQUESTS)

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        return (self._clean,)

    async def process(self, key: str) -> Requeue | None:
        csr = self.requests.lister.get(key)
        if csr is not None and is_over(csr, self.clock.now()):
            with suppress(NotFound):
                await self.client.delete(CERTIFICATE_SIGNING_REQUESTS, key, uid=uid_of(csr))
        return None

    async def _clean(self) -> None:
        while True:
            now = self.clock.now()
            for csr in self.requests.lister.all():
                if is_over(csr, now):
                    self.queue.add(name_of(csr))
            await self.clock.sleep(CLEANING_SECONDS)


def is_over(csr: Doc, now: datetime) -> bool:
    """Whether a request was answered an hour ago, or has waited for a day, or its certificate has ended.

    One that was approved and not answered stays: somebody else may be about to sign it.
    """
    status = csr.get("status") or {}
    conditions, certificate = status.get("conditions") or (), status.get("certificate")
    if not conditions:
        return now - parse_time(csr["metadata"]["creationTimestamp"]) > PENDING_LASTS
    for condition in conditions:
        answered = condition["type"] in ("Denied", "Failed") or (condition["type"] == "Approved" and certificate)
        decided = condition.get("lastUpdateTime")
        if answered and decided and now - parse_time(decided) > DECIDED_LASTS:
            return True
    return certificate is not None and _condition(csr, "Approved") is not None and _has_ended(certificate, now)


def _has_ended(certificate: str, now: datetime) -> bool:
    try:
        return expiry_of(base64.b64decode(certificate)) < now
    except ValueError:
        return False

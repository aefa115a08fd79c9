"""Columns of CertificateSigningRequest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig, duration
from minik8s.machinery.meta import Doc, find_condition, name_of


def _condition(obj: Doc) -> str:
    """What has been decided, and what has come of it."""
    conditions = dig(obj, "status", "conditions")
    status = next((type_ for type_ in ("Denied", "Approved") if find_condition(conditions, type_)), "Pending")
    if find_condition(conditions, "Failed"):
        status += ",Failed"
    if dig(obj, "status", "certificate"):
        status += ",Issued"
    return status


def _request(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    return [
        name_of(obj), age(obj, now), spec.get("signerName", ""), spec.get("username", ""),
        NONE if seconds is None else duration(seconds), _condition(obj),
    ]  # fmt: skip


COLUMNS = {
    ("certificates.k8s.io", "CertificateSigningRequest"): columns(
        "Name:s/name, Age:s, SignerName:s, Requestor:s, RequestedDuration:s, Condition:s", _request
    ),
}

"""Checks the expressions of ValidatingAdmissionPolicies against the kinds that they are about, and says so.

Expressions see objects without types, so a misspelt field is no error when a policy is written; it is told in its
status instead. Upstream: `pkg/controller/validatingadmissionpolicystatus`. The checking is that of `api.policytypes`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import VALIDATING_ADMISSION_POLICIES
from minik8s.controllers.runtime import Reconciler
from minik8s.machinery.meta import Doc


class ValidatingAdmissionPolicyStatusController(Reconciler[Any]):
    name: ClassVar[str] = "validatingadmissionpolicy-status"
    component: ClassVar[str] = "validatingadmissionpolicy-status-controller"
    resource: ClassVar[Resource[Any]] = VALIDATING_ADMISSION_POLICIES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (VALIDATING_ADMISSION_POLICIES,)

    async def reconcile(self, obj: Doc) -> None:
        status, generation = obj.get("status") or {}, obj["metadata"].get("generation", 0)
        if status.get("observedGeneration") == generation:
            return
        from minik8s.api.policytypes import type_checking  # needs CEL, which costs time to import

        checked = type_checking(obj["spec"])
        await self.write_status(obj, {**status, "observedGeneration": generation, "typeChecking": checked})

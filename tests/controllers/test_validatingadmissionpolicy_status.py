"""A policy's status says what its expressions get wrong about the kinds that they are about."""

from __future__ import annotations

from typing import Any

from minik8s.api.resources import VALIDATING_ADMISSION_POLICIES
from minik8s.controllers.validatingadmissionpolicy_status import ValidatingAdmissionPolicyStatusController


def test_expressions_are_checked(virtual: Any, start: Any) -> None:
    """Each wrong expression has a warning that names the kind; a policy that was put right has none."""

    async def body(clock: Any) -> None:
        async with start(clock, ValidatingAdmissionPolicyStatusController) as world:
            rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
            spec = {
                "matchConstraints": {"resourceRules": [rule]},
                "variables": [{"name": "spec", "expression": "object.spec"}],
                "validations": [
                    {"expression": "object.replicas > 1"},
                    {"expression": "variables.spec.replicas > 1"},
                    {"expression": "variables.spec.replica > 1 && int(object.metadata.generation) > 0"},
                ],
            }
            made = await world.add("validatingadmissionpolicies", "p", spec=spec)
            assert made["status"] == {}, "the server leaves it to the controller"
            await world.quiet()
            status = (await world.get("validatingadmissionpolicies", "p"))["status"]
            first, second = status["typeChecking"]["expressionWarnings"]
            assert status["observedGeneration"] == 1
            assert first["fieldRef"] == "spec.validations[0].expression"
            text = "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n"
            assert first["warning"].startswith(text)
            assert second["fieldRef"] == "spec.validations[2].expression"
            assert "undefined field 'replica'" in second["warning"]
            good = {"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}}
            await world.client.patch(VALIDATING_ADMISSION_POLICIES, "p", good)
            await world.quiet()
            status = (await world.get("validatingadmissionpolicies", "p"))["status"]
            assert status == {"observedGeneration": 2, "typeChecking": {}}

    virtual(body)

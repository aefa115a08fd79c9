"""The CEL of admission: what expressions of policies and webhooks may name, and how they are compiled.

Validation asks for the errors, admission for the programs; so a policy that was accepted can be evaluated. Only
imported where there is an expression, for the CEL engine takes its time to load. Upstream: k8s.io/apiserver
`pkg/admission/plugin/cel` and `plugin/policy/{validating,mutating}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from minik8s import cel
from minik8s.cel import CelType, CompileError, Program, compile_expression
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc

_MESSAGE = ("string",)
_ANNOTATION = ("string", "null_type")


@attrs.frozen
class Validation:
    """One expression that has to be true. `spec` has its texts; `message` computes a better one."""

    expression: Program
    message: Program | None
    spec: Mapping[str, Any]


@attrs.frozen
class Mutation:
    """One expression whose result is a configuration to apply, or the operations of a JSON patch."""

    expression: Program
    is_patch: bool


@attrs.frozen
class CompiledPolicy:
    """A policy's programs, in the order of its lists."""

    conditions: Sequence[tuple[str, Program]]
    variables: Sequence[tuple[str, Program]]
    validations: Sequence[Validation] = ()
    annotations: Sequence[tuple[str, Program]] = ()
    mutations: Sequence[Mutation] = ()


class Compiler:
    """Compiles the expressions of one policy or webhook; what is wrong with them is collected in `errors`.

    `object_type` is what `object` and `oldObject` are known to be: nothing, where expressions are to be evaluated.
    """

    def __init__(self, *, has_params: bool = False, object_type: CelType = cel.DYN) -> None:
        self.errors: FieldErrors = []
        objects = {"object": object_type, "oldObject": object_type}
        self._plain = {**cel.policy_variables(params=has_params, authorizer=False), **objects}
        self._full = {**cel.policy_variables(params=has_params), **objects}

    def conditions(self, conditions: Iterable[Mapping[str, Any]], path: str) -> list[tuple[str, Program]]:
        """matchConditions: they see no variables."""
        found = []
        for index, condition in enumerate(conditions):
            program = self._compile(
                condition.get("expression", ""), f"{path}[{index}].expression", self._full, ("bool",)
            )
            if program is not None:
                found.append((condition.get("name", ""), program))
        return found

    def variables(self, variables: Iterable[Mapping[str, Any]], path: str) -> list[tuple[str, Program]]:
        """Each sees those before it; everything behind sees all."""
        found: list[tuple[str, Program]] = []
        self._declare(found)
        for index, variable in enumerate(variables):
            program = self._compile(variable.get("expression", ""), f"{path}[{index}].expression", self._full, "any")
            if program is not None:
                found.append((variable.get("name", ""), program))
            self._declare(found)
        return found

    def _declare(self, found: Sequence[tuple[str, Program]]) -> None:
        type_ = cel.object_of("kubernetes.variables", {name: p.type for name, p in found}, escaped=False)
        self._plain["variables"] = self._full["variables"] = type_

    def validations(self, validations: Iterable[Mapping[str, Any]], path: str) -> list[Validation]:
        found = []
        for index, spec in enumerate(validations):
            here = f"{path}[{index}]"
            program = self._compile(spec.get("expression", ""), f"{here}.expression", self._full, ("bool",))
            message = None
            if text := spec.get("messageExpression"):
                message = self._compile(text, f"{here}.messageExpression", self._plain, _MESSAGE)
            if program is not None:
                found.append(Validation(program, message, spec))
        return found

    def annotations(self, annotations: Iterable[Mapping[str, Any]], path: str) -> list[tuple[str, Program]]:
        found = []
        for index, annotation in enumerate(annotations):
            where = f"{path}[{index}].valueExpression"
            program = self._compile(annotation.get("valueExpression", ""), where, self._full, _ANNOTATION)
            if program is not None:
                found.append((annotation.get("key", ""), program))
        return found

    def mutations(self, mutations: Iterable[Mapping[str, Any]], path: str) -> list[Mutation]:
        found = []
        for index, mutation in enumerate(mutations):
            is_patch = mutation.get("patchType") == "JSONPatch"
            field = "jsonPatch" if is_patch else "applyConfiguration"
            text = (mutation.get(field) or {}).get("expression", "")
            wanted: CelType = cel.list_of(cel.JSON_PATCH) if is_patch else cel.OBJECT
            program = self._compile(text, f"{path}[{index}].{field}.expression", self._full, wanted, mutation=True)
            if program is not None:
                found.append(Mutation(program, is_patch))
        return found

    def _compile(
        self, text: str, path: str, variables: Mapping[str, CelType], result: Any, *, mutation: bool = False
    ) -> Program | None:
        if not text.strip():
            return None  # which validation reports as a missing value
        try:
            return compile_expression(text, variables=variables, result=result, mutation=mutation)
        except CompileError as error:
            self.errors.append(invalid(path, text, str(error)))
            return None


def compile_policy(spec: Doc, path: str = "spec") -> tuple[CompiledPolicy, FieldErrors]:
    """A ValidatingAdmissionPolicy's or MutatingAdmissionPolicy's spec, and what is wrong with its expressions."""
    compiler = Compiler(has_params=spec.get("paramKind") is not None)
    conditions = compiler.conditions(spec.get("matchConditions") or (), f"{path}.matchConditions")
    variables = compiler.variables(spec.get("variables") or (), f"{path}.variables")
    compiled = CompiledPolicy(
        conditions,
        variables,
        compiler.validations(spec.get("validations") or (), f"{path}.validations"),
        compiler.annotations(spec.get("auditAnnotations") or (), f"{path}.auditAnnotations"),
        compiler.mutations(spec.get("mutations") or (), f"{path}.mutations"),
    )
    return compiled, compiler.errors


def compile_conditions(
    conditions: Sequence[Mapping[str, Any]], path: str
) -> tuple[list[tuple[str, Program]], FieldErrors]:
    """The matchConditions of a webhook."""
    compiler = Compiler()
    return compiler.conditions(conditions, path), compiler.errors

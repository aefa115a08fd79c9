"""Rules of webhook configurations, admission policies and their bindings.

Upstream: pkg/apis/admissionregistration/validation. Expressions are compiled here, so that a policy that cannot be
evaluated is refused when it is written and not when somebody's pod is; the CEL engine is only loaded for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from minik8s.api.validation.common import Causes, named, one_of, required_name
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors, duplicate, forbidden, invalid, not_supported, required, too_many

Part = Mapping[str, Any]
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
MAX_CONDITIONS = 64
MAX_ANNOTATIONS = 20
_FORM = "; desired format: https://host[/path]"
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


def validate_rule(rule: Part, path: str) -> Causes:
    """A rule of a webhook or policy."""
    for field, noun in (("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or []
        if not values:
            yield required(f"{path}.{field}")
        elif "*" in values and len(values) > 1:
            yield invalid(f"{path}.{field}", values, f"if '*' is present, must not specify other {noun}")
    for index, operation in enumerate(rule.get("operations") or ()):
        yield from one_of(operation, f"{path}.operations[{index}]", OPERATIONS)
    yield from _resources(rule.get("resources") or [], f"{path}.resources")
    yield from one_of(rule.get("scope"), f"{path}.scope", SCOPES, optional=True)


def _resources(resources: list[str], path: str) -> Causes:
    if not resources:
        yield required(path)
    if "*/*" in resources and len(resources) > 1:
        yield invalid(path, resources, "if '*/*' is present, must not specify other resources")
    for index, name in enumerate(resources):
        here, (plural, _, sub) = f"{path}[{index}]", name.partition("/")
        if not name:
            yield required(here)
        elif name != "*" and sub != "*" and f"{plural}/*" in resources and sub:
            yield invalid(here, name, f"if '{plural}/*' is present, must not specify {name}")
        elif plural != "*" and f"*/{sub}" in resources and sub:
            yield invalid(here, name, f"if '*/{sub}' is present, must not specify {name}")
    if "*" in resources and any("/" not in name for name in resources if name != "*"):
        yield invalid(path, resources, "if '*' is present, must not specify other resources without subresources")


def validate_client_config(config: Part, path: str) -> Causes:
    """How a webhook is reached."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(url, f"{path}.url")
    else:
        yield from _service(service or {}, f"{path}.service")


def _url(text: str, path: str) -> Causes:
    try:
        url = urlsplit(text)
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{_FORM}")
        return
    if url.scheme != "https":
        yield invalid(path, url.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not url.netloc.rpartition("@")[2]:
        yield invalid(path, "", f"host must be specified{_FORM}")
    if "@" in url.netloc:
        yield invalid(path, url.netloc.rpartition("@")[0], "user information is not permitted in the URL")
    if url.fragment:
        yield invalid(path, url.fragment, "fragments are not permitted in the URL")
    if url.query:
        yield invalid(path, url.query, "query parameters are not permitted in the URL")


def _service(service: Part, path: str) -> Causes:
    for field in ("name", "namespace"):
        if not service.get(field):
            yield required(f"{path}.{field}", f"service {field} is required")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield invalid(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    url = service.get("path")
    if not url or url == "/":
        return
    if not url.startswith("/"):
        yield invalid(f"{path}.path", url, "must start with a '/'")
        return
    for index, step in enumerate(url.removeprefix("/").removesuffix("/").split("/")):
        if not step:
            yield invalid(f"{path}.path", url, f"segment[{index}] may not be empty")
        for text in names.dns1123_subdomain(step) if step else ():
            yield invalid(f"{path}.path", url, f"segment[{index}]: {text}")


def validate_review_versions(versions: Sequence[str], path: str) -> Causes:
    if not versions:
        yield required(path, "must specify one of v1, v1beta1")
    elif not {"v1", "v1beta1"} & set(versions):
        yield invalid(path, list(versions), "must include at least one of v1, v1beta1")
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(f"{path}[{index}]", version, "duplicate version")
        yield from named(version, f"{path}[{index}]", names.dns1035_label)


def validate_conditions(conditions: Sequence[Part], path: str) -> Causes:
    """Names and presence of matchConditions; their CEL is compiled elsewhere."""
    if len(conditions) > MAX_CONDITIONS:
        yield too_many(path, len(conditions), MAX_CONDITIONS)
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        here, name = f"{path}[{index}]", condition.get("name", "")
        if not (condition.get("expression") or "").strip():
            yield required(f"{here}.expression")
        yield from _new_name(name, f"{here}.name", seen)


def _new_name(name: str, path: str, seen: set[str]) -> Causes:
    """A qualified name that none of those before it had; `seen` gets it too."""
    if not name:
        yield required(path)
    elif name in seen:
        yield duplicate(path, name)
    else:
        yield from named(name, path, names.qualified_name)
    seen.add(name)


def condition_errors(conditions: Sequence[Part], path: str) -> FieldErrors:
    """What is wrong with the CEL of a webhook's matchConditions."""
    if not conditions:
        return []
    from minik8s.api.policies import compile_conditions

    return compile_conditions(conditions, path)[1]


def validate_match_resources(resources: Part, path: str) -> Causes:
    """MatchResources of a policy or binding."""
    for field in ("namespaceSelector", "objectSelector"):
        yield from validate_label_selector(resources.get(field) or {}, f"{path}.{field}")
    yield from one_of(resources.get("matchPolicy"), f"{path}.matchPolicy", ("Equivalent", "Exact"), optional=True)
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(resources.get(field) or ()):
            yield from validate_rule(rule, f"{path}.{field}[{index}]")


def validate_policy(spec: Part) -> Causes:
    """What both kinds of policy have in common, and the CEL of everything."""
    yield from one_of(spec.get("failurePolicy"), "spec.failurePolicy", ("Fail", "Ignore"), optional=True)
    if (kind := spec.get("paramKind")) is not None:
        for field in ("apiVersion", "kind"):
            if not kind.get(field):
                yield required(f"spec.paramKind.{field}")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
        yield from validate_match_resources(constraints, "spec.matchConstraints")
    yield from validate_conditions(spec.get("matchConditions") or (), "spec.matchConditions")
    yield from _variables(spec.get("variables") or (), "spec.variables")
    if has_expressions(spec):
        from minik8s.api.policies import compile_policy

        yield from compile_policy(spec)[1]


def has_expressions(spec: Part) -> bool:
    return any(
        spec.get(field) for field in ("matchConditions", "variables", "validations", "auditAnnotations", "mutations")
    )


def _variables(variables: Iterable[Part], path: str) -> Causes:
    seen = set()
    for index, variable in enumerate(variables):
        here, name = f"{path}[{index}]", variable.get("name", "")
        if not name:
            yield required(f"{here}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name):
            yield invalid(f"{here}.name", name, "name is not a valid CEL identifier")
        elif name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name)
        if not (variable.get("expression") or "").strip():
            yield required(f"{here}.expression", "expression is not specified")


def validate_validations(spec: Part) -> Causes:
    """The validations and auditAnnotations of a ValidatingAdmissionPolicy."""
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        why = "validations or auditAnnotations must contain at least one item"
        yield required("spec.validations", why)
        yield required("spec.auditAnnotations", why)
    for index, validation in enumerate(validations):
        yield from _validation(validation, f"spec.validations[{index}]")
    if len(annotations) > MAX_ANNOTATIONS:
        yield invalid(
            "spec.auditAnnotations", list(annotations), f"must not have more than {MAX_ANNOTATIONS} auditAnnotations"
        )
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        here, key = f"spec.auditAnnotations[{index}]", annotation.get("key", "")
        yield from _new_name(key, f"{here}.key", seen)
        if not (annotation.get("valueExpression") or "").strip():
            yield required(f"{here}.valueExpression")


def _validation(validation: Part, path: str) -> Causes:
    expression, message = (validation.get("expression") or "").strip(), validation.get("message") or ""
    computed = validation.get("messageExpression") or ""
    if not expression:
        yield required(f"{path}.expression", "expression is not specified")
    if computed and not computed.strip():
        yield invalid(f"{path}.messageExpression", computed, "must be non-empty if specified")
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in expression and not message.strip():
        yield required(f"{path}.message", "message must be specified if expression contains line breaks")
    if (reason := validation.get("reason")) is not None and reason not in REASONS:
        yield not_supported(f"{path}.reason", reason, REASONS)


def validate_mutations(spec: Part) -> Causes:
    """The mutations of a MutatingAdmissionPolicy."""
    mutations = spec.get("mutations") or ()
    if not mutations:
        yield required("spec.mutations", "mutations must contain at least one item")
    yield from one_of(spec.get("reinvocationPolicy"), "spec.reinvocationPolicy", ("IfNeeded", "Never"))
    for index, mutation in enumerate(mutations):
        path, kind = f"spec.mutations[{index}]", mutation.get("patchType")
        yield from one_of(kind, f"{path}.patchType", ("ApplyConfiguration", "JSONPatch"))
        wanted = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}.get(kind or "")
        for field in ("applyConfiguration", "jsonPatch"):
            if field == wanted and mutation.get(field) is None:
                yield required(f"{path}.{field}", f"must be specified when patchType is {kind}")
            elif field == wanted and not (mutation[field].get("expression") or "").strip():
                yield required(f"{path}.{field}.expression", "expression is not specified")
            elif wanted and field != wanted and mutation.get(field) is not None:
                yield forbidden(f"{path}.{field}", f"must not be specified when patchType is {kind}")
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate((spec.get("matchConstraints") or {}).get(name) or ()):
            for at, operation in enumerate(rule.get("operations") or ()):
                if operation not in ("CREATE", "UPDATE", "*"):
                    where = f"spec.matchConstraints.{name}[{index}].operations[{at}]"
                    yield not_supported(where, operation, ("CREATE", "UPDATE"))


def validate_binding(spec: Part, *, validating: bool) -> Causes:
    """A binding of either kind of policy."""
    yield from required_name(spec.get("policyName"), "spec.policyName", names.dns1123_subdomain)
    if (reference := spec.get("paramRef")) is not None:
        yield from _param_ref(reference, "spec.paramRef")
    if (resources := spec.get("matchResources")) is not None:
        yield from validate_match_resources(resources, "spec.matchResources")
    if validating:
        yield from _actions(spec.get("validationActions") or [], "spec.validationActions")


def _param_ref(reference: Part, path: str) -> Causes:
    name, selector = reference.get("name"), reference.get("selector")
    if name and selector is not None:
        for field in ("name", "selector"):
            yield forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    elif name:
        yield from named(name, f"{path}.name", names.path_segment)
    elif selector is None:
        yield required(path, "one of name or selector must be specified")
    else:
        yield from validate_label_selector(selector, f"{path}.selector")
    yield from one_of(reference.get("parameterNotFoundAction"), f"{path}.parameterNotFoundAction", ("Allow", "Deny"))


def _actions(actions: list[str], path: str) -> Iterable[StatusCause]:
    if not actions:
        yield required(path, "at least one validation action is required")
    for index, action in enumerate(actions):
        yield from one_of(action, f"{path}[{index}]", ("Audit", "Deny", "Warn"))
        if action in actions[:index]:
            yield duplicate(f"{path}[{index}]", action)
    if "Deny" in actions and "Warn" in actions:
        yield invalid(
            path,
            actions,
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)",
        )

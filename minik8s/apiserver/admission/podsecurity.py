"""PodSecurity: a namespace's labels say which pod security standard its pods must meet.

`enforce` refuses pods; `warn` adds Warning headers, also for workloads whose template would not pass. `audit` has no
effect here, for there is no audit log. Upstream: plugin/pkg/admission/security/podsecurity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.apiserver.admission.podstandards import LEVELS, violations
from minik8s.machinery.errors import Invalid
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, labels_of

PREFIX = "pod-security.kubernetes.io/"
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.(0|[1-9][0-9]*)")
_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template"),
    "podtemplates": ("template",),
    **dict.fromkeys(
        (
            "daemonsets.apps",
            "deployments.apps",
            "jobs.batch",
            "replicasets.apps",
            "replicationcontrollers",
            "statefulsets.apps",
        ),
        ("spec", "template"),
    ),
}


class PodSecurity(AdmissionPlugin):
    """See the module."""

    name: ClassVar[str] = "PodSecurity"

    def validate(self, attributes: Attributes, world: World) -> None:
        obj, plural = attributes.object, attributes.request.resource.group_resource
        if obj is None or attributes.request.subresource or attributes.operation not in ("CREATE", "UPDATE"):
            return
        if plural == "pods":
            self._pod(attributes, world, obj)
        elif plural == "namespaces":
            self._namespace(attributes, obj)
        elif plural in _TEMPLATES:
            template: Any = obj
            for key in _TEMPLATES[plural]:
                template = (template or {}).get(key)
            if template:
                self._warn(attributes, _labels(attributes, world), template)

    def _pod(self, attributes: Attributes, world: World, pod: Doc) -> None:
        if attributes.old is not None and pod["spec"] == attributes.old["spec"]:
            return
        labels = _labels(attributes, world)
        level, version = _policy(labels, "enforce")
        if found := violations(level, pod):
            raise attributes.forbidden(f'violates PodSecurity "{level}:{version}": {found}')
        self._warn(attributes, labels, pod)

    def _warn(self, attributes: Attributes, labels: Mapping[str, str], pod: Mapping[str, Any]) -> None:
        level, version = _policy(labels, "warn")
        if found := violations(level, pod):
            attributes.warnings.append(f'would violate PodSecurity "{level}:{version}": {found}')

    def _namespace(self, attributes: Attributes, namespace: Doc) -> None:
        before = labels_of(attributes.old) if attributes.old is not None else {}
        errors = [
            error
            for key, value in labels_of(namespace).items()
            if key.startswith(PREFIX) and before.get(key) != value
            for error in _label_errors(key, value)
        ]
        if errors:
            raise Invalid.object("Namespace", "", attributes.name, errors)


def _label_errors(key: str, value: str) -> FieldErrors:
    path, mode = f"metadata.labels[{key}]", key.removeprefix(PREFIX)
    if mode in _MODES and value not in LEVELS:
        return [invalid(path, value, f"must be one of {', '.join(LEVELS)}")]
    if mode.removesuffix("-version") in _MODES and mode.endswith("-version") and not _VERSION.fullmatch(value):
        return [invalid(path, value, 'must be "latest" or "v1.x"')]
    return []


def _labels(attributes: Attributes, world: World) -> Mapping[str, str]:
    namespace = world.get(NAMESPACES, attributes.namespace)
    return labels_of(namespace) if namespace is not None else {}


def _policy(labels: Mapping[str, str], mode: str) -> tuple[str, str]:
    """(level, version) in force; nothing is enforced without a label."""
    level = labels.get(PREFIX + mode, "privileged")
    return level if level in LEVELS else "restricted", labels.get(f"{PREFIX}{mode}-version", "latest")

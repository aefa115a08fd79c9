"""Builders of common objects: plain functions that make plain documents, as short as a test wants to read.

    deployment("web", image="shop:2", replicas=3)
    pod("p", {"metadata": {"finalizers": ["example.com/x"]}}, image="busybox", restartPolicy="Never")

Keyword arguments have Kubernetes' own names. Those of metadata (`namespace`, `labels`, `annotations`, ...) go there,
the container's (`image`, `command`, `args`, `env`, `ports`, `resources`) into the only container, the others are fields
of the spec, or of the object itself where it has none. Mappings after the name are merged over the result, field by
field, as a JSON merge patch: lists are replaced, None removes. What a server fills in is left to it.

In the simulated runtime containers start at once and run until they are stopped. What has pods takes `simulated`, which
says how else its containers behave: `job("once", simulated={"run_seconds": 5, "exit_code": 1})`; the names and units
are those of `kubelet.runtime.behaviour.Behaviour`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from minik8s.kubelet.runtime.behaviour import PREFIX, Behaviour
from minik8s.machinery.meta import Obj
from minik8s.machinery.patch.mergepatch import apply_merge_patch
from minik8s.machinery.suggest import unknown

_METADATA = ("namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName")
_CONTAINER = (
    "image",
    "command",
    "args",
    "env",
    "ports",
    "resources",
    "volumeMounts",
    "readinessProbe",
    "livenessProbe",
)
Patch = Mapping[str, Any]


def container(name: str = "main", /, *, image: str = "busybox", **fields: Any) -> Obj:
    """A container. `env` may be a mapping, `ports` may be numbers."""
    made: Obj = {"name": name, "image": image, **fields}
    if isinstance(made.get("env"), Mapping):
        made["env"] = [{"name": key, "value": str(value)} for key, value in made["env"].items()]
    if "ports" in made:
        made["ports"] = [{"containerPort": port} if isinstance(port, int) else port for port in made["ports"]]
    return made


def pod(name: str = "", /, *patches: Patch, **fields: Any) -> Obj:
    """A pod of one container, or of `containers`."""
    if behaviour := _simulated(fields):
        fields["annotations"] = {**fields.get("annotations", {}), **behaviour}
    return _object("v1", "Pod", name, patches, fields, _pod_spec)


def deployment(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A Deployment; its pods have the label app=NAME, or `labels`."""
    return _object("apps/v1", "Deployment", name, patches, fields, _replicated)


def replica_set(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A ReplicaSet; its pods have the label app=NAME, or `labels`."""
    return _object("apps/v1", "ReplicaSet", name, patches, fields, _replicated)


def daemon_set(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A DaemonSet; its pods have the label app=NAME, or `labels`."""
    return _object("apps/v1", "DaemonSet", name, patches, fields, _replicated)


def stateful_set(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A StatefulSet whose governing Service has its own name; its pods have the label app=NAME, or `labels`."""
    return _object("apps/v1", "StatefulSet", name, patches, {"serviceName": name, **fields}, _replicated)


def job(name: str = "", /, *patches: Patch, **fields: Any) -> Obj:
    """A Job whose pods are not restarted unless `restartPolicy` says so."""
    return _object("batch/v1", "Job", name, patches, fields, _job_spec)


def cron_job(name: str, /, *patches: Patch, schedule: str = "* * * * *", **fields: Any) -> Obj:
    """A CronJob, of every minute unless `schedule` says otherwise; `jobTemplate` is a Job's, else from the fields."""

    def spec(name: str, labels: Any, fields: Obj) -> Obj:
        own = {key: fields.pop(key) for key in _CRON_JOB if key in fields}
        template = own.pop("jobTemplate", None) or {"spec": _job_spec(name, labels, fields)}
        return {"schedule": schedule, **own, "jobTemplate": template}

    return _object("batch/v1", "CronJob", name, patches, fields, spec)


def service(
    name: str, /, *patches: Patch, port: int | None = None, targetPort: int | str | None = None, **fields: Any
) -> Obj:
    """A Service of the pods with app=NAME, or of `selector`, on `port`, or on `ports`, which may be numbers."""

    def spec(name: str, _: Any, fields: Obj) -> Obj:
        ports = fields.pop("ports", [] if port is None else [port])
        made = [{"port": each} if isinstance(each, int) else dict(each) for each in ports]
        if targetPort is not None:
            made = [{**each, "targetPort": targetPort} for each in made]
        if len(made) > 1:
            made = [{"name": f"port-{each['port']}", **each} for each in made]
        return {"selector": {"app": name}, **({"ports": made} if made else {}), **fields}

    return _object("v1", "Service", name, patches, fields, spec)


def config_map(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A ConfigMap: `data={...}`, `immutable=True`."""
    return _object("v1", "ConfigMap", name, patches, fields)


def secret(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A Secret: `stringData={...}`, or `data` in base64; `type`."""
    return _object("v1", "Secret", name, patches, fields)


def namespace(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A Namespace."""
    return _object("v1", "Namespace", name, patches, fields)


def service_account(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A ServiceAccount."""
    return _object("v1", "ServiceAccount", name, patches, fields)


def node(name: str, /, *patches: Patch, **fields: Any) -> Obj:
    """A Node that no kubelet stands for: whoever wants it Ready has to say so in its status."""
    return _object("v1", "Node", name, patches, fields, _spec)


def persistent_volume_claim(name: str, /, *patches: Patch, storage: str = "1Gi", **fields: Any) -> Obj:
    """A claim of `storage`, to be mounted by one node at a time unless `accessModes` say otherwise."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return _object("v1", "PersistentVolumeClaim", name, patches, {**spec, **fields}, _spec)


def role(name: str, /, *patches: Patch, resources: Sequence[str], verbs: Sequence[str], **fields: Any) -> Obj:
    """A Role, for `resources` as "pods" or "deployments.apps"."""
    fields["rules"] = [_rule(resource, verbs) for resource in resources]
    return _object("rbac.authorization.k8s.io/v1", "Role", name, patches, fields)


def cluster_role(name: str, /, *patches: Patch, resources: Sequence[str], verbs: Sequence[str], **fields: Any) -> Obj:
    """A ClusterRole, for `resources` as "pods" or "deployments.apps"."""
    fields["rules"] = [_rule(resource, verbs) for resource in resources]
    return _object("rbac.authorization.k8s.io/v1", "ClusterRole", name, patches, fields)


def role_binding(name: str, /, *patches: Patch, role: str, account: str, **fields: Any) -> Obj:
    """Binds a Role to the service account `NAMESPACE/NAME`."""
    return _object(
        "rbac.authorization.k8s.io/v1", "RoleBinding", name, patches, _binding("Role", role, account, fields)
    )


def cluster_role_binding(name: str, /, *patches: Patch, role: str, account: str, **fields: Any) -> Obj:
    """Binds a ClusterRole to the service account `NAMESPACE/NAME`."""
    bound = _binding("ClusterRole", role, account, fields)
    return _object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name, patches, bound)


def crd(
    plural: str,
    kind: str,
    group: str,
    /,
    *patches: Patch,
    version: str = "v1",
    scope: str = "Namespaced",
    properties: Patch | None = None,
    **fields: Any,
) -> Obj:
    """A CustomResourceDefinition of one version; `properties` are those of spec, any where it is left out.

    Every object has a status of any shape, with the status subresource.
    """
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = anything if properties is None else {"type": "object", "properties": dict(properties)}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": anything}}}
    served = {"name": version, "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    body = {"group": group, "scope": scope, "names": names, "versions": [served], **fields}
    return _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{group}", patches, body, _spec)


_CRON_JOB = (
    "jobTemplate", "suspend", "concurrencyPolicy", "timeZone", "startingDeadlineSeconds",
    "successfulJobsHistoryLimit", "failedJobsHistoryLimit",
)  # fmt: skip
_JOB = (
    "completions", "parallelism", "backoffLimit", "completionMode", "suspend", "ttlSecondsAfterFinished",
    "podFailurePolicy", "successPolicy", "backoffLimitPerIndex", "maxFailedIndexes", "podReplacementPolicy", "template",
    "selector", "manualSelector", "managedBy", "activeDeadlineSeconds",
)  # fmt: skip
_WORKLOAD = (
    "replicas", "selector", "template", "strategy", "minReadySeconds", "revisionHistoryLimit", "paused",
    "progressDeadlineSeconds", "serviceName", "volumeClaimTemplates", "podManagementPolicy", "updateStrategy",
    "persistentVolumeClaimRetentionPolicy", "ordinals",
)  # fmt: skip


def _object(api_version: str, kind: str, name: str, patches: Sequence[Patch], fields: Obj, spec: Any = None) -> Obj:
    """`spec(name, labels, fields)` makes the spec out of what is not metadata; None: the fields are the object's."""
    rest = dict(fields)
    metadata: Obj = {"name": name} if name else {}
    metadata |= {key: rest.pop(key) for key in _METADATA if key in rest}
    body = rest if spec is None else {"spec": spec(name, metadata.get("labels"), rest)}
    if not body.get("spec", True):
        body = {}
    made: Any = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
    for patch in patches:
        if not isinstance(patch, Mapping):
            raise TypeError(f"what follows the name {name!r} is merged over the {kind}: a mapping, not {patch!r}")
        made = apply_merge_patch(made, patch)
    return dict(made)


def _simulated(fields: Obj) -> dict[str, str]:
    """The annotations of a pod whose containers behave as `simulated` says."""
    known = [field.name for field in attrs.fields(Behaviour) if field.name != "pull_seconds"]  # that is an image's
    behaviour = fields.pop("simulated", {})
    for name in behaviour:
        if name not in known:
            raise TypeError(unknown("behaviour", name, known))
    return {PREFIX + name.replace("_", "-"): str(value) for name, value in behaviour.items()}


def _spec(_: str, __: Any, fields: Obj) -> Obj:
    return fields


def _pod_spec(_: str, __: Any, fields: Obj) -> Obj:
    own = {key: fields.pop(key) for key in _CONTAINER if key in fields}
    if own and "containers" in fields:
        raise TypeError(f"{', '.join(own)}: these are a container's, and `containers` are given")
    return {"containers": [container(**own)], **fields}


def _job_spec(name: str, labels: Any, fields: Obj) -> Obj:
    own = {key: fields.pop(key) for key in _JOB if key in fields}
    metadata = {"labels": dict(labels or {}), "annotations": _simulated(fields)}
    pods = {"metadata": {key: value for key, value in metadata.items() if value}}
    template = {**pods, "spec": _pod_spec(name, labels, {"restartPolicy": "Never", **fields})}
    return {"template": template, **own}


def _replicated(name: str, labels: Any, fields: Obj) -> Obj:
    labels = dict(labels or {"app": name})
    own = {key: fields.pop(key) for key in _WORKLOAD if key in fields}
    metadata: Obj = {"labels": labels}
    if behaviour := _simulated(fields):
        metadata["annotations"] = behaviour
    template = {"metadata": metadata, "spec": _pod_spec(name, labels, fields)}
    return {"selector": {"matchLabels": labels}, "template": template, **own}


def _rule(resource: str, verbs: Sequence[str]) -> Obj:
    plural, _, group = resource.partition(".")
    return {"apiGroups": [group], "resources": [plural], "verbs": list(verbs)}


def _binding(kind: str, role: str, account: str, fields: Obj) -> Obj:
    where, _, name = account.partition("/")
    if not name:
        raise ValueError(f"an account is NAMESPACE/NAME, not {account!r}")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"roleRef": reference, "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": where}], **fields}

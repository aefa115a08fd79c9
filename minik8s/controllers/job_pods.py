"""The pods of a Job: what a new one looks like, and which go first when there are too many.

Pure. Upstream: `pkg/controller/job/indexed_job_utils.go` and `job_controller.go` (manageJob).
"""

from __future__ import annotations

from collections.abc import Sequence

from minik8s.controllers.job_indexes import INDEX, index_of
from minik8s.controllers.job_policy import failure_annotations
from minik8s.controllers.podcontrol import pod_from_template
from minik8s.controllers.pods import newest_first
from minik8s.machinery.meta import Doc, Obj, name_of, uid_of

TRACKING = "batch.kubernetes.io/job-tracking"
"""Finalizer that keeps a pod until it has been counted."""
_ENV = "JOB_COMPLETION_INDEX"
_LONGEST_PREFIX = 58


def is_tracked(pod: Doc) -> bool:
    return TRACKING in (pod["metadata"].get("finalizers") or ())


def new_pod(job: Doc, index: int | None = None, replaced: Doc | None = None) -> Obj:
    """A pod to create. `index` is for Indexed Jobs, `replaced` the failed pod of that index with limits per index."""
    pod = pod_from_template(job["spec"]["template"], job, f"{name_of(job)}-")
    metadata = pod["metadata"]
    metadata["finalizers"] = [*(f for f in metadata.get("finalizers") or () if f != TRACKING), TRACKING]
    if index is None:
        return pod
    metadata["generateName"] = _prefix(name_of(job), index)
    metadata["labels"] = {**metadata.get("labels", {}), INDEX: str(index)}
    annotations = {**metadata.get("annotations", {}), INDEX: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        annotations |= failure_annotations(job, replaced)
    metadata["annotations"] = annotations
    pod["spec"] = {**pod["spec"], **_with_index(pod["spec"]), "hostname": f"{name_of(job)}-{index}"}
    return pod


def surplus(job: Doc, active: Sequence[Doc], at_least: int) -> list[Doc]:
    """The pods to delete: every second one of an index, then as many as are too many."""
    doomed: list[Doc] = []
    left = list(active)
    if job["spec"].get("completionMode") == "Indexed":
        doomed, left = _duplicates(job, active)
    if len(doomed) < at_least:
        doomed += newest_first(left)[: at_least - len(doomed)]
    return doomed


def _duplicates(job: Doc, active: Sequence[Doc]) -> tuple[list[Doc], list[Doc]]:
    """Pods whose index is no (longer) one or is taken by a better pod; and the others."""
    by_index: dict[int, list[Doc]] = {}
    doomed: list[Doc] = []
    for pod in active:
        index = index_of(pod)
        if index is None or index >= job["spec"]["completions"]:
            doomed.append(pod)
        else:
            by_index.setdefault(index, []).append(pod)
    left: list[Doc] = []
    for pods in by_index.values():
        ordered = newest_first(pods) if len(pods) > 1 else pods
        doomed += ordered[:-1]
        left.append(ordered[-1])
    return doomed, sorted(left, key=uid_of)


def _prefix(name: str, index: int) -> str:
    suffix = f"-{index}-"
    return name[: _LONGEST_PREFIX - len(suffix)] + suffix


def _with_index(spec: Doc) -> Obj:
    """The containers with the variable that tells them their index."""
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}

    def told(container: Doc) -> Doc:
        env = container.get("env") or ()
        if any(variable["name"] == _ENV for variable in env):
            return container
        return {**container, "env": [*env, {"name": _ENV, "valueFrom": source}]}

    kinds = [kind for kind in ("initContainers", "containers") if spec.get(kind)]
    return {kind: [told(container) for container in spec[kind]] for kind in kinds}

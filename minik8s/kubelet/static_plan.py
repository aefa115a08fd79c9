"""Static pods as data: from a manifest file to the pod that a node runs, and to the mirror that the API shows of it.

Upstream: pkg/kubelet/config/common.go (`tryDecodeSinglePod`, `applyDefaults`) and pkg/kubelet/pod/mirror_client.go. A
static pod is known by the hash of its manifest, so that another manifest is another pod; it borrows nothing from the
API, for it has to run without one.
"""

from __future__ import annotations

from hashlib import md5
from typing import Any

import attrs
import orjson

from minik8s.api.resources import PODS
from minik8s.api.staticpods import HASH, MIRROR, SEEN, SOURCE
from minik8s.api.strategies import strategy_for
from minik8s.machinery.meta import Doc, Obj, annotations_of, controller_of, is_terminating, name_of, uid_of
from minik8s.schema.codec import load_manifests
from minik8s.schema.decode import DecodeError, decode

_TOLERATES_ALL = {"operator": "Exists", "effect": "NoExecute"}
_API_VOLUMES = ("secret", "configMap", "persistentVolumeClaim", "ephemeral", "csi")
_API_SOURCES = ("secret", "configMap", "serviceAccountToken", "clusterTrustBundle", "podCertificate")


class InvalidManifest(ValueError):
    """A file that is no static pod; says why."""


def static_pod(content: bytes, origin: str, node: str, now: str) -> Obj:
    """The pod of a manifest, as if the API had taken it for this node; `now` is an RFC 3339 time.

    Raises InvalidManifest for what is no pod, is no valid one, or refers to objects of the API.
    """
    pod = _decoded(content)
    pod.pop("status", None)
    digest = md5(b"\0".join((node.encode(), origin.encode(), orjson.dumps(pod, option=orjson.OPT_SORT_KEYS))))
    metadata, spec = pod["metadata"], pod["spec"]
    strategy = strategy_for(PODS)
    strategy.default(pod)
    metadata["name"] = f"{metadata.get('name', '')}-{node}"
    metadata.setdefault("namespace", "default")
    metadata["uid"] = digest.hexdigest()
    metadata["creationTimestamp"] = now
    own = {HASH: digest.hexdigest(), SOURCE: "file", SEEN: now}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **own}
    spec["nodeName"] = node
    spec["tolerations"] = [*(spec.get("tolerations") or ()), _TOLERATES_ALL]
    errors = [*strategy.validate_create(pod)]
    if errors:
        raise InvalidManifest("; ".join(f"{error.field}: {error.message}" for error in errors))
    if what := _borrowed(spec):
        raise InvalidManifest(f"static pods may not reference {what}")
    return pod


def _decoded(content: bytes) -> Obj:
    try:
        documents = load_manifests(content.decode())
        if len(documents) != 1:
            raise InvalidManifest(f"it holds {len(documents)} objects, and not one pod")
        [document] = documents
        if (document.get("apiVersion"), document.get("kind")) != ("v1", "Pod"):
            raise InvalidManifest(f"it is a {document.get('kind')} of {document.get('apiVersion')}, not a v1 Pod")
        decoded = decode(document, PODS.type, PODS.kind)
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidManifest(str(error)) from None
    if decoded.unknown:
        raise InvalidManifest("; ".join(f'unknown field "{path}"' for path in decoded.unknown))
    pod = decoded.obj
    if not isinstance(pod.get("spec"), dict) or not pod.get("metadata", {}).get("name"):
        raise InvalidManifest("a pod needs metadata.name and spec")
    return pod


def _borrowed(spec: Doc) -> str:
    """The first object of the API that a pod refers to; "" for one that stands alone."""
    if spec.get("serviceAccountName"):
        return "service accounts"
    if spec.get("resourceClaims"):
        return "resource claims"
    for volume in spec.get("volumes") or ():
        sources = (volume.get("projected") or {}).get("sources") or ()
        found = [key for key in _API_VOLUMES if key in volume]
        found += [key for source in sources for key in _API_SOURCES if key in source]
        if found:
            return f"objects of the API (volume {volume['name']}: {found[0]})"
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            if _reads_api(container):
                return f"objects of the API (environment of container {container['name']})"
    return ""


def _reads_api(container: Doc) -> bool:
    sources: list[Any] = [*(container.get("envFrom") or ())]
    sources += [entry["valueFrom"] for entry in container.get("env") or () if entry.get("valueFrom")]
    keys = {"configMapRef", "secretRef", "configMapKeyRef", "secretKeyRef"}
    return any(keys & set(source) for source in sources)


def mirror_of(pod: Doc, node: Doc) -> Obj:
    """The pod to create in the API that shows a static one."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name_of(node), "uid": uid_of(node), "controller": True}
    kept = {key: pod["metadata"][key] for key in ("name", "namespace", "labels") if key in pod["metadata"]}
    annotations = {**annotations_of(pod), MIRROR: uid_of(pod)}
    metadata = {**kept, "annotations": annotations, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


@attrs.frozen
class MirrorPlan:
    """What is to be done about a mirror."""

    delete: bool = False
    create: bool = False


def plan_mirror(static: Doc | None, mirror: Doc | None, node: Doc) -> MirrorPlan:
    """A mirror is of the pod that runs, of this node, and not about to go; else it goes, and another one comes.

    Upstream: kubelet.syncPod and deleteOrphanedMirrorPods.
    """
    if mirror is None:
        return MirrorPlan(create=static is not None)
    good = (
        static is not None
        and annotations_of(mirror).get(MIRROR) == uid_of(static)
        and not is_terminating(mirror)
        and (controller_of(mirror) or {}).get("uid") == uid_of(node)
    )
    return MirrorPlan() if good else MirrorPlan(delete=True, create=static is not None)


def grace_of(pod: Doc) -> float:
    """Seconds that a static pod has to end when its manifest is gone."""
    return float(pod["spec"].get("terminationGracePeriodSeconds", 30))

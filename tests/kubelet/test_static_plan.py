"""From a manifest to a static pod and its mirror, and what becomes of mirrors."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.staticpods import is_mirror, is_static, pod_id
from minik8s.kubelet.static_plan import InvalidManifest, MirrorPlan, mirror_of, plan_mirror, static_pod

NOW = "2026-01-01T00:00:00Z"
NODE: Any = {"metadata": {"name": "node-1", "uid": "n"}}
MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: c, image: busybox}]}
"""


def parsed(text: str = MANIFEST, origin: str = "/web.yaml") -> Any:
    return static_pod(text.encode(), origin, "node-1", NOW)


def with_spec(text: str) -> str:
    return MANIFEST.replace("spec: {", f"spec: {{{text}, ")


def test_the_pod_of_a_manifest() -> None:
    """It has the node's name, defaults and upstream's annotations, and tolerates every NoExecute taint."""
    pod = parsed()
    metadata, spec = pod["metadata"], pod["spec"]
    assert (metadata["name"], metadata["namespace"], spec["nodeName"]) == ("web-node-1", "default", "node-1")
    assert metadata["annotations"] == {
        "kubernetes.io/config.hash": metadata["uid"],
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.seen": NOW,
    }
    assert spec["restartPolicy"] == "Always"
    assert spec["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]
    assert is_static(pod)
    assert not is_mirror(pod)


def test_who_a_static_pod_is() -> None:
    """The same file is the same pod whenever it is read; another content, path or node is another."""
    uid = parsed()["metadata"]["uid"]
    assert static_pod(MANIFEST.encode(), "/web.yaml", "node-1", "2030-01-01T00:00:00Z")["metadata"]["uid"] == uid
    elsewhere = static_pod(MANIFEST.encode(), "/web.yaml", "node-2", NOW)
    others = [parsed(MANIFEST.replace("busybox", "nginx")), parsed(origin="/x"), elsewhere]
    assert uid not in {other["metadata"]["uid"] for other in others}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "yaml"),
        ("\xff", "utf-8"),
        ("", "it holds 0 objects"),
        (MANIFEST + "---" + MANIFEST, "it holds 2 objects"),
        ("kind: Service\napiVersion: v1", "it is a Service of v1, not a v1 Pod"),
        (MANIFEST.replace("image:", "imag:"), 'unknown field "spec.containers[0].imag"'),
        (MANIFEST.replace("name: web,", ""), "needs metadata.name"),
        (MANIFEST.replace("name: c", "name: C_"), "spec.containers[0].name: Invalid value"),
        (MANIFEST.replace("image: busybox", "image: 3.5"), "cannot unmarshal number"),
        (with_spec("serviceAccountName: x"), "service accounts"),
        (with_spec("volumes: [{name: v, secret: {secretName: s}}]"), "volume v: secret"),
        (with_spec("volumes: [{name: v, projected: {sources: [{configMap: {name: s}}]}}]"), "volume v: configMap"),
        (MANIFEST.replace("name: c,", "name: c, envFrom: [{secretRef: {name: s}}],"), "environment of container c"),
    ],
)
def test_what_is_no_static_pod(text: str, why: str) -> None:
    """A manifest that is no pod, is invalid or borrows from the API is refused by what is wrong with it."""
    content = text.encode("latin-1") if text == "\xff" else text.encode()
    with pytest.raises(InvalidManifest) as refused:
        static_pod(content, "/web.yaml", "node-1", NOW)
    assert why in str(refused.value)


def test_the_mirror() -> None:
    """It shows the pod under its name, is owned by the node, and leads to the static pod's id."""
    pod = parsed()
    mirror = mirror_of(pod, NODE)
    assert mirror["spec"] == pod["spec"]
    assert mirror["metadata"]["labels"] == {"app": "web"}
    assert mirror["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}
    ]
    assert is_mirror(mirror)
    assert pod_id({**mirror, "metadata": {**mirror["metadata"], "uid": "other"}}) == pod_id(pod)


def _changed(**metadata: Any) -> Any:
    mirror = mirror_of(parsed(), NODE)
    return {**mirror, "metadata": {**mirror["metadata"], **metadata}}


@pytest.mark.parametrize(
    ("static", "mirror", "plan"),
    [
        (None, None, MirrorPlan()),
        (parsed(), None, MirrorPlan(create=True)),
        (parsed(), _changed(), MirrorPlan()),
        (parsed(), _changed(deletionTimestamp=NOW), MirrorPlan(delete=True, create=True)),
        (parsed(), _changed(annotations={"kubernetes.io/config.mirror": "of before"}), MirrorPlan(True, True)),
        (parsed(), _changed(ownerReferences=[]), MirrorPlan(True, True)),
        (None, _changed(), MirrorPlan(delete=True)),
    ],
)
def test_what_becomes_of_mirrors(static: Any, mirror: Any, plan: MirrorPlan) -> None:
    """There is just one for a pod that runs: of this manifest, this node, and not about to go."""
    assert plan_mirror(static, mirror, NODE) == plan

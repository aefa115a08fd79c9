"""Static pods and their mirrors: the annotations by which API server, kubelet and clients tell them from other pods.

A kubelet runs a static pod because of a file on its node. What the API shows of it is a mirror, which decides nothing.
Upstream: pkg/kubelet/types/pod_update.go.
"""

from __future__ import annotations

from minik8s.machinery.meta import Doc, annotations_of, uid_of

HASH = "kubernetes.io/config.hash"
MIRROR = "kubernetes.io/config.mirror"
SOURCE = "kubernetes.io/config.source"
SEEN = "kubernetes.io/config.seen"


def is_mirror(pod: Doc) -> bool:
    """Whether the API's pod only shows one that a kubelet has from elsewhere."""
    return MIRROR in annotations_of(pod)


def is_static(pod: Doc) -> bool:
    """Whether a pod that a kubelet runs comes from elsewhere than the API."""
    return annotations_of(pod).get(SOURCE, "api") != "api"


def pod_id(pod: Doc) -> str:
    """By what a kubelet knows a pod: its uid, or that of the static pod which it mirrors."""
    return annotations_of(pod).get(MIRROR) or uid_of(pod)

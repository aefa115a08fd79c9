"""ImageLocality: points for nodes that have the pod's images already, fewer for images that few nodes have.

How widespread an image is changes whenever some node pulls it; a reused verdict may be that much out of date.
"""

from __future__ import annotations

from collections.abc import Sequence

from minik8s.scheduler.framework import MAX_SCORE, SKIP, CycleState, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo

MIN_BYTES = 23 * 1024 * 1024
MAX_BYTES_PER_CONTAINER = 1000 * 1024 * 1024
"""minThreshold and maxContainerThreshold of upstream's image_locality.go."""


class ImageLocality:
    name = "ImageLocality"
    local = True

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        """Skips images that lie nowhere; the others keep the share of nodes that have them."""
        containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
        images = [normalized_image(c.get("image", "")) for c in containers]
        total = len(snapshot.nodes)
        shares = [(image, snapshot.image_nodes(image) / total) for image in images if snapshot.image_nodes(image)]
        if not shares:
            return SKIP
        state.data[self.name] = (shares, len(containers) * MAX_BYTES_PER_CONTAINER)
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        shares, most = state.data[self.name]
        size = sum(int(node.images[image] * share) for image, share in shares if image in node.images)
        return int(MAX_SCORE * (min(max(size, MIN_BYTES), most) - MIN_BYTES) // (most - MIN_BYTES))


def normalized_image(image: str) -> str:
    """The name with its tag, `:latest` when it has none; node status lists images so."""
    return image if image.rfind(":") > image.rfind("/") else image + ":latest"

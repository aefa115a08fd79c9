"""`minik8s why` against a cluster."""

from __future__ import annotations

from typing import Any

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec: {containers: [{name: main, image: "bad image name"}]}
"""


def test_why(minik8s: Any) -> None:
    """A pod by its bare name and by kind; what does not exist is one line on stderr."""
    minik8s.cluster.apply(POD.replace('"bad image name"', "busybox"), namespace=minik8s.namespace)
    minik8s.cluster.settle()
    assert minik8s("why", "pod").startswith("pod/pod: it is running and ready on node-1")
    assert minik8s("why", "po/pod") == minik8s("why", "pod")
    assert minik8s("why", "namespace/default").startswith("namespace/default: it is Active")
    assert "not found" in minik8s.fails("why", "none")
    assert "doesn't have a resource type" in minik8s.fails("why", "thing/none")

"""`minik8s logs` against a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import PODS

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: pod, labels: {app: web}}
spec:
  containers:
  - {name: main, image: busybox}
  - {name: side, image: busybox}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""


@pytest.fixture
def pod(minik8s: Any) -> Any:
    minik8s.cluster.apply(POD, namespace=minik8s.namespace)
    minik8s.cluster.apply(SERVICE, namespace=minik8s.namespace)
    return minik8s.cluster.wait_for(PODS, "pod", "Ready", namespace=minik8s.namespace)


@pytest.mark.usefixtures("pod")
def test_of_a_container(minik8s: Any) -> None:
    """A container's lines, all or the last ones, with times if asked for."""
    lines = minik8s("logs", "pod", "-c", "main").splitlines()
    assert lines
    assert minik8s("logs", "pod/pod", "-c", "main", "--tail", "1").splitlines() == lines[-1:]
    assert minik8s("logs", "pod", "-c", "main", "--tail", "0") == ""
    stamped = minik8s("logs", "pod", "-c", "main", "--timestamps", "--since", "1h").splitlines()
    assert [line.partition(" ")[2] for line in stamped] == lines


@pytest.mark.usefixtures("pod")
def test_default_container(minik8s: Any) -> None:
    """Without -c it is the first one, and stderr says which there are."""
    result = minik8s.invoke("logs", "pod")
    assert result.exit_code == 0
    assert result.stderr == 'Defaulted container "main" out of: main, side\n'
    assert result.stdout == minik8s("logs", "pod", "-c", "main")


@pytest.mark.usefixtures("pod")
def test_of_what_selects_pods(minik8s: Any) -> None:
    """KIND/NAME is one of the pods that the object selects."""
    assert minik8s("logs", "svc/web", "-c", "side") == minik8s("logs", "pod", "-c", "side")


@pytest.mark.usefixtures("pod")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], 'pods "nope" not found'),
        (["deploy/nope"], 'deployments.apps "nope" not found'),
        (["pod", "-c", "nope"], "container nope is not valid for pod pod"),
        (["pod", "-c", "main", "--previous"], 'previous terminated container "main" in pod "pod" not found'),
        (["ns/default"], "selects no pods"),
    ],
)
def test_refusals(minik8s: Any, arguments: list[str], words: str) -> None:
    """What cannot be shown is one line on stderr and exit code 1."""
    assert words in minik8s.fails("logs", *arguments)

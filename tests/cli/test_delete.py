"""`minik8s delete` against a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minik8s.api.resources import PODS

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: pod, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: busybox}
  - {name: side, image: busybox}
"""


def apply(cli: Any, *names: str, finalizers: tuple[str, ...] = ()) -> None:
    for name in names:
        metadata = {"name": name, "labels": {"first": name[0]}, "finalizers": list(finalizers)}
        cli.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}, namespace=cli.namespace)


def left(cli: Any) -> list[str]:
    return [line.removeprefix("secret/") for line in cli("get", "secrets", "-o", "name").splitlines()]


def test_by_name(minik8s: Any) -> None:
    """By KIND NAME and KIND/NAME; each is told as kubectl tells it."""
    apply(minik8s, "a", "b", "c")
    place = f"deleted from {minik8s.namespace} namespace"
    assert minik8s("delete", "secret", "a", "b") == f'secret "a" {place}\nsecret "b" {place}\n'
    assert minik8s("delete", "secret/c") == f'secret "c" {place}\n'
    assert left(minik8s) == []


def test_by_selector_and_all(minik8s: Any) -> None:
    """-l deletes what it selects, --all everything; nothing there is no error."""
    apply(minik8s, "a", "b", "c")
    assert minik8s("delete", "secrets", "-l", "first=b").startswith('secret "b" deleted')
    assert left(minik8s) == ["a", "c"]
    assert minik8s("delete", "secrets", "--all").count("deleted") == 2
    assert minik8s("delete", "secrets", "--all") == ""


def test_by_manifest(minik8s: Any, tmp_path: Path) -> None:
    """-f deletes what the manifest names."""
    apply(minik8s, "a")
    file = tmp_path / "a.yaml"
    file.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n")
    assert minik8s("delete", "-f", str(file)).startswith('secret "a" deleted')
    assert "not found" in minik8s.fails("delete", "-f", str(file))
    assert minik8s("delete", "-f", str(file), "--ignore-not-found") == ""


def test_waits_until_it_is_gone(minik8s: Any) -> None:
    """It returns when the pod has ended; a grace period of zero needs no such wait."""
    minik8s.cluster.apply(POD, namespace=minik8s.namespace)
    minik8s.cluster.wait_for(PODS, "pod", "Ready", namespace=minik8s.namespace)
    minik8s("delete", "pod", "pod", "--grace-period", "1", "--timeout", "20s")
    assert minik8s("get", "pods", "-o", "name") == ""


def test_timeout_and_no_wait(minik8s: Any) -> None:
    """What a finalizer holds is not waited for longer than asked."""
    apply(minik8s, "held", finalizers=("example.org/hold",))
    assert minik8s("delete", "secret", "held", "--no-wait").startswith('secret "held" deleted')
    result = minik8s.invoke("delete", "secret", "held", "--timeout", "50ms")
    assert result.exit_code == 1
    assert "timed out" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["secret", "nope"], 'secrets "nope" not found'),
        (["secret"], "no name, no -l and no --all"),
        (["secret", "a", "--all"], "names cannot be used together with"),
        (["secret", "a", "-A"], "by name across all namespaces"),
        (["frobs", "--all"], 'resource type "frobs"'),
    ],
)
def test_refusals(minik8s: Any, arguments: list[str], words: str) -> None:
    """What cannot be done is one line on stderr and exit code 1."""
    assert words in minik8s.fails("delete", *arguments)


def test_needs_a_kind_or_a_manifest(minik8s: Any) -> None:
    """Neither or both is a usage error."""
    assert minik8s.invoke("delete").exit_code == 2
    assert minik8s.invoke("delete", "secret", "a", "-f", "-").exit_code == 2

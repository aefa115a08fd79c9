"""Which limits of local storage a pod has, and what is said of one that it passes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.runtime.usage import bytes_below, bytes_of_file_system
from minik8s.kubelet.storage import StorageUsage, overuse, storage_limits

MIB = 1 << 20
POD = "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
CONTAINER = 'Container c0 exceeded its local ephemeral storage limit "1Mi". '
SMALL = 'Usage of EmptyDir volume "small" exceeds the limit "1Mi". '
MEMORY = 'Usage of EmptyDir volume "memory" exceeds the limit "2Mi". '


def pod(*limits: str | None, init: str | None = None, volumes: Any = (), **spec: Any) -> dict[str, Any]:
    def container(name: str, limit: str | None) -> dict[str, Any]:
        return {"name": name, "resources": {"limits": {"ephemeral-storage": limit}} if limit else {}}

    containers = [container(f"c{number}", limit) for number, limit in enumerate(limits)]
    first = [container("i", init)] if init else []
    return {"metadata": {}, "spec": {"containers": containers, "initContainers": first, "volumes": volumes, **spec}}


EMPTY = [
    {"name": "free", "emptyDir": {}},
    {"name": "zero", "emptyDir": {"sizeLimit": "0"}},
    {"name": "small", "emptyDir": {"sizeLimit": "1Mi"}},
    {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}},
    {"name": "config", "configMap": {"name": "m"}},
]


@pytest.mark.parametrize(
    ("body", "usage", "text"),
    [
        (pod("1Mi"), StorageUsage({}, {"c0": MIB}), ""),
        (pod("1Mi"), StorageUsage({}, {"c0": MIB + 1}), POD),
        (pod("1Mi", "1Mi"), StorageUsage({}, {"c0": MIB + 1}), CONTAINER),
        (pod("1Mi", None), StorageUsage({}, {"c1": MIB + 1}), POD),
        (pod("1Mi", init="3Mi"), StorageUsage({}, {"c0": 2 * MIB}), CONTAINER),
        (pod("1Mi"), StorageUsage({"config": MIB, "e": 1}, {}), POD),
        (pod("1Mi"), StorageUsage({"memory": 9 * MIB}, {}, frozenset({"memory"})), ""),
        (pod(volumes=EMPTY), StorageUsage({"free": 9 * MIB, "zero": 9 * MIB, "small": MIB, "config": MIB}, {}), ""),
        (pod(volumes=EMPTY), StorageUsage({"small": MIB + 1}, {}), SMALL),
        (pod(volumes=EMPTY), StorageUsage({"memory": 3 * MIB}, {}, frozenset({"memory"})), MEMORY),
        (pod("1Mi", volumes=EMPTY), StorageUsage({"small": 3 * MIB}, {}), SMALL),
    ],
)
def test_overuse(body: dict[str, Any], usage: StorageUsage, text: str) -> None:
    """Volumes first, then the pod as a whole, then its containers; in memory counts for the volume alone."""
    limits = storage_limits(body)
    assert limits is not None
    assert overuse(limits, usage) == text


def test_who_is_not_looked_at() -> None:
    """A pod without limits, or one that is critical."""
    assert storage_limits(pod(None)) is None
    assert storage_limits(pod("1Mi", priority=2_000_000_000)) is None
    assert storage_limits(pod(None, volumes=EMPTY[:2])) is None


def test_bytes_below(tmp_path: Path) -> None:
    """Blocks on the disk, hard links once, links not at all, and holes for nothing; what is missing has none."""
    (tmp_path / "d").mkdir()
    empty = bytes_below(tmp_path)
    (tmp_path / "d" / "f").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "d" / "f", tmp_path / "same")
    (tmp_path / "l").symlink_to("/usr")
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 30)
    assert 100_000 <= bytes_below(tmp_path) - empty < 150_000
    assert bytes_below(tmp_path / "none") == bytes_of_file_system("/none") == 0
    assert bytes_of_file_system(str(tmp_path)) > 0

"""Volume payloads, the atomic writer, hostPath checks and token renewal."""

from __future__ import annotations

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.volumes.atomic_writer import AtomicWriter
from minik8s.kubelet.volumes.failures import MountError
from minik8s.kubelet.volumes.hostpath import prepare
from minik8s.kubelet.volumes.payload import (
    File,
    TokenWish,
    VolumeSources,
    payload,
    volume_references,
)
from minik8s.kubelet.volumes.tokens import renewal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a": "1"}},
    "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "1Mi"}}}]},
}
SOURCES = VolumeSources(
    config_maps={"m": {"data": {"k": "v", "l": "w"}, "binaryData": {"bin": base64.b64encode(b"\x00").decode()}}},
    secrets={"s": {"data": {"pw": base64.b64encode(b"x").decode()}}},
    tokens={TokenWish("", 3607): "jwt"},
    surroundings=Surroundings("10.0.0.1", (), {"cpu": "4"}),
)


def files(volume: dict[str, Any]) -> dict[str, tuple[bytes, int]]:
    return {path: (file.data, file.mode) for path, file in payload(POD, volume, SOURCES).items()}


def field(path: str, field_path: str) -> dict[str, Any]:
    return {"path": path, "fieldRef": {"fieldPath": field_path}}


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"configMap": {"name": "m"}}, {"k": (b"v", 0o644), "l": (b"w", 0o644), "bin": (b"\x00", 0o644)}),
        (
            {"configMap": {"name": "m", "defaultMode": 0o400, "items": [{"key": "k", "path": "a/b", "mode": 0o600}]}},
            {"a/b": (b"v", 0o600)},
        ),
        ({"configMap": {"name": "m", "optional": True, "items": [{"key": "no", "path": "x"}]}}, {}),
        ({"configMap": {"name": "gone", "optional": True}}, {}),
        ({"secret": {"secretName": "s", "defaultMode": 0o400}}, {"pw": (b"x", 0o400)}),
        ({"downwardAPI": {"items": [field("l", "metadata.labels")]}}, {"l": (b'a="1"\nb="2"', 0o644)}),
        (
            {"downwardAPI": {"items": [{"path": "m", "resourceFieldRef": {"resource": "limits.memory"}}]}},
            None,
        ),
        (
            {
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                        {"configMap": {"name": "m", "items": [{"key": "k", "path": "ca.crt"}]}},
                        {"secret": {"name": "s"}},
                        {"downwardAPI": {"items": [field("namespace", "metadata.namespace")]}},
                    ]
                }
            },
            {"token": (b"jwt", 0o644), "ca.crt": (b"v", 0o644), "pw": (b"x", 0o644), "namespace": (b"ns", 0o644)},
        ),
    ],
)
def test_payloads(volume: dict[str, Any], expected: dict[str, tuple[bytes, int]] | None) -> None:
    """Every kind of source gives its files with their modes; a resource without a container name gives none."""
    if expected is None:
        with pytest.raises(MountError):
            files(volume)
        return
    assert files(volume) == expected


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({"configMap": {"name": "gone"}}, 'configmap "gone" not found'),
        ({"secret": {"secretName": "gone"}}, 'secret "gone" not found'),
        (
            {"configMap": {"name": "m", "items": [{"key": "no", "path": "x"}]}},
            "configmap references non-existent config key: no",
        ),
        (
            {"secret": {"secretName": "s", "items": [{"key": "no", "path": "x"}]}},
            "references non-existent secret key: no",
        ),
    ],
)
def test_what_is_missing(volume: dict[str, Any], text: str) -> None:
    """A missing object or key is a mount error with upstream's text."""
    with pytest.raises(MountError) as caught:
        files(volume)
    assert str(caught.value) == text


def test_references() -> None:
    """What has to be fetched for a volume is named before its payload is made."""
    sources = [
        {"configMap": {"name": "a"}},
        {"secret": {"name": "b"}},
        {"serviceAccountToken": {"path": "t", "audience": "x"}},
    ]
    found = volume_references({"projected": {"sources": sources}})
    assert (found.config_maps, found.secrets, found.tokens) == ({"a"}, {"b"}, {TokenWish("x", 3600)})


def test_atomic_writer(tmp_path: Path) -> None:
    """Visible names are links through `..data`, which one rename moves to the new contents; the old ones go."""
    writer = AtomicWriter(tmp_path / "v", Random(1))
    assert writer.write({"a": File(b"1"), "d/e": File(b"2", 0o600)}, NOW)
    data = (tmp_path / "v/..data").readlink()
    assert data.name.startswith("..2026_01_02_03_04_05.")
    assert (tmp_path / "v/a").readlink() == Path("..data/a")
    assert (tmp_path / "v/d/e").read_bytes() == b"2"
    assert stat.S_IMODE((tmp_path / "v/d/e").stat().st_mode) == 0o600
    assert not writer.write({"a": File(b"1"), "d/e": File(b"2", 0o600)}, NOW)
    assert writer.write({"a": File(b"3"), "n": File(b"4")}, NOW)
    assert (tmp_path / "v/a").read_bytes() == b"3"
    assert not (tmp_path / "v" / data).exists()
    assert sorted(p.name for p in (tmp_path / "v").iterdir() if not p.name.startswith("..")) == ["a", "n"]


def test_atomic_writer_without_files(tmp_path: Path) -> None:
    """An optional source that is missing leaves an empty volume, not a missing one."""
    AtomicWriter(tmp_path / "v", Random(1)).write({}, NOW)
    assert [p.name for p in (tmp_path / "v").iterdir() if not p.name.startswith("..")] == []


@pytest.mark.parametrize(
    ("type_", "name", "problem"),
    [
        ("", "none", ""),
        ("Directory", "dir", ""),
        ("Directory", "file", "is not a directory"),
        ("File", "dir", "is not a file"),
        ("Socket", "file", "is not a socket file"),
        ("CharDevice", "file", "is not a character device"),
        ("BlockDevice", "none", "is not a block device"),
        ("DirectoryOrCreate", "new/dir", ""),
        ("FileOrCreate", "newfile", ""),
    ],
)
def test_host_paths(tmp_path: Path, type_: str, name: str, problem: str) -> None:
    """Each type checks or makes what it promises."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    if not problem:
        prepare(tmp_path / name, type_)
        assert (tmp_path / name).exists() is (type_ != "")
        return
    with pytest.raises(MountError) as caught:
        prepare(tmp_path / name, type_)
    assert str(caught.value) == f"hostPath type check failed: {tmp_path / name} {problem}"


@pytest.mark.parametrize(("hours", "expected"), [(1, 0.8), (100, 24)])
def test_token_renewal(hours: float, expected: float) -> None:
    """A token is renewed after four fifths of its life, or a day."""
    assert renewal(NOW, NOW + timedelta(hours=hours)) - NOW == timedelta(hours=expected)

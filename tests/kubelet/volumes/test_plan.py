"""What a pod's document says of its volumes, and what is said of those that fail."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.runtime.protocol import StartError
from minik8s.kubelet.volumes import subpath
from minik8s.kubelet.volumes.failures import MountError, MountFailure, NotInitialized, NotProcessed, failures_of
from minik8s.kubelet.volumes.ownership import give_to_group, mode_for_group
from minik8s.kubelet.volumes.payload import VolumeSources, payload
from minik8s.kubelet.volumes.plan import has_one_user, is_recursive, sub_path, used_volumes
from minik8s.kubelet.volumes.tokens import TokenWish
from minik8s.machinery.errors import NotFound


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **context: Any) -> dict[str, Any]:
    return {"spec": {"containers": containers, "initContainers": init, "securityContext": context}}


def test_used_volumes() -> None:
    """Those that any container mounts, wants as a device or reads variables from."""
    ref = {"fileKeyRef": {"volumeName": "f", "path": "x", "key": "y"}}
    one = {"volumeMounts": [{"name": "a"}], "env": [{"name": "X", "valueFrom": ref}, {"name": "Y"}]}
    body = pod(one, init=({"volumeDevices": [{"name": "d"}]},))
    body["spec"]["ephemeralContainers"] = [{"volumeMounts": [{"name": "e"}]}]
    used = used_volumes(body)
    assert (used.mounted, used.devices) == ({"a", "f", "e"}, {"d"})


@pytest.mark.parametrize(
    ("users", "of_pod", "one"),
    [
        ([None], None, False),
        ([None], 5, True),
        ([5, 5], None, True),
        ([5, None], 5, True),
        ([5, 6], None, False),
        ([5, None], None, False),
    ],
)
def test_one_user(users: list[int | None], of_pod: int | None, one: bool) -> None:
    """All containers run as the same user that somebody has named; then a token is for that user alone."""
    containers = [{"securityContext": {} if user is None else {"runAsUser": user}} for user in users]
    body = pod(*containers, **({} if of_pod is None else {"runAsUser": of_pod}))
    assert has_one_user(body) is one
    volume = {"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}]}}
    sources = VolumeSources(tokens={TokenWish("", 600): "jwt"})
    assert payload(body, volume, sources)["t"].mode == (0o600 if one else 0o644)


@pytest.mark.parametrize(
    ("mount", "found"),
    [
        ({}, ""),
        ({"subPath": "a//b/./c"}, "a/b/c"),
        ({"subPath": "a..b"}, "a..b"),
        ({"subPathExpr": "$(A)/$$(A)/x"}, "one/$(A)/x"),
        ({"subPath": "../x"}, "unable to provision SubPath `../x`: must not contain '..'"),
        ({"subPathExpr": "$(UP)"}, "unable to provision SubPath `a/..`: must not contain '..'"),
        ({"subPathExpr": "$(ROOT)"}, "error SubPath `/etc` must not be an absolute path"),
        ({"subPathExpr": "$(C)$(B)$(C)$(A)"}, "missing value for B, C"),
    ],
)
def test_sub_paths(mount: dict[str, Any], found: str) -> None:
    """References are expanded, and must not be empty; a path leads neither up nor out."""
    env = {"A": "one", "B": "", "UP": "a/..", "ROOT": "/etc"}
    try:
        assert sub_path(mount, env) == found
    except ConfigError as error:
        assert str(error) == found  # noqa: PT017 (the table says what either way gives)


@pytest.mark.parametrize(
    ("mode", "supported", "recursive"),
    [
        (None, True, False),
        ("Disabled", True, False),
        ("IfPossible", True, True),
        ("IfPossible", False, False),
        ("Enabled", True, True),
    ],
)
def test_recursive_read_only(mode: str | None, supported: bool, recursive: bool) -> None:
    """As the mount wants it and the runtime can."""
    assert is_recursive({"name": "v", "recursiveReadOnly": mode}, supported) is recursive


def test_failures() -> None:
    """A step that failed names the volume, as its own or as the claim's; what is not known yet is told together."""
    errors: dict[str, Exception] = {
        "a": MountError("text"),
        "b": NotInitialized("no path", "pv-b"),
        "c": NotProcessed("error processing c"),
        "d": NotProcessed("error processing d"),
        "e": PermissionError(13, "Permission denied", "/x"),
        "f": NotFound("gone"),
    }
    assert failures_of(errors, ["a", "c", "d"]) == [
        MountFailure('MountVolume.SetUp failed for volume "a" : text'),
        MountFailure('MountVolume.NewMounter initialization failed for volume "pv-b" : no path'),
        MountFailure('MountVolume.SetUp failed for volume "e" : /x: permission denied'),
        MountFailure('MountVolume.SetUp failed for volume "f" : gone'),
        MountFailure(
            "Unable to attach or mount volumes: unmounted volumes=[a c d], unattached volumes=[], "
            "failed to process volumes=[c d]: error processing c; error processing d"
        ),
    ]


@pytest.mark.parametrize(
    ("mode", "read_only", "expected"),
    [
        (stat.S_IFREG | 0o400, False, 0o660),
        (stat.S_IFREG | 0o644, False, 0o664),
        (stat.S_IFREG | 0o400, True, 0o440),
        (stat.S_IFDIR | 0o755, False, 0o2775),
        (stat.S_IFDIR | 0o700, True, 0o2750),
        (stat.S_IFDIR | 0o777, False, 0o2777),
    ],
)
def test_modes_for_a_group(mode: int, read_only: bool, expected: int) -> None:
    """The group reads, writes where it may, and new files in a directory are its own."""
    assert mode_for_group(mode, read_only=read_only) == expected


def test_giving_to_a_group(tmp_path: Path) -> None:
    """All below is changed, links and what they lead to are not; nothing where the root is right and that is enough."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o600)
    root = tmp_path / "volume"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_text("x")
    (root / "l").symlink_to(outside)
    group = root.stat().st_gid
    give_to_group(root, group, read_only=False, may_change_group=True)
    modes = [stat.S_IMODE((root / name).stat().st_mode) for name in (".", "d", "d/f", "l")]
    assert modes == [0o2775, 0o2775, 0o664, 0o600]
    (root / "d" / "f").chmod(0o600)
    give_to_group(root, group, read_only=False, may_change_group=True, only_on_mismatch=True)
    assert stat.S_IMODE((root / "d" / "f").stat().st_mode) == 0o600
    root.chmod(0o755)
    give_to_group(root, group, read_only=False, may_change_group=True, only_on_mismatch=True)
    assert stat.S_IMODE((root / "d" / "f").stat().st_mode) == 0o660


def test_parts_of_a_volume(tmp_path: Path) -> None:
    """Missing directories are made, all as open as the volume; a dangling link or one that leads out is refused."""
    root = tmp_path / "v"
    root.mkdir()
    root.chmod(0o750)
    place = subpath.prepare(root, "a/b", volume="v", container="c")
    assert place == root / "a/b"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, place.parent)] == [0o750, 0o750]
    (root / "out").symlink_to("../outside")
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to(tmp_path)
    assert subpath.prepare(root, "up/v/a", volume="v", container="c") == root / "a", "it leads back in"
    said = 'failed to create subPath directory for volumeMount "v" of container "c"'
    for path in ("out", "up", "loop/x"):
        with pytest.raises(ConfigError, match=said):
            subpath.prepare(root, path, volume="v", container="c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v"]


def test_pins_are_made_anew(tmp_path: Path) -> None:
    """A file or a directory in the place of another; what is pinned stays when its source goes."""
    (tmp_path / "f").write_text("1")
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "g").write_text("2")
    place = tmp_path / "pins" / "0"
    for source in ("d", "f", "d"):
        assert subpath.pin(tmp_path / source, place) == place
    (tmp_path / "d" / "e" / "g").unlink()
    assert (place / "e" / "g").read_text() == "2"


def test_parts_of_an_image(tmp_path: Path) -> None:
    """A directory of it, by links that lead where they would in it."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("/a")
    assert subpath.in_image(tmp_path, "link/b") == tmp_path / "a/b"
    assert subpath.in_image(tmp_path, "") == tmp_path
    with pytest.raises(StartError, match="openat none: no such file or directory"):
        subpath.in_image(tmp_path, "none")

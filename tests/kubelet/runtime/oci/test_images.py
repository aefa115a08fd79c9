"""Images are recognised, unpacked once and kept, whatever they were saved as."""

from __future__ import annotations

import errno
import gzip
import importlib
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.oci.layers import Unpacker
from minik8s.kubelet.runtime.oci.recognition import kind_of
from minik8s.kubelet.runtime.oci.store import ImageStore, Loaded
from minik8s.kubelet.runtime.references import parse_reference
from tests.kubelet.runtime.oci.building import (
    IMAGE,
    OCI,
    Image,
    Layout,
    docker_archive,
    file,
    layer,
    layout,
    link,
    load,
    tree,
)

Make = Callable[[Path, Image], Path]

FORMATS: dict[str, Make] = {
    "layout": lambda path, image: layout(path / "layout", image).root,
    "layout in a tar": lambda path, image: layout(path / "layout", image).pack(path / "a.tar"),
    "layout in a tar.gz": lambda path, image: layout(path / "layout", image).pack(path / "a", "w:gz"),
    "docker save": lambda path, image: docker_archive(path / "a.tar", {"shop:v1": image}),
    "docker save | gzip": lambda path, image: docker_archive(path / "a.tgz", {"shop:v1": image}, "w:gz"),
    "docker save | xz": lambda path, image: docker_archive(path / "a.txz", {"shop:v1": image}, "w:xz"),
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_the_same_image(tmp_path: Path, format: str) -> None:
    """Whatever it was saved as, an image is recognised, and has its files, its configuration and its digest."""
    path = FORMATS[format](tmp_path, IMAGE)
    assert kind_of(path) == "archive"
    loaded = load(path)
    assert tree(loaded.root) == {"etc": "755", "etc/motd": "two"}
    config = loaded.config
    assert (config.entrypoint, config.cmd, config.working_dir) == (("/serve",), ("--port", "80"), "/srv")
    assert config.env == {"PATH": "/bin", "EMPTY": "", "BARE": "", "EQ": "a=b"}
    assert (config.user, config.stop_signal, config.volumes) == ("app:staff", "SIGQUIT", ("/data",))
    assert loaded.config_digest.startswith("sha256:")
    assert (loaded.digest == loaded.config_digest) is format.startswith("docker")


def test_what_is_recognised(tmp_path: Path) -> None:
    """A plain directory is a root, a program is a command whatever its name, and an archive one by name or content."""
    (tmp_path / "root").mkdir()
    (tmp_path / "tar").write_text("#!/bin/sh\n")
    (tmp_path / "empty").touch()
    (tmp_path / "zeros").write_bytes(bytes(1024))
    (tmp_path / "broken").write_bytes(b"\x1f\x8b\x08broken")
    (tmp_path / "broken.tgz").write_bytes(b"\x1f\x8b\x08broken")
    (tmp_path / "image").write_bytes(layer(file("x")))
    found = {path.name: kind_of(path) for path in [*tmp_path.iterdir(), tmp_path / "missing", tmp_path / "missing.tar"]}
    assert {name for name, kind in found.items() if kind == "archive"} == {"broken.tgz", "image", "missing.tar"}
    assert {name for name, kind in found.items() if kind == "root"} == {"root"}


def test_an_image_is_unpacked_once(tmp_path: Path) -> None:
    """Names, formats and images with the same layers share one root; a changed archive is looked at again."""
    store = ImageStore(tmp_path / "store")
    other = Image(layers=IMAGE.layers)
    archive = docker_archive(tmp_path / "a.tar", {"shop:v1": IMAGE, "shop:v2": other})
    plain = layout(tmp_path / "layout", IMAGE).root

    def get(path: Path, name: str) -> Loaded:
        return store.load(path, parse_reference(name), lambda: None)

    first = get(archive, "shop:v1")
    assert get(archive, "shop:v1") is first
    assert {get(archive, "shop:v2").root, get(plain, "x").root} == {first.root}
    assert get(archive, "shop:v2").config.entrypoint == ()
    docker_archive(archive, {"shop:v1": Image(layers=(layer(file("new")),))})
    assert tree(get(archive, "shop:v1").root) == {"new": ""}
    assert tree(first.root) == {"etc": "755", "etc/motd": "two"}, "who still runs on the old one keeps it"
    store.remove()
    assert not (tmp_path / "store").exists()


def can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def test_zstd_is_read_or_refused_by_name(tmp_path: Path) -> None:
    """A layer with zstd is unpacked where a library can, else the message says which one would."""
    content = layer(file("a", "b"))
    frame = bytes.fromhex("28b52ffd") + b"\xa0" + len(content).to_bytes(4, "little")  # one raw block, no checksum
    frame += (len(content) << 3 | 1).to_bytes(3, "little") + content
    made = Layout(tmp_path / "layout")
    packed = made.blob(frame, f"{OCI}.layer.v1.tar+zstd")
    made.add(made.manifest(Image(layers=(content,)), layers=[packed]))
    if any(map(can_import, ("compression.zstd", "backports.zstd", "zstandard"))):
        assert tree(load(made.root).root) == {"a": "b"}
        return
    with pytest.raises(BadImage, match="with zstd, which this Python cannot read: install the package zstandard"):
        load(made.root)


def test_a_store_for_what_cannot_be_mounted_read_only(tmp_path: Path) -> None:
    """There nobody may write, and the store can be removed all the same."""
    made = layout(tmp_path / "layout", Image(layers=(layer(file("a/b", mode=0o666), link("c", "a")),)))
    store = ImageStore(tmp_path / "store", read_only=True)
    root = store.load(made.root, parse_reference("x"), lambda: None).root
    modes = [stat.S_IMODE((root / name).stat().st_mode) for name in (".", "a", "a/b")]
    assert modes == [0o555, 0o555, 0o444]
    store.remove()
    assert not (tmp_path / "store").exists()


def test_a_bad_image_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, its complaint is known; a changed one gets another chance, as does one that found no room."""
    store = ImageStore(tmp_path / "store")
    path = docker_archive(tmp_path / "a.tar", {"a:b": IMAGE})
    good = path.read_bytes()
    path.write_bytes(good.replace(b"two", b"twp"))
    reference = parse_reference("x")
    first: list[int] = []
    second: list[int] = []
    for looks in (first, second):
        with pytest.raises(BadImage, match="unexpected digest"):
            store.load(path, reference, partial(looks.append, 1))
    assert first
    assert not second
    path.write_bytes(good + bytes(512))
    monkeypatch.setattr(Unpacker, "finish", fail_for_want_of_room)
    with pytest.raises(BadImage, match="No space left on device"):
        store.load(path, reference, lambda: None)
    monkeypatch.undo()
    assert tree(store.load(path, reference, lambda: None).root) == {"etc": "755", "etc/motd": "two"}


def fail_for_want_of_room(unpacker: Unpacker) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_loading_can_be_given_up(tmp_path: Path) -> None:
    """Whoever waits may end it at any step; the next one begins anew."""
    made = layout(tmp_path / "layout", IMAGE)
    store = ImageStore(tmp_path / "store")
    steps = 0

    def check() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.load(made.root, parse_reference("x"), check)
    assert list((tmp_path / "store").iterdir()) == []
    assert tree(store.load(made.root, parse_reference("x"), check).root) == {"etc": "755", "etc/motd": "two"}


def test_recognition_does_not_read_all(tmp_path: Path) -> None:
    """A file is told from its first block."""
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(layer(file("a", bytes(1 << 20)))))
    assert kind_of(path) == "archive"

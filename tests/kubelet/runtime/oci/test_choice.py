"""The image that is meant is found among several, for this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.oci.choice import Named, Platform, choose_platform
from tests.kubelet.runtime.oci.building import (
    IMAGE,
    Image,
    Layout,
    docker_archive,
    file,
    layer,
    load,
    tree,
)


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("registry.example/team/shop:v1", "one"),
        ("shop:v2", "two"),
        ("anything:v2", "two"),
        ("other/db:v1", "db"),
        ("shop:v1", "one"),
        ("anything:v1", "not found: it has several images: "),
        ("shop:v3", "not found: it has several images: "),
        ("shop", "not found: it has several images: "),
    ],
)
def test_a_tag_chooses_among_several(tmp_path: Path, asked: str, got: str) -> None:
    """The full name goes before the last part with the tag, that before the tag; what is ambiguous is not guessed."""
    names = {"registry.example/team/shop:v1": "one", "registry.example/team/shop:v2": "two", "db:v1": "db"}
    archive = docker_archive(
        tmp_path / "a.tar", {name: Image(layers=(layer(file("is", text)),)) for name, text in names.items()}
    )
    if got.startswith("not found"):
        with pytest.raises(BadImage, match=got):
            load(archive, asked)
    else:
        assert tree(load(archive, asked).root) == {"is": got}


def test_digests_choose_and_are_checked(tmp_path: Path) -> None:
    """An image may be asked for by its manifest's digest or its index's; another digest is not found."""
    made = Layout(tmp_path / "layout")
    manifest = made.manifest(IMAGE)
    index = made.add(made.index(manifest), "v1")
    for known in (manifest["digest"], index["digest"]):
        assert load(made.root, f"shop@{known}").digest == manifest["digest"]
    with pytest.raises(BadImage, match="not found: the digest of its manifest is"):
        load(made.root, "shop@sha256:" + "0" * 64)


def test_an_index_has_one_for_this_machine(tmp_path: Path) -> None:
    """Among platforms the machine's own is taken, attestations are none; without it the others are named."""
    made = Layout(tmp_path / "layout")
    others = [made.manifest(Image(layers=(layer(file(name)),), architecture=name)) for name in ("s390x", "riscv64")]
    own = made.manifest(IMAGE)
    attestation = {**own, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    made.add(made.index(*others, own, {**attestation, "platform": {"os": "unknown", "architecture": "unknown"}}))
    assert "etc/motd" in tree(load(made.root).root)
    foreign = Layout(tmp_path / "foreign")
    foreign.add(foreign.index(*[foreign.manifest(Image(architecture=name)) for name in ("s390x", "riscv64")]))
    with pytest.raises(BadImage, match="it is for linux/riscv64, linux/s390x, and this machine is linux/"):
        load(foreign.root)


def test_a_single_image_for_another_machine(tmp_path: Path) -> None:
    """An image that only its configuration says to be for another machine or system is refused as well."""
    for number, image in enumerate((Image(architecture="s390x"), Image(os="windows"))):
        made = Layout(tmp_path / str(number))
        descriptor = made.manifest(image)
        del descriptor["platform"]
        made.add(descriptor)
        with pytest.raises(BadImage, match=f"it is for {image.os}/{image.architecture}, and this machine is linux/"):
            load(made.root)
        archive = docker_archive(tmp_path / f"{number}.tar", {"a:b": image})
        with pytest.raises(BadImage, match="no match for platform"):
            load(archive)


@pytest.mark.parametrize(
    ("machine", "offered", "chosen"),
    [
        ("linux/amd64", "linux/arm64 linux/amd64", 1),
        ("linux/amd64", "linux/amd64/v3 linux/amd64", 1),
        ("linux/amd64", "linux/amd64/v3", None),
        ("linux/amd64", "windows/amd64", None),
        ("linux/amd64", "- linux/amd64", 1),
        ("linux/amd64", "linux/arm64 -", 1),
        ("linux/arm64", "linux/arm/v7 linux/arm64/v8", 1),
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm/v8", 1),
        ("linux/arm/v6", "linux/arm/v7", None),
    ],
)
def test_platforms(machine: str, offered: str, chosen: int | None) -> None:
    """The machine's system and architecture, the nearest variant that it can run; what does not say may be."""
    entries = [
        Named(str(number), (), "", None if text == "-" else Platform(*text.split("/")))
        for number, text in enumerate(offered.split())
    ]
    if chosen is None:
        with pytest.raises(BadImage, match="no match for platform"):
            choose_platform(entries, Platform(*machine.split("/")), "index")
    else:
        assert choose_platform(entries, Platform(*machine.split("/")), "index").digest == str(chosen)

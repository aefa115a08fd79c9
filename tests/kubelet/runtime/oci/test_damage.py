"""What is damaged, hostile or not supported is said, with its place."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.oci.config import image_config
from tests.kubelet.runtime.oci.building import (
    IMAGE,
    OCI,
    Layout,
    docker_archive,
    entry,
    layout,
    load,
)


def rewritten(made: Layout, name: str, **changes: Any) -> Path:
    document = json.loads((made.root / name).read_text())
    (made.root / name).write_text(json.dumps({**document, **changes}))
    return made.root


BAD_DOCUMENTS: dict[str, tuple[Callable[[Layout], object], str]] = {
    "version": (
        lambda made: rewritten(made, "oci-layout", imageLayoutVersion="2"),
        "unsupported imageLayoutVersion '2'",
    ),
    "no index": (lambda made: (made.root / "index.json").unlink(), "index.json: No such file"),
    "no JSON": (lambda made: (made.root / "index.json").write_text("{"), "index.json: it is not JSON"),
    "deep JSON": (lambda made: (made.root / "index.json").write_text("[" * 100_000), "index.json: it is not JSON"),
    "a list": (lambda made: (made.root / "index.json").write_text("[]"), "index.json: it must be an object"),
    "no manifests": (lambda made: rewritten(made, "index.json", manifests=None), "manifests: it must be a list"),
    "empty": (lambda made: rewritten(made, "index.json", manifests=[]), "it has no image"),
    "no digest": (lambda made: rewritten(made, "index.json", manifests=[{}]), "invalid digest ''"),
    "traversal": (
        lambda made: rewritten(made, "index.json", manifests=[{"digest": "sha256:../../../etc/passwd"}]),
        "invalid digest",
    ),
    "algorithm": (
        lambda made: rewritten(made, "index.json", manifests=[{"digest": "md5:" + "0" * 32}]),
        "unsupported algorithm: known are sha256, sha512",
    ),
    "huge": (lambda made: (made.root / "index.json").write_bytes(bytes(5 << 20)), "the limit for a document"),
    "missing": (
        lambda made: rewritten(
            made, "index.json", manifests=[{"digest": "sha256:" + "0" * 64, "mediaType": f"{OCI}.manifest.v1+json"}]
        ),
        "blobs/sha256/0+: No such file",
    ),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_documents(tmp_path: Path, case: str) -> None:
    """Whatever is wrong with a layout's documents is said with its place."""
    made = layout(tmp_path / "layout", IMAGE)
    BAD_DOCUMENTS[case][0](made)
    with pytest.raises(BadImage, match=BAD_DOCUMENTS[case][1]):
        load(made.root)


def test_kinds_that_are_no_images(tmp_path: Path) -> None:
    """Artifacts, encrypted layers, old schemas and unknown manifests are refused by name."""
    schema1 = "application/vnd.docker.distribution.manifest.v1+json"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"artifactType": "application/vnd.x"}, "it is an artifact of type 'application/vnd.x', not an image"),
        ({"mediaType": schema1}, f"unsupported media type '{re.escape(schema1)}'"),
        ({"layers": None}, "layers: it must be a list"),
        ({"layers": []}, "it has 0 layers, and its configuration names 2"),
    ]
    for number, (changes, said) in enumerate(cases):
        made = Layout(tmp_path / str(number))
        if "artifactType" in changes:
            changes["config"] = made.blob(b"{}", "application/vnd.oci.empty.v1+json")
        made.add(made.manifest(IMAGE, **changes))
        with pytest.raises(BadImage, match=said):
            load(made.root)
    made = Layout(tmp_path / "encrypted")
    encrypted = made.blob(b"x", f"{OCI}.layer.v1.tar+gzip+encrypted")
    made.add(made.manifest(IMAGE, layers=[encrypted, encrypted]))
    with pytest.raises(BadImage, match="encrypted"):
        load(made.root)


def blobs_of(made: Layout) -> list[Path]:
    return sorted((made.root / "blobs/sha256").iterdir())


def test_every_digest_is_checked(tmp_path: Path) -> None:
    """One byte more in any blob, or a compressed one cut short, is noticed, and nothing is left of the attempt."""
    for number in range(len(blobs_of(layout(tmp_path / "count", IMAGE)))):
        made = layout(tmp_path / str(number), IMAGE)
        blob = blobs_of(made)[number]
        blob.write_bytes(blob.read_bytes() + b" ")
        with pytest.raises(BadImage, match=r"unexpected digest|damaged"):
            load(made.root)
        assert list((tmp_path / "store").iterdir()) == []
        whole = blob.read_bytes()[:-1]
        blob.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadImage, match=r"unexpected digest|damaged"):
            load(made.root)
        assert list((tmp_path / "store").iterdir()) == []


def test_the_content_of_a_layer_is_checked(tmp_path: Path) -> None:
    """Docker's archives name the content only: another one is noticed there, too, as is a configuration's."""
    archive = docker_archive(tmp_path / "a.tar", {"a:b": IMAGE})
    archive.write_bytes(archive.read_bytes().replace(b"two", b"twp"))
    with pytest.raises(BadImage, match=r"layer sha256:.*: unexpected digest"):
        load(archive)
    docker_archive(archive, {"a:b": IMAGE})
    archive.write_bytes(archive.read_bytes().replace(b"--port", b"--PORT"))
    with pytest.raises(BadImage, match=r"config .*json: unexpected digest"):
        load(archive)


def test_archives_cut_short(tmp_path: Path) -> None:
    """Wherever an archive ends too early, plain or compressed, there is a complaint."""
    plain = docker_archive(tmp_path / "a.tar", {"a:b": IMAGE}).read_bytes().rstrip(b"\0")
    packed = gzip.compress(plain, mtime=0)
    for data in (plain, packed):
        for part in range(1, 10):
            (tmp_path / "cut.tar").write_bytes(data[: len(data) * part // 11])
            with pytest.raises(BadImage):
                load(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(b"")
    with pytest.raises(BadImage, match="it is no tar"):
        load(tmp_path / "cut.tar")
    with pytest.raises(BadImage, match=r"missing\.tar: No such file"):
        load(tmp_path / "missing.tar")


def test_names_in_an_archive_stay_in_it(tmp_path: Path) -> None:
    """manifest.json cannot name a file of the machine, by path or by link."""
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    for name in (str(secret), "../secret.json", "link.json"):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            listing = json.dumps([{"Config": name, "RepoTags": ["a:b"], "Layers": []}]).encode()
            tar.addfile(entry("manifest.json", size=len(listing)), io.BytesIO(listing))
            tar.addfile(entry("link.json", type=tarfile.SYMTYPE, linkname=str(secret)))
        with pytest.raises(BadImage, match=r"not found in the archive|leads out of the image"):
            load(tmp_path / "a.tar")


@pytest.mark.parametrize(
    "config",
    [
        "text",
        {"Entrypoint": "sh"},
        {"Env": [1]},
        {"WorkingDir": 1},
        {"Volumes": ["/x"]},
        {"StopSignal": "SIGNOPE"},
        {"Cmd": ["\ud800"]},
        {"WorkingDir": "/a\0b"},
        {"Volumes": {"\udfff": {}}},
    ],
)
def test_bad_configurations(config: Any) -> None:
    """A configuration of the wrong shape is refused with the field."""
    with pytest.raises(BadImage, match="its configuration"):
        image_config({"config": config})
    assert image_config({"config": None}) == image_config({})

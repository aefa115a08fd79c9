"""Builds images as files, honest ones and others, with nothing but tarfile."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from minik8s.kubelet.runtime.oci.manifest import this_platform
from minik8s.kubelet.runtime.oci.store import ImageStore, Loaded
from minik8s.kubelet.runtime.references import parse_reference

OCI = "application/vnd.oci.image"


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    """A tar entry; `type` and the like as TarInfo has them."""
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def file(name: str, content: str | bytes = "", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    data = content.encode() if isinstance(content, str) else content
    return entry(name, size=len(data), **{"mode": 0o644, **fields}), data


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **fields}), b""


def link(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, linkname=target, **{"type": tarfile.SYMTYPE, **fields}), b""


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return link(name, target, type=tarfile.LNKTYPE)


def layer(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A layer's tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def tools_layer(*tools: str) -> bytes:
    """A layer with tools of this machine in /bin, and the libraries that they need."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        added = set()
        for tool in tools:
            program = shutil.which(tool)
            assert program is not None
            listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            tar.add(program, f"bin/{tool}")
            for library in {word for word in listing.split() if word.startswith("/")} - added:
                tar.add(library, library.lstrip("/"))
                added.add(library)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@attrs.define
class Image:
    """An image to be saved; `config` is its process's, `layers` are tars."""

    layers: Sequence[bytes] = ()
    config: Mapping[str, Any] = attrs.field(factory=dict)
    architecture: str = attrs.field(factory=lambda: this_platform().architecture)
    os: str = "linux"
    compress: bool = True

    def document(self) -> bytes:
        ids = [digest(data) for data in self.layers]
        root = {"type": "layers", "diff_ids": ids}
        config = {"architecture": self.architecture, "os": self.os, "config": self.config, "rootfs": root}
        return json.dumps(config).encode()


class Layout:
    """An OCI layout in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "blobs" / "sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Stores a blob; answers its descriptor."""
        (self.root / "blobs" / "sha256" / digest(data).partition(":")[2]).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def manifest(self, image: Image, **changes: Any) -> dict[str, Any]:
        """Stores an image; answers its manifest's descriptor, with the platform."""
        kind = "v1.tar+gzip" if image.compress else "v1.tar"
        packed = [gzip.compress(data, 1, mtime=0) if image.compress else data for data in image.layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self.blob(image.document(), f"{OCI}.config.v1+json"),
            "layers": [self.blob(data, f"{OCI}.layer.{kind}") for data in packed],
            **changes,
        }
        platform = {"os": image.os, "architecture": image.architecture}
        return {**self.blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json"), "platform": platform}

    def index(self, *entries: dict[str, Any]) -> dict[str, Any]:
        """Stores an index of images; answers its descriptor."""
        document = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": entries}
        return self.blob(json.dumps(document).encode(), f"{OCI}.index.v1+json")

    def add(self, descriptor: dict[str, Any], name: str = "") -> dict[str, Any]:
        """Lists a manifest or an index under a name."""
        if name:
            descriptor = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        self.entries.append(descriptor)
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.entries}))
        return descriptor

    def pack(self, path: Path, mode: str = "w") -> Path:
        """The layout as a tar."""
        with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
            tar.add(self.root, ".")
        return path


def layout(root: Path, image: Image, name: str = "") -> Layout:
    """A layout with one image."""
    made = Layout(root)
    made.add(made.manifest(image), name)
    return made


def docker_archive(path: Path, images: Mapping[str, Image], mode: str = "w") -> Path:
    """What `docker save` wrote before it wrote layouts; equal layers of a second image are links."""
    known: dict[str, str] = {}
    listing = []
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]

        def add(name: str, data: bytes) -> None:
            tar.addfile(entry(name, size=len(data)), io.BytesIO(data))

        for number, (name, image) in enumerate(images.items()):
            names = []
            for index, data in enumerate(image.layers):
                place = f"{number}{index}/layer.tar"
                if (other := known.get(digest(data))) is not None:
                    tar.addfile(entry(place, type=tarfile.SYMTYPE, linkname=f"../{other}"))
                else:
                    add(place, data)
                    known[digest(data)] = place
                names.append(place)
            config = digest(image.document()).partition(":")[2] + ".json"
            add(config, image.document())
            listing.append({"Config": config, "RepoTags": [name], "Layers": names})
        add("manifest.json", json.dumps(listing).encode())
    return path


def load(path: Path, name: str = "shop", directory: Path | None = None, **options: Any) -> Loaded:
    store = ImageStore(directory or path.parent / "store", **options)
    return store.load(path, parse_reference(name), lambda: None)


def tree(root: Path) -> dict[str, str]:
    """What is below `root`: a file's content, a link's target after `->`, a directory's mode."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"->{path.readlink()}"
        elif path.is_dir():
            found[name] = f"{stat.S_IMODE(path.stat().st_mode):o}"
        else:
            found[name] = path.read_text()
    return found


IMAGE = Image(
    layers=(layer(file("etc/motd", "one"), file("gone", "x")), layer(file("etc/motd", "two"), file(".wh.gone"))),
    config={
        "Entrypoint": ["/serve"],
        "Cmd": ["--port", "80"],
        "Env": ["PATH=/bin", "EMPTY=", "BARE", "EQ=a=b"],
        "WorkingDir": "/srv",
        "User": "app:staff",
        "StopSignal": "SIGQUIT",
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
    },
)

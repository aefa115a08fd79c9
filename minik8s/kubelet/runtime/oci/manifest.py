"""Finding an image: from a layout's index, or an archive's list, to one configuration and its layers.

Documents come from strangers, so nothing is taken for granted: what is not as the image-spec says is a BadImage that
names the place. Facts: opencontainers/image-spec (image-layout.md, image-index.md, manifest.md); moby's image/tarexport
for the older `manifest.json`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.oci.choice import Named, Platform, choose_named, choose_platform
from minik8s.kubelet.runtime.oci.streams import check_content, check_digest
from minik8s.kubelet.runtime.references import Reference
from minik8s.machinery.meta import Doc

Read = Callable[[str], bytes]
"""The content of a small file of the image. Raises BadImage."""

LAYOUT, INDEX, ARCHIVE = "oci-layout", "index.json", "manifest.json"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYERS = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
)
_ATTESTATION = "vnd.docker.reference.type"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MAX_DEPTH = 4
_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "i686": "386", "i386": "386"}


@attrs.frozen
class Layer:
    """One layer: where it lies, its own digest ("" when nobody says) and that of the tar in it."""

    name: str
    digest: str
    diff_id: str


@attrs.frozen
class Found:
    """An image. `digests` are those that it may be asked for by, its manifest's last; `config` is a JSON document."""

    config_digest: str
    config: Doc
    layers: tuple[Layer, ...]
    digests: tuple[str, ...] = ()


def this_platform() -> Platform:
    """What containers of this machine can run."""
    machine = platform.machine()
    if machine.startswith("armv"):
        return Platform("linux", "arm", "v" + machine[4:5])
    return Platform("linux", _ARCHITECTURES.get(machine, machine.lower()))


def find_image(read: Read, has: Callable[[str], bool], wanted: Reference, machine: Platform) -> Found:
    """The image that `wanted` means, for this machine. Raises BadImage."""
    if has(LAYOUT):
        return _find_in_layout(read, wanted, machine)
    if has(ARCHIVE):
        return _find_in_archive(read, wanted, machine)
    raise BadImage(f"it is no image: it has neither {LAYOUT} nor {ARCHIVE}")


def _find_in_layout(read: Read, wanted: Reference, machine: Platform) -> Found:
    version = _document(read(LAYOUT), LAYOUT).get("imageLayoutVersion")
    if version != "1.0.0":
        raise BadImage(f"{LAYOUT}: unsupported imageLayoutVersion {version!r}")
    entries = _entries(_document(read(INDEX), INDEX), INDEX)
    named = choose_named(entries, wanted)
    path: list[str] = []
    entry = choose_platform(named, machine, INDEX)
    for _ in range(_MAX_DEPTH):
        path.append(entry.digest)
        document = _blob(read, entry.digest)
        media_type = str(document.get("mediaType") or entry.media_type)
        if media_type in _INDEXES:
            entry = choose_platform(_entries(document, entry.digest), machine, entry.digest)
        elif media_type in _MANIFESTS:
            return _by_digest(_image(read, document, tuple(path), machine), wanted)
        else:
            raise BadImage(f"manifest {entry.digest}: unsupported media type {media_type!r}")
    raise BadImage(f"{INDEX}: indexes are nested deeper than {_MAX_DEPTH}")


def _by_digest(found: Found, wanted: Reference) -> Found:
    if wanted.digest and wanted.digest not in found.digests:
        raise BadImage(f"{wanted.digest}: not found: the digest of its manifest is {found.digests[-1]}")
    return found


def _image(read: Read, manifest: Doc, digests: tuple[str, ...], machine: Platform) -> Found:
    where = f"manifest {digests[-1]}"
    config = _descriptor(manifest.get("config"), where)
    if config["mediaType"] not in _CONFIGS:
        kind = manifest.get("artifactType") or config["mediaType"]
        raise BadImage(f"{where}: it is an artifact of type {kind!r}, not an image")
    document = _blob(read, config["digest"])
    _check_machine(document, machine, where)
    layers = [_descriptor(layer, where) for layer in _list(manifest.get("layers"), f"{where}: layers")]
    for layer in layers:
        media_type = str(layer["mediaType"])
        if not media_type.startswith(_LAYERS) or "encrypted" in media_type:
            raise BadImage(f"{where}: unsupported media type {media_type!r} of layer {layer['digest']}")
    names = [(_path(layer["digest"]), str(layer["digest"])) for layer in layers]
    return Found(config["digest"], document, _layers(document, names, where), digests)


def _find_in_archive(read: Read, wanted: Reference, machine: Platform) -> Found:
    images = _list(_parsed(read(ARCHIVE), ARCHIVE), ARCHIVE)
    entries = []
    for number, image in enumerate(images):
        names = _list(_mapping(image, ARCHIVE).get("RepoTags") or [], f"{ARCHIVE}: RepoTags")
        entries.append(Named(str(number), tuple(map(str, names)), "", None))
    chosen = images[int(choose_named(entries, attrs.evolve(wanted, digest=""))[0].digest)]
    name = str(chosen.get("Config") or "")
    content = read(name)
    stem = name.rpartition("/")[2].removesuffix(".json")
    digest = check_digest(f"sha256:{stem}")
    check_content(content, digest, f"config {name}")
    document = _mapping(_parsed(content, name), name)
    _check_machine(document, machine, ARCHIVE)
    paths = [(str(path), "") for path in _list(chosen.get("Layers") or [], f"{ARCHIVE}: Layers")]
    return _by_digest(Found(digest, document, _layers(document, paths, ARCHIVE), (digest,)), wanted)


def _layers(config: Doc, names: Sequence[tuple[str, str]], where: str) -> tuple[Layer, ...]:
    """The layers with what their content must be, which only the configuration says."""
    root = _mapping(config.get("rootfs") or {}, f"{where}: rootfs of the configuration")
    ids = [check_digest(str(digest)) for digest in _list(root.get("diff_ids") or [], f"{where}: diff_ids")]
    if len(ids) != len(names):
        raise BadImage(f"{where}: it has {len(names)} layers, and its configuration names {len(ids)}")
    return tuple(Layer(name, digest, diff_id) for (name, digest), diff_id in zip(names, ids, strict=True))


def _check_machine(config: Doc, machine: Platform, where: str) -> None:
    own = Platform(str(config.get("os") or "linux"), str(config.get("architecture") or machine.architecture))
    if (own.os, own.architecture) != (machine.os, machine.architecture):
        raise BadImage(f"no match for platform in {where}: not found: it is for {own}, and this machine is {machine}")


def _blob(read: Read, digest: str) -> Doc:
    content = read(_path(digest))
    check_content(content, digest, f"blob {digest}")
    return _document(content, f"blob {digest}")


def _path(digest: str) -> str:
    algorithm, _, text = check_digest(digest).partition(":")
    return f"blobs/{algorithm}/{text}"


def _entries(index: Doc, where: str) -> list[Named]:
    """What an index has, without the attestations of a builder."""
    entries = []
    for item in _list(index.get("manifests"), f"{where}: manifests"):
        descriptor = _descriptor(item, where)
        annotations = _mapping(descriptor.get("annotations") or {}, f"{where}: annotations")
        if _ATTESTATION not in annotations:
            names = tuple(str(annotations[key]) for key in _NAMES if annotations.get(key))
            platform_ = _platform(descriptor.get("platform"), where)
            entries.append(Named(descriptor["digest"], names, str(descriptor["mediaType"]), platform_))
    return entries


def _platform(value: Any, where: str) -> Platform | None:
    if value is None:
        return None
    given = _mapping(value, f"{where}: platform")
    return Platform(*(str(given.get(key) or "") for key in ("os", "architecture", "variant")))


def _descriptor(value: Any, where: str) -> Doc:
    descriptor = _mapping(value, f"{where}: a descriptor")
    check_digest(str(descriptor.get("digest") or ""))
    if not isinstance(descriptor.get("mediaType"), str):
        raise BadImage(f"{where}: a descriptor has no mediaType")
    return descriptor


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{where}: it is not JSON: {error}") from error


def _document(content: bytes, where: str) -> Doc:
    return _mapping(_parsed(content, where), where)


def _mapping(value: Any, where: str) -> Doc:
    if not isinstance(value, dict):
        raise BadImage(f"{where}: it must be an object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadImage(f"{where}: it must be a list")
    return value

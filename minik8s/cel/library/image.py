"""Image references. Upstream: k8s.io/apiserver `pkg/cel/library/image.go`, go-containerregistry `pkg/name`."""

from __future__ import annotations

import re

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Opaque

DEFAULT_REGISTRY = "index.docker.io"
_REPOSITORY = re.compile(r"[a-z0-9_\-./]{2,255}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_\-.]{1,128}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_REGISTRY = re.compile(r"(?:[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?", re.ASCII)


@attrs.frozen
class Image(Opaque):
    """A parsed reference; `tag` is "" when there is a digest."""

    text: str
    registry: str
    repository: str
    tag: str
    digest: str

    cel_name = "kubernetes.Image"

    def __str__(self) -> str:
        return self.text


def _image(text: str) -> Image:
    base, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise EvaluationError(f"could not parse reference: {text}")
    head, colon, tag = base.rpartition(":")
    if not colon or "/" in tag:
        head, tag = base, ""
    registry, slash, repository = head.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = "", head
    if (
        not _REPOSITORY.fullmatch(repository)
        or "" in repository.split("/")
        or (registry and not _REGISTRY.fullmatch(registry))
    ):
        raise EvaluationError(f"could not parse reference: {text}")
    if tag and not _TAG.fullmatch(tag):
        raise EvaluationError(f"could not parse reference: {text}")
    if registry in ("", "docker.io", DEFAULT_REGISTRY):
        registry = DEFAULT_REGISTRY
        repository = repository if "/" in repository else f"library/{repository}"
    return Image(text, registry, repository, "" if digest else tag or "latest", digest)


def _is_image(text: str) -> bool:
    try:
        _image(text)
    except EvaluationError:
        return False
    return True


_I = Image.cel_name
FUNCTIONS = table(
    [
        ("image", f"(string) -> {_I}", _image),
        ("isImage", "(string) -> bool", _is_image),
        ("containsDigest", f"{_I}.() -> bool", lambda image: image.digest != ""),
        ("registry", f"{_I}.() -> string", lambda image: image.registry),
        ("repository", f"{_I}.() -> string", lambda image: image.repository),
        ("identifier", f"{_I}.() -> string", lambda image: image.digest or image.tag),
        ("tag", f"{_I}.() -> string", lambda image: image.tag),
        ("digest", f"{_I}.() -> string", lambda image: image.digest),
    ]
)

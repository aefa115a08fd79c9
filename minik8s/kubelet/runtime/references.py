"""Image references: how a name is written in full, and what a registry says that does not have it.

References are normalised as upstream does (`distribution/reference`), so `busybox`, `docker.io/library/busybox:latest`
and `index.docker.io/busybox` are one name.
"""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from minik8s.kubelet.runtime.protocol import ImageError

PYTHON = "python://"
"""What a name begins with that is no reference, but code of this process (see `coroutine`)."""
DEFAULT_DOMAIN = "docker.io"
_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?\Z"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_MAX_NAME = 255


@attrs.frozen
class Reference:
    """A normalised image reference; `str()` is its full name, as containerd and node status write it."""

    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


@lru_cache(maxsize=1024)
def parse_reference(image: str) -> Reference:
    """Normalises `image`: default registry and `library/`, tag `latest` without tag or digest.

    Raises ImageError InvalidImageName with the kubelet's text. Cached, for pods are many and their images few.
    """
    rest, at, digest = image.partition("@")
    if at and not _DIGEST.match(digest):
        raise _invalid(image, "invalid reference format")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, colon, tag = rest, "", ""
    if colon and not _TAG.match(tag):
        raise _invalid(image, "invalid reference format")
    domain, slash, path = head.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, path = DEFAULT_DOMAIN, head
    if domain in (DEFAULT_DOMAIN, "index.docker.io"):
        domain, path = DEFAULT_DOMAIN, path if "/" in path else f"library/{path}"
    if path.lower() != path:
        raise _invalid(image, f"invalid reference format: repository name ({path}) must be lowercase")
    if not _DOMAIN.match(domain) or not all(map(_COMPONENT.match, path.split("/"))):
        raise _invalid(image, "invalid reference format")
    if len(path) > _MAX_NAME:
        raise _invalid(image, f"repository name must not be more than {_MAX_NAME} characters")
    return Reference(f"{domain}/{path}", tag if tag or digest else "latest", digest)


def _invalid(image: str, why: str) -> ImageError:
    message = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'
    return ImageError("InvalidImageName", message)


def not_found(reference: Reference) -> ImageError:
    """What containerd says of an image that its registry does not have."""
    message = (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
        f"{reference}: not found"
    )
    return ImageError("ErrImagePull", message)

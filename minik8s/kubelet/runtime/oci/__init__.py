"""Images on disk: OCI image layouts and `docker save` archives, read, verified and unpacked without any tool.

The counterpart of what containerd does between a registry and a container (image-spec: image-layout.md, layer.md).
`recognition` tells what a path holds; `blobs` gives access to the parts, in a directory or inside a tar; `manifest`
finds the image that a reference means and the platform of this machine; `config` is what an image says of its process;
`streams` and `layers` unpack, and check every digest on the way; `store` keeps what is unpacked, once per content.

An image's author is a stranger: nothing of it is written outside of its directory, and sizes, counts and header lengths
have limits (`layers.MAX_BYTES`, `layers.MAX_ENTRIES`). Whatever is wrong with it is a `BadImage` that says so.

Left out, since nobody without root can have them: owners (every file belongs to whoever runs the cluster, who is a
container's only user), device nodes (a container has a /dev of its own) and extended attributes. All layers of an image
are one tree: two images with the same base have it twice on the disk.
"""

from __future__ import annotations

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.xz", ".txz", ".tar.bz2", ".oci")
"""Names that only archives have: one that is missing or damaged is still no command."""


class BadImage(Exception):
    """What is wrong with an image; the text goes on after `failed to pull and unpack image "<name>": `."""


class NoRoom(BadImage):
    """It may be a good image, but this machine cannot take it now."""

"""Tar headers of strangers: what tarfile would believe blindly is checked here."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

MAX_EXTENSION = 1 << 20
"""Bytes of an extended header (long names, pax records), which is read into memory."""
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Header(tarfile.TarInfo):
    """Refuses sizes that no honest archive has."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if any(buf):  # tarfile would take it for the end
                raise tarfile.ReadError(str(error)) from error
            raise
        if header.size < 0:
            raise tarfile.ReadError(f"an entry of {header.size} bytes")
        if header.type in _EXTENSIONS and header.size > MAX_EXTENSION:
            raise tarfile.ReadError(f"an extended header of {header.size} bytes")
        return header


def headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The entries one by one; the tar does not remember them. Raises TarError for one that leads backwards."""
    last = -1
    while (member := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # undocumented, and there since the beginning
        if member.size < 0 or member.offset <= last:
            raise tarfile.ReadError(f"{member.name!r} is an entry of {member.size} bytes")
        last = member.offset
        yield member

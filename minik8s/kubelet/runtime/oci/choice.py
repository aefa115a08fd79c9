"""Which of the images on disk is meant: by the name and tag that was asked for, and by what this machine can run."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.protocol import ImageError
from minik8s.kubelet.runtime.references import Reference, parse_reference

_PLAIN = {"amd64": "v1", "arm64": "v8"}
"""The variant that an architecture has when nobody says which."""


@attrs.frozen
class Platform:
    """As Go names it; `variant` may be ""."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@attrs.frozen
class Named:
    """An entry of an index or list: the names that it was saved under, and what it is for (None: it does not say)."""

    digest: str
    names: tuple[str, ...]
    media_type: str
    platform: Platform | None


def choose_named(entries: Sequence[Named], wanted: Reference) -> Sequence[Named]:
    """The entries that are the image that was asked for, one for each platform. Raises BadImage.

    A single image is meant by every tag, since whoever registered the archive has named it. Among several a full name
    goes before the last part of one with its tag, and that before the tag alone.
    """
    if not entries:
        raise BadImage("it has no image")
    if wanted.digest and (same := [entry for entry in entries if entry.digest == wanted.digest]):
        return same
    if len({name for entry in entries for name in entry.names}) <= 1 or len({entry.digest for entry in entries}) == 1:
        return entries
    for rank in range(3):
        matching = [
            (_key(name, 0) or name, entry)
            for entry in entries
            for name in entry.names
            if _key(name, rank) == _asked(wanted, rank)
        ]
        if len({name for name, _ in matching}) == 1:
            return [entry for _, entry in matching]
    names = sorted({name for entry in entries for name in entry.names})
    raise BadImage(f"not found: it has several images: {', '.join(names)}")


def _asked(wanted: Reference, rank: int) -> str:
    tag = wanted.tag or "latest"
    return (f"{wanted.repository}:{tag}", f"{wanted.repository.rpartition('/')[2]}:{tag}", tag)[rank]


def _key(name: str, rank: int) -> str:
    """A saved name to be compared at a rank, "" where it has nothing to compare; layouts often say the tag only."""
    if ":" not in name and "/" not in name:
        return name if rank == 2 else ""
    try:
        return _asked(parse_reference(name), rank)
    except ImageError:
        return ""


def choose_platform(entries: Sequence[Named], machine: Platform, where: str) -> Named:
    """The entry for this machine, the nearest variant first; one that does not say may be. Raises BadImage."""
    ranked = [(rank, entry) for entry in entries if (rank := _fitness(entry.platform, machine)) is not None]
    if not ranked:
        found = sorted({str(entry.platform) for entry in entries})
        has = f"it is for {', '.join(found)}" if found else "it has no image"
        raise BadImage(f"no match for platform in {where}: not found: {has}, and this machine is {machine}")
    return min(ranked, key=lambda pair: pair[0])[1]


def _fitness(platform: Platform | None, machine: Platform) -> int | None:
    """How well a platform fits, 0 best; None when it does not."""
    if platform is None:
        return 100
    if (platform.os, platform.architecture) != (machine.os, machine.architecture):
        return None
    if machine.architecture == "arm":
        ours, theirs = _number(machine.variant), _number(platform.variant)
        return ours - theirs if theirs <= ours else None
    plain = _PLAIN.get(machine.architecture, "")
    return 0 if platform.variant in ("", plain, machine.variant) else None


def _number(variant: str) -> int:
    digits = variant.removeprefix("v")
    return int(digits) if digits.isdecimal() else 7

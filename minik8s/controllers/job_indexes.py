"""Completion indexes of an Indexed Job: which one a pod has, and sets of them as text (`0-2,4`).

Pure. Upstream: `pkg/controller/job/indexed_job_utils.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import groupby

from minik8s.machinery.meta import Doc, annotations_of

INDEX = "batch.kubernetes.io/job-completion-index"


def index_of(pod: Doc) -> int | None:
    """The pod's completion index, None when it has none that can be read."""
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdecimal() else None


def parse_indexes(text: str | None, completions: int) -> frozenset[int]:
    """`0-2,4` as numbers, without those that are no index of the Job."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return frozenset(found)


def format_indexes(indexes: Iterable[int]) -> str:
    """Numbers as `0-2,4`; two neighbours are written `0,1`."""
    parts = []
    for _, run in groupby(enumerate(sorted(indexes)), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        ends = [numbers[0], numbers[-1]] if len(numbers) > 1 else numbers
        parts.append(("-" if len(numbers) > 2 else ",").join(map(str, ends)))
    return ",".join(parts)


def free_indexes(completions: int, *taken: Collection[int]) -> Iterator[int]:
    """The indexes that are in none of these, lowest first."""
    return (index for index in range(completions) if not any(index in some for some in taken))

"""What a client of exec and attach asks for and can say, and how it says the size of its window. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeAlias

import attrs

MAX_SIZE_TEXT = 4096
"""Characters of window sizes that may wait for their end."""


@attrs.frozen
class Wanted:
    """What the client asked for; `command` is empty for attach."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool
    command: tuple[str, ...]

    @property
    def flags(self) -> dict[str, bool]:
        """Those that are set, as the options of the API name them."""
        return {name: True for name in ("stdin", "stdout", "stderr", "tty") if getattr(self, name)}


@attrs.frozen
class Stdin:
    data: bytes


@attrs.frozen
class StdinEnded:
    """Nothing more comes on standard input."""


@attrs.frozen
class Resize:
    """The client's window, in characters."""

    width: int
    height: int


Input: TypeAlias = Stdin | StdinEnded | Resize


class Sizes:
    """Reads JSON objects `{"Width":100,"Height":30}` that follow each other, however they are cut; ignores nonsense."""

    def __init__(self) -> None:
        self._text = ""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> Iterator[Resize]:
        self._text = (self._text + data.decode("latin-1")).lstrip()
        while self._text:
            try:
                value, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError):
                if len(self._text) > MAX_SIZE_TEXT or "}" in self._text:
                    self._text = ""
                return
            self._text = self._text[end:].lstrip()
            if (size := _size(value)) is not None:
                yield size


def _size(value: object) -> Resize | None:
    if not isinstance(value, dict):
        return None
    sizes = {str(name).lower(): number for name, number in value.items()}
    width, height = sizes.get("width"), sizes.get("height")
    if type(width) is int and type(height) is int and 0 < width <= 0xFFFF and 0 < height <= 0xFFFF:
        return Resize(width, height)
    return None

"""Facts about parts of documents, worked out once for each.

Documents are not changed once they are stored, and those that are made alike share their parts
(`apiserver.moulds`): ten thousand pods of a template have one list of containers. What is true of a part is remembered
by which object it is, without looking at what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

R = TypeVar("R")


def remembered(function: Callable[[Any], R], size: int = 1024) -> Callable[[Any], R]:
    """The function of one part of a document, which remembers the results of the last parts.

    What it answers must not be changed either. The parts are kept with their results, as their ids must not come to
    mean others.
    """
    known: dict[int, tuple[Any, R]] = {}

    @wraps(function)
    def remembering(part: Any) -> R:
        found = known.get(id(part))
        if found is None:
            if len(known) >= size:
                known.clear()
            found = known[id(part)] = part, function(part)
        return found[1]

    return remembering

"""What to say to whoever names something that does not exist: what there is, and what they may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 12
"""Names that are listed when there are no more than that."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`there is no node 'node-9'; did you mean 'node-1'? (There are node-1, node-2.)`"""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    close = close or [known for known in names if known.partition(".")[0] == name.partition(".")[0]][:1]
    meant = f"; did you mean {close[0]!r}?" if close else ""
    if not names:
        return f"there is no {what} {name!r}, nor any other"
    return f"there is no {what} {name!r}{meant}" + (f" (there are {', '.join(names)})" if len(names) <= SHOWN else "")

"""The shapes of documents, for type checkers: `types.Pod` and its kin stand in `types.pyi`.

At run time a document is a plain dict, and so is every name of this module.
"""

from __future__ import annotations


def __getattr__(name: str) -> type[dict[str, object]]:
    if name.startswith("_"):
        raise AttributeError(name)
    return dict

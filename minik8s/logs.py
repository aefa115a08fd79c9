"""Loggers that cost nothing until they have something to say.

Importing structlog takes as long as starting a cluster does (it looks for rich, and finds it), and most clusters never
log a line. So the library is imported with the first line that is written. A program that has not configured
structlog is told of warnings and worse only: a library has no business to print its debug lines.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_CHATTER = frozenset({"debug", "info"})


def get_logger(name: str) -> FilteringBoundLogger:
    """structlog's logger of that name, made when it is needed."""
    return cast("FilteringBoundLogger", _LazyLogger(name))


class _LazyLogger:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        structlog = sys.modules.get("structlog")
        if method in _CHATTER and not (structlog and structlog.is_configured()):
            return _drop
        structlog = structlog or importlib.import_module("structlog")
        return getattr(structlog.get_logger(self._name), method)


def _drop(*args: Any, **values: Any) -> None:
    """Where a line goes that nobody has asked for."""

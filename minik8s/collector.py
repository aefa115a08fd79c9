"""Python's cyclic collector, in processes that are ours: one full pass over 100,000 pods would take seconds."""

from __future__ import annotations

import gc


def tune_collector() -> None:
    """Keeps long-lived documents out of the cyclic collector's way; only for processes that are ours."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

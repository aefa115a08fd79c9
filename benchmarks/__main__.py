"""`python -m benchmarks [GROUP …]`"""

from __future__ import annotations

import importlib
import sys

from benchmarks.report import show

GROUPS = ("startup", "fixture", "writes", "http", "fanout", "relay", "scheduling", "scale", "spawn", "workloads")

chosen = sys.argv[1:] or GROUPS
if unknown := set(chosen) - set(GROUPS):
    sys.exit(f"no such group: {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
show(figure for group in chosen for figure in importlib.import_module(f"benchmarks.{group}").measure())

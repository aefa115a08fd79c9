"""All functions of a scope: the standard library and Kubernetes' libraries, joined once."""

from __future__ import annotations

from functools import cache

from . import mutation, standard
from .declare import Table, merge
from .library import optionals, regex


@cache
def functions(mutating: bool = False) -> Table:
    """Name -> overloads; with `mutating` also what only a MutatingAdmissionPolicy has."""
    tables = [standard.FUNCTIONS, optionals.FUNCTIONS, regex.FUNCTIONS]
    return merge(*tables, *([mutation.FUNCTIONS] if mutating else []))

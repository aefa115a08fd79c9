"""All functions of a scope: the standard library and Kubernetes' libraries, joined once."""

from __future__ import annotations

from functools import cache

from . import mutation, standard
from .declare import Table, merge
from .library import authz, format, image, lists, net, optionals, quantity, regex, semver, strings, url

_LIBRARIES = (optionals, strings, lists, regex, url, quantity, net, semver, format, image, authz)
OPAQUE_TYPES = frozenset(
    {"net.IP", "net.CIDR", "kubernetes.URL", "kubernetes.Quantity", "kubernetes.Semver", "kubernetes.NamedFormat"}
    | {"kubernetes.Image"}
)
"""Types that can be named in an expression, as in `type(x) == net.IP`."""


@cache
def functions(mutating: bool = False) -> Table:
    """Name -> overloads; with `mutating` also what only a MutatingAdmissionPolicy has."""
    return merge(standard.FUNCTIONS, *(each.FUNCTIONS for each in _LIBRARIES), mutation.FUNCTIONS if mutating else {})

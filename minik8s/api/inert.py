"""Kinds that are stored and served like all others, but that nothing here acts on (yet).

Nothing is silently accepted and ignored: whoever creates such an object is told by a Warning, which kubectl prints. The
table shrinks as their controllers and admission plugins come.
"""

from __future__ import annotations

from collections.abc import Mapping

INERT: Mapping[str, str] = {
    "networkpolicies.networking.k8s.io": "traffic is not filtered",
}
"""Group-resource -> what does not happen."""
_POLICIES = "networkpolicies.networking.k8s.io"


def filtered(why_unfiltered: str) -> Mapping[str, str]:
    """The same where it is known who connects; `why_unfiltered`: why packets between pods are not, "" if they are."""
    rest = {name: why for name, why in INERT.items() if name != _POLICIES}
    if why_unfiltered:
        not_all = (
            "only connections to Services and host ports are filtered, not those to pods and other hosts by address"
        )
        rest[_POLICIES] = f"{not_all}: {why_unfiltered}"
    return rest


def inert_warning(group_resource: str, inert: Mapping[str, str] = INERT) -> str | None:
    """The Warning for creating an object of that kind, None for kinds that somebody acts on."""
    why = inert.get(group_resource)
    return f"minik8s stores {group_resource}, but {why}" if why else None

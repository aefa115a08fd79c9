"""IntOrString: a number, or a percentage of some total (`maxUnavailable: 25%`).

Upstream: apimachinery `pkg/util/intstr`, `GetScaledValueFromIntOrPercent`.
"""

from __future__ import annotations

from minik8s.machinery.names import percent


def percentage(value: int | str) -> int | None:
    """The number before the `%`, None for an int; raises ValueError for any other string."""
    if not isinstance(value, str):
        return None
    if percent(value):
        raise ValueError("invalid value for IntOrString: invalid type: string is not a percentage")
    return int(value[:-1])


def resolve(value: int | str, total: int, *, round_up: bool) -> int:
    """`value` as a number: a percentage is taken of `total` and rounded up or down. Raises ValueError."""
    share = percentage(value)
    if share is None:
        return int(value)
    return -(-share * total // 100) if round_up else share * total // 100

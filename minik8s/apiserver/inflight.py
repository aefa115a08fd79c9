"""For how long a request may be under way, and how many are. How many may be is `flowcontrol`'s to say.

Upstream: apiserver `pkg/endpoints/filters/request_deadline.go`. Requests that last as long as their clients like
(watches, logs that follow, streams into containers) are not limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from minik8s.apiserver.options import truth
from minik8s.apiserver.requestinfo import RequestInfo
from minik8s.machinery.errors import BadRequest
from minik8s.schema.scalars import DecodeError, parse_duration

DEFAULT_SECONDS: Final = 60.0
LONGEST_WAIT: Final = 0.25
"""The part of its time that a request waits at most until it is let in."""
LONG_RUNNING: Final = frozenset({"log", "attach", "exec", "portforward", "proxy"})
"""Subresources whose requests last."""


class InFlight:
    """Counts what is under way and will end by itself."""

    def __init__(self) -> None:
        self.current = {False: 0, True: 0}
        """Requests under way, by whether they are mutating."""


def is_lasting(method: str, info: RequestInfo, options: Mapping[str, str]) -> bool:
    """Whether a request is one that lasts."""
    if info.subresource:
        return info.subresource in LONG_RUNNING
    return info.legacy_watch or (method == "GET" and not info.name and "watch" in options and truth(options, "watch"))


def request_seconds(text: str | None) -> float:
    """What the `timeout` parameter allows: at most the server's own limit, which is also the default."""
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = parse_duration(text) / 1e9
    except DecodeError:
        why = f'invalid timeout specified in the request URL - time: invalid duration "{text}"'
        raise BadRequest(why) from None
    return min(seconds, DEFAULT_SECONDS) if seconds > 0 else DEFAULT_SECONDS

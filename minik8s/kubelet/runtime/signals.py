"""Signals by the names that images and pods give them."""

from __future__ import annotations

import re
import signal

_REALTIME = re.compile(r"SIGRT(MIN(?=\+|$)|MAX(?=-|$))([+-]\d{1,2})?")


def signal_number(name: str) -> int:
    """The number of a signal by its full name, `SIGRTMIN+3` included. Raises ValueError for one that there is not."""
    number = _number(name)
    if number not in signal.valid_signals():
        raise ValueError(f"{name!r} is no signal")
    return number


def full_name(text: str) -> str:
    """A signal's full name: `TERM` and `15` mean SIGTERM. Raises ValueError for what is no signal."""
    if text.isdecimal():
        return signal.Signals(int(text)).name
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    signal_number(name)
    return name


def _number(name: str) -> int:
    if match := _REALTIME.fullmatch(name):
        return int(signal.Signals[f"SIGRT{match[1]}"]) + int(match[2] or 0)
    return int(signal.Signals[name]) if name in signal.Signals.__members__ else 0

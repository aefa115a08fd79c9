"""Flags as cobra reads them, paths as the container sees them, and Go's durations."""

from __future__ import annotations

import os
import re
import sys
import time

Flags = dict[str, str]
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KLOG: Flags = {
    "add_dir_header": "false", "alsologtostderr": "false", "log_backtrace_at": "", "log_dir": "", "log_file": "",
    "log_file_max_size": "1800", "logtostderr": "true", "one_output": "false", "skip_headers": "false",
    "skip_log_headers": "false", "stderrthreshold": "2", "v": "0", "vmodule": "",
}  # fmt: skip
"""What every command of agnhost also takes, as its log library does; here there is nothing to turn up."""
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


class UsageError(ValueError):
    """Flags that the command does not have, or values that they cannot have."""


def parse(arguments: list[str], defaults: Flags, short: Flags | None = None) -> Flags:
    """`--name value`, `--name=value`, `-n value`; a flag whose default is true or false needs no value.

    Raises UsageError. `short` maps letters to names.
    """
    found, rest, known = dict(defaults), list(arguments), {**_KLOG, **defaults}
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            raise UsageError(f"unexpected argument: {word}")
        name = (short or {}).get(name, name)
        if name not in known:
            raise UsageError(f"unknown flag: --{name}")
        if not equals and known[name] in ("true", "false"):
            value = "true"
        elif not equals:
            if not rest:
                raise UsageError(f"flag needs an argument: --{name}")
            value = rest.pop(0)
        if name in defaults:
            found[name] = value
    return found


def number(flags: Flags, name: str) -> int:
    """A flag that must be a whole number; raises UsageError."""
    try:
        return int(flags[name])
    except ValueError:
        raise UsageError(f'invalid argument "{flags[name]}" for "--{name}" flag') from None


def duration(text: str) -> float:
    """Seconds of a Go duration; raises UsageError."""
    if text in ("", "0"):
        return 0.0
    parts = _PART.findall(text)
    if "".join(amount + unit for amount, unit in parts) != text:
        raise UsageError(f'time: invalid duration "{text}"')
    return sum(float(amount) * _UNITS[unit] for amount, unit in parts)


def inside(path: str) -> str:
    """A path in the container: where there are no mounts at true paths, what is mounted lies under $MINIK8S_ROOT."""
    root = os.environ.get("MINIK8S_ROOT", "/")
    own = root + path
    if root == "/" or not path.startswith("/"):
        return path
    return own if os.path.lexists(own) or os.path.lexists(os.path.dirname(own)) else path


def address() -> str:
    """Where to listen: a pod without a network namespace of its own has only its address to itself."""
    return os.environ.get("POD_IP") or "0.0.0.0"


def hostname() -> str:
    return os.environ.get("HOSTNAME") or os.uname().nodename


def log(text: str) -> None:
    """A line as Go's log package writes it."""
    print(time.strftime("%Y/%m/%d %H:%M:%S"), text, file=sys.stderr, flush=True)

"""How a command ended, as the Status that its client reads the exit code from."""

from __future__ import annotations

from collections.abc import Sequence

from minik8s.machinery.meta import Obj


def ended_with(code: int | None, command: Sequence[str]) -> Obj:
    """The Status of an exit code; None and 0 are successes."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    why = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {why}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def as_text(status: Obj) -> str:
    """What protocols without Status objects are told: nothing of a success."""
    return str(status.get("message", ""))

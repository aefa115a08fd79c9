"""Who is asked a second time: what mutates early has not seen what mutates late.

When a webhook or policy has changed an object, the built-in plugins run again, and after them those webhooks and
policies that asked for it (`reinvocationPolicy: IfNeeded`) and were called before the change. Once, not until it is
quiet. Upstream: admission/reinvocation.go and the reinvocation contexts of the plugins.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any


class Reinvocation:
    """One plugin's memory in one write. `number` is 0 in the first round, 1 in the second."""

    def __init__(self) -> None:
        self.number = 0
        self.is_needed = False
        self._called: set[Hashable] = set()
        self._again: set[Hashable] = set()
        self._left: Any = None

    def calls(self, key: Hashable) -> bool:
        """Whether that one is asked in this round; nobody is asked for the first time in the second."""
        return self.number == 0 or key in self._again

    def changed(self) -> None:
        """The object has been changed: who was called before has to look again."""
        self.is_needed = True
        self._again |= self._called
        self._called.clear()

    def called(self, key: Hashable) -> None:
        """That one wants to look again if somebody behind it changes something."""
        if self.number == 0:
            self._called.add(key)

    def end_round(self, obj: Any) -> None:
        """Remembers what the plugin has left."""
        self._left = obj

    def begin_again(self, obj: Any) -> None:
        """The second round. Whoever wants to looks again when the object is not as it was left."""
        self.number = 1
        if obj != self._left:
            self._again |= self._called
            self._called.clear()

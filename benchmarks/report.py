"""Results and the table they are printed in."""

from __future__ import annotations

import os
from collections.abc import Iterable

import attrs
from rich.console import Console
from rich.table import Table


@attrs.frozen
class Figure:
    """One measured value. `budget` is the value to reach; `more_is_better` for rates."""

    what: str
    value: float
    unit: str
    budget: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How much of the budget is used: up to 1.0 it is kept."""
        if self.budget is None:
            return None
        return self.budget / self.value if self.more_is_better else self.value / self.budget


def show(figures: Iterable[Figure]) -> None:
    """Prints the figures as one table."""
    table = Table("figure", "measured", "budget", "used of budget", "also")
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,.4g} {figure.unit}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.what, f"{figure.value:,.4g} {figure.unit}", budget, ratio, figure.note)
    load = os.getloadavg()[0]
    table.caption = f"load average {load:.1f} on {os.cpu_count()} cores; where it is more than the cores, trust no rate"
    Console().print(table)

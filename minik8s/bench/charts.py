"""Plots as SVG: pure functions from numbers to text, without a library, a script or anything from a network.

Colours are CSS variables of the page (`--c0` to `--c7`, `--ink`, `--line`), so that light and dark are its affair.
Latencies are drawn on logarithmic axes, because that is how they differ; what is zero stands at the axis' beginning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import attrs

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 760, 56, 16, 12, 40
COLOURS: Final = 8
MOST_STEPS: Final = 400
_STEPS: Final = (1, 2, 5)


@attrs.frozen
class Curve:
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


@attrs.frozen
class Bar:
    """One range of a plot: the three percentiles of a thing, and the limit it should keep, if any."""

    name: str
    p50: float
    p90: float
    p99: float
    limit: float | None = None


@attrs.frozen
class Axis:
    """From values to pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        share = (value - low) / (high - low) if high > low else 0.0
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round numbers between its ends."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            factors = (1,) if len(powers) > 4 else _STEPS
            return [f * 10.0**p for p in powers for f in factors if self.low <= f * 10.0**p <= self.high * 1.0001]
        return _linear_ticks(self.low, self.high)


def _linear_ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    span = (high - low) or 1.0
    base = 10.0 ** math.floor(math.log10(span / wanted))
    step = next((f * base for f in (1, 2, 5, 10) if span / (f * base) <= wanted), 10 * base)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_axis(values: Iterable[float], begin: float, end: float, floor: float = 1e-5) -> Axis:
    """An axis of whole powers of ten around the values."""
    positive = [value for value in values if value > 0] or [floor, floor * 10]
    low = max(floor, 10.0 ** math.floor(math.log10(min(positive))))
    high = 10.0 ** math.ceil(math.log10(max(max(positive), low * 1.0001)))
    return Axis(low, max(high, low * 10), begin, end, log=True)


def distribution_chart(curves: Sequence[Curve], unit: str, label: str) -> str:
    """Cumulative shares: x is the value (logarithmic), y how many per cent do not exceed it."""
    height = 260
    x = log_axis((v for curve in curves for v, _ in curve.points), LEFT, WIDTH - RIGHT)
    y = Axis(0, 1, height - BOTTOM, TOP)
    parts = [_x_axis(x, height, unit), _y_axis(y, [0, 0.25, 0.5, 0.75, 0.9, 0.99], lambda v: f"{v:.0%}")]
    for index, curve in enumerate(curves):
        points = [(x.at(value), y.at(share)) for value, share in thinned(curve.points)]
        if points:
            points = [(points[0][0], y.at(0)), *points, (x.end, points[-1][1])]
            parts.append(_path(points, index, curve.name))
    return _svg(height, label, parts, [curve.name for curve in curves])


def time_chart(curves: Sequence[Curve], unit: str, label: str) -> str:
    """Values over time; x is seconds."""
    height = 220
    xs = [t for curve in curves for t, _ in curve.points]
    ys = [v for curve in curves for _, v in curve.points]
    x = Axis(0, max(xs, default=1.0) or 1.0, LEFT, WIDTH - RIGHT)
    y = Axis(0, max(ys, default=1.0) * 1.05 or 1.0, height - BOTTOM, TOP)
    parts = [_x_axis(x, height, "s"), _y_axis(y, y.ticks(), lambda v: f"{v:g}")]
    for index, curve in enumerate(curves):
        points = [(x.at(t), y.at(v)) for t, v in curve.points]
        if points:
            parts.append(_path([*points, (x.end, points[-1][1])], index, f"{curve.name} ({unit})"))
    return _svg(height, label, parts, [curve.name for curve in curves])


def range_chart(bars: Sequence[Bar], unit: str, label: str) -> str:
    """A bar from p50 to p99 for each thing, with a mark at p90, and its limit as a dashed line."""
    row, left = 24, 250
    height = TOP + row * len(bars) + BOTTOM
    limits = [bar.limit for bar in bars if bar.limit is not None]
    x = log_axis([v for bar in bars for v in (bar.p50, bar.p99)] + limits, left, WIDTH - RIGHT)
    parts = [_x_axis(x, height, unit)]
    for index, bar in enumerate(bars):
        middle = TOP + row * index + row / 2
        begin, end = x.at(bar.p50), max(x.at(bar.p99), x.at(bar.p50) + 2)
        shown = f"{bar.name}: p50 {seconds(bar.p50)}, p90 {seconds(bar.p90)}, p99 {seconds(bar.p99)}"
        over = bar.limit is not None and bar.p99 > bar.limit
        parts.append(
            f'<text class="name" x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(_short(bar.name))}</text>"
            f'<rect x="{begin:.1f}" y="{middle - 6:.1f}" width="{end - begin:.1f}" height="12" rx="3" '
            f'fill="var(--{"bad" if over else "c0"})"><title>{escape(shown)}</title></rect>'
            f'<line x1="{x.at(bar.p90):.1f}" x2="{x.at(bar.p90):.1f}" y1="{middle - 6:.1f}" y2="{middle + 6:.1f}" '
            'stroke="var(--paper)" stroke-width="2"/>'
        )
        if bar.limit is not None:
            at = f"{x.at(bar.limit):.1f}"
            parts.append(
                f'<line x1="{at}" x2="{at}" y1="{middle - 10:.1f}" y2="{middle + 10:.1f}" stroke="var(--bad)" '
                'stroke-dasharray="3 2" stroke-width="1.5"/>'
            )
    return _svg(height, label, parts, [])


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some hundred points, the first and the last among them."""
    if len(points) <= MOST_STEPS:
        return list(points)
    stride = (len(points) - 1) / (MOST_STEPS - 1)
    return [points[round(index * stride)] for index in range(MOST_STEPS)]


def seconds(value: float) -> str:
    """`1.5 s`, `3.2 ms`, `47 µs`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size or unit == "µs":
            return f"{value / size:.3g} {unit}" if value else "0"
    raise AssertionError("unreachable")


def amount(value: float, unit: str) -> str:
    """A value with its unit, as people read it."""
    if unit == "s":
        return seconds(value)
    if unit == "bytes":
        return f"{value / 2**20:,.1f} MiB"
    return f"{value:,.4g} {unit}" if abs(value) < 1e4 else f"{value:,.0f} {unit}"


def _short(text: str) -> str:
    return text if len(text) <= 38 else text[:37] + "…"


def _x_axis(axis: Axis, height: int, unit: str) -> str:
    base = height - BOTTOM
    parts = [f'<line x1="{axis.begin}" x2="{axis.end}" y1="{base}" y2="{base}" stroke="var(--line)"/>']
    for tick in axis.ticks():
        at = f"{axis.at(tick):.1f}"
        shown = seconds(tick) if unit == "s" else f"{tick:g}"
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{base}"/>')
        anchor = "end" if axis.at(tick) > axis.end - 16 else "middle"
        parts.append(f'<text x="{at}" y="{base + 16}" text-anchor="{anchor}">{shown}</text>')
    return "".join(parts)


def _y_axis(axis: Axis, ticks: Sequence[float], show: object) -> str:
    parts = []
    assert callable(show)
    for tick in ticks:
        at = axis.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{show(tick)}</text>')
    return "".join(parts)


def _path(points: Sequence[tuple[float, float]], index: int, name: str) -> str:
    x, y = points[0]
    text = [f"M{x:.1f} {y:.1f}"]
    for x, y in points[1:]:
        text.append(f"H{x:.1f}V{y:.1f}")
    colour = f"var(--c{index % COLOURS})"
    return (
        f'<path d="{"".join(text)}" fill="none" stroke="{colour}" stroke-width="2"><title>{escape(name)}</title></path>'
    )


def _svg(height: int, label: str, parts: Sequence[str], names: Sequence[str]) -> str:
    legend = "".join(
        f'<span><i style="background:var(--c{index % COLOURS})"></i>{escape(name)}</span>'
        for index, name in enumerate(names)
    )
    shown = f'<div class="legend">{legend}</div>' if names else ""
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label, quote=True)}">'
    return f"<figure>{head}{''.join(parts)}</svg>{shown}<figcaption>{escape(label)}</figcaption></figure>"

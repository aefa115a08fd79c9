"""Reports: read again, on a terminal, as a page, as plots."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from minik8s.bench.charts import (
    Axis,
    Bar,
    Curve,
    amount,
    distribution_chart,
    log_axis,
    range_chart,
    thinned,
    time_chart,
)
from minik8s.bench.page import page, warnings
from minik8s.bench.report import ReportError, dumps, load_report
from minik8s.bench.terminal import show_report


class Balanced(HTMLParser):
    """Notes every tag that is not closed, and everything that would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "data")]
        if tag not in ("meta", "line", "rect", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and tag == self.open[-1]:
            self.open.pop()


def test_page(make_report: Any) -> None:
    """The page is whole in itself: tags closed, text escaped, nothing fetched, every time marked."""
    text = page(make_report(1, 2, 3))
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert parser.fetched == []
    assert not re.search(r"<script|url\(|@import|<link", text)
    assert "fills &lt;it&gt;" in text
    assert "a &lt;note&gt;" in text
    assert 'pod startup <span class="mark real">real time</span>' in text
    assert text.count("<figure>") == 1


def test_terminal(make_report: Any) -> None:
    """The tables have the medians of the runs, and say which time it is."""
    out = io.StringIO()
    show_report(make_report(1, 2, 30, partial=True, wanted=4), Console(file=out, width=120))
    text = out.getvalue()
    assert "density on minik8s v1 (3 nodes), real time, 3 runs" in text
    assert "PARTIAL: 3 of 4 runs ended" in text
    assert re.search(r"pod_startup +3 +2\.01 s", text)
    assert "startup: pod startup (real time)" in text
    assert "missed" in text


def test_warnings(make_report: Any) -> None:
    """Doubts, problems, what was left, saturation and lateness are said first."""
    report = make_report(1, real__doubts=["load 9"])
    report["runs"][0] |= {"problem": "it broke", "left": ["namespace/x: stuck"]}
    step = report["real"]["runs"][0]["steps"][0]
    assert [text.split(":")[0] for text in warnings(report)] == ["Run 1", "NOISY", "Left behind in the cluster"]
    step["late"]["p99"] = 4.0
    assert warnings(report)[-1] == "Step 'Create': the load was not kept up, operations started 4 s late."
    step["saturated"] = True
    assert "used all of its core" in warnings(report)[-1]


def test_round_trip(make_report: Any, tmp_path: Path) -> None:
    """A written report is read as the same, by its file or its directory."""
    report = make_report(1, 2)
    (tmp_path / "report.json").write_bytes(dumps(report))
    assert load_report(tmp_path) == load_report(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "not a report of minik8s bench"),
        (
            '{"schema": "minik8s.bench/v9"}',
            "its schema is 'minik8s.bench/v9', and minik8s.bench/v1 is what can be read",
        ),
        ('{"schema": "minik8s.bench/v1", "runs": []}', "damaged: 'scenario' is missing"),
    ],
)
def test_damaged(tmp_path: Path, text: str, says: str) -> None:
    """What is no report is refused by its name."""
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(ReportError, match=re.escape(says)):
        load_report(file)
    with pytest.raises(ReportError, match="No such file"):
        load_report(tmp_path / "none")


def test_damaged_inside(make_report: Any, tmp_path: Path) -> None:
    """A report whose inside is damaged is refused as well, not met with a traceback later."""
    for path, value in (("real__runs", [{"run": 1}]), ("scenario__params", 3), ("runs", [7]), ("real", {})):
        (tmp_path / "report.json").write_bytes(dumps(make_report(1, **{path: value})))
        with pytest.raises(ReportError, match="damaged"):
            load_report(tmp_path)


def test_plots() -> None:
    """Plots are well-formed, stay inside of their frame and survive nothing, zeros and hostile names."""
    name = '<b>"&'
    plots = [
        distribution_chart([Curve(name, [(0.0, 0.2), (0.001, 0.5), (3.0, 1.0)]), Curve("none", [])], "s", name),
        time_chart([Curve(name, [(0.0, 1.0), (5.0, 0.0)])], "pods/s", name),
        time_chart([], "pods/s", "nothing"),
        range_chart([Bar(name, 0.0, 0.0, 0.0), Bar("b", 0.001, 0.002, 2.0, limit=1.0)], "s", name),
    ]
    for plot in plots:
        root = ElementTree.fromstring(plot)
        svg = next(iter(root))
        width = float(svg.attrib["viewBox"].split()[2])
        for line in svg.iter("line"):
            assert 0 <= float(line.attrib["x1"]) <= float(line.attrib["x2"]) <= width
    assert "var(--bad)" in plots[-1]


def test_axes() -> None:
    """Ticks are round and within; values beyond the ends stay at them; long curves keep their ends."""
    assert Axis(0, 10, 0, 100).ticks() == [0, 2, 4, 6, 8, 10]
    axis = log_axis([0.0, 0.003, 0.9], 0, 100)
    assert (axis.low, axis.high) == (0.001, 1.0)
    assert (axis.at(0), axis.at(5)) == (0, 100)
    points = [(float(i), i / 5000) for i in range(5000)]
    assert (thinned(points)[0], thinned(points)[-1]) == (points[0], points[-1])
    assert len(thinned(points)) == 400
    shown = [amount(v, u) for v, u in ((0.0015, "s"), (2.5e-5, "s"), (2**21, "bytes"), (12.3456, "pods/s"))]
    assert shown == ["1.5 ms", "25 µs", "2.0 MiB", "12.35 pods/s"]

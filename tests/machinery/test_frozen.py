"""Documents that refuse to be changed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from minik8s.machinery.frozen import freeze

PLAIN: dict[str, Any] = {"a": {"b": [1, {"c": 2}]}}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(x=1),
        lambda d: d.pop("a"),
        lambda d: d.setdefault("x", 1),
        lambda d: d.clear(),
        lambda d: d.__setitem__("x", 1),
        lambda d: d["a"].__delitem__("b"),
        lambda d: d["a"].__ior__({"x": 1}),
        lambda d: d["a"]["b"].append(1),
        lambda d: d["a"]["b"].sort(),
        lambda d: d["a"]["b"].__iadd__([1]),
        lambda d: d["a"]["b"].__setitem__(0, 5),
        lambda d: d["a"]["b"][1].update(c=3),
    ],
)
def test_every_change_is_refused(change: Callable[[Any], object]) -> None:
    """Whatever changes a dict or list, at any depth, raises TypeError and changes nothing."""
    frozen = freeze(PLAIN)
    with pytest.raises(TypeError, match="must not be changed"):
        change(frozen)
    assert frozen == PLAIN


def test_otherwise_it_is_the_document() -> None:
    """A frozen document equals, encodes, pickles and copies as the plain one; freezing again costs nothing."""
    frozen = freeze(PLAIN)
    assert frozen == PLAIN
    assert orjson.dumps(frozen) == orjson.dumps(PLAIN)
    assert type(pickle.loads(pickle.dumps(frozen))) is dict
    assert {**frozen, "x": 1}["x"] == 1
    assert freeze(frozen) is frozen
    assert PLAIN["a"]["b"].append is not None

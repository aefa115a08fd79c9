"""What is known of a part is known by which object it is."""

from __future__ import annotations

from typing import Any

from minik8s.machinery.remembering import remembered


def test_a_part_is_looked_at_once() -> None:
    """Neither again, nor when an equal one has been: equality would have to look into it."""
    seen: list[Any] = []

    def names(part: Any) -> list[str]:
        seen.append(part)
        return [item["name"] for item in part]

    known = remembered(names)
    part = [{"name": "a"}]
    assert known(part) is known(part)
    assert len(seen) == 1
    assert known([{"name": "a"}]) == ["a"]
    assert len(seen) == 2


def test_parts_do_not_take_each_others_places() -> None:
    """A part that is gone may have left its id to another: what is remembered is kept alive, and no more than some."""
    known = remembered(lambda part: part[0], size=10)
    for number in range(1000):
        assert known([number]) == number

"""The seats and queues of one priority level: whom they let in, in what order, and whom they refuse."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from minik8s.apiserver.flowcontrol.queueset import QueueSet, Shape, Waiter, deal, entropy_of

ONE = Shape(queues=1, hand=1, length=2)


def arrive(queues: QueueSet, tag: str, *, now: float = 0.0, width: int = 1) -> Waiter:
    """One that must not be refused; its flow is the first letter of its tag."""
    waiter = queues.arrive(now, width, entropy_of("schema", tag[0]), tag)
    assert waiter is not None
    return waiter


def tags(waiters: list[Waiter]) -> list[str]:
    return [waiter.tag for waiter in waiters]


def test_seats_are_taken_and_given_back() -> None:
    """As many as there are; one that asks for more than there are goes alone."""
    queues = QueueSet(Shape(), 3)
    assert [queues.enter(width) for width in (1, 2, 1)] == [True, True, False]
    queues.leave(2)
    assert queues.enter(5) is False
    queues.leave(1)
    assert queues.idle
    assert queues.enter(5)
    assert not queues.enter(1)
    assert (queues.seats, queues.executing) == (5, 1)


@pytest.mark.parametrize(("shape", "alone"), [(Shape(), True), (ONE, False)])
def test_a_level_without_seats(shape: Shape, alone: bool) -> None:
    """Lets one in at a time if nobody may wait there, and nobody if they may: upstream's jail."""
    queues = QueueSet(shape, 0)
    assert queues.enter(1) is alone
    assert not queues.enter(1)


def test_without_queues_nobody_waits() -> None:
    """Who finds no seat is refused."""
    queues = QueueSet(Shape(), 1)
    assert queues.enter(1)
    assert queues.arrive(0.0, 1, 0) is None


def test_exempt_levels_have_room() -> None:
    """A limit that is infinite is none."""
    queues = QueueSet(Shape(), math.inf)
    assert all(queues.enter(10) for _ in range(1000))


def test_a_full_queue_refuses() -> None:
    """Its length is a limit; whoever leaves makes room."""
    queues = QueueSet(ONE, 1)
    assert queues.enter(1)
    first, _ = arrive(queues, "a1"), arrive(queues, "a2")
    assert queues.arrive(0.0, 1, 0, "a3") is None
    assert (queues.waiting, queues.waiting_seats) == (2, 2)
    queues.give_up(1.0, first)
    arrive(queues, "a3", now=1.0)


def test_nobody_overtakes_a_queue() -> None:
    """While somebody waits, free seats are for those who wait: also for a wide one, which needs them all."""
    queues = QueueSet(ONE, 2)
    assert queues.enter(1)
    wide = arrive(queues, "a", width=2)
    assert queues.dispatch(0.0) == []
    assert not queues.enter(1)
    queues.leave(1)
    assert queues.dispatch(1.0) == [wide]
    assert queues.seats == 2


def test_one_queue_is_first_come_first_served() -> None:
    """And only as many begin as there are seats."""
    queues = QueueSet(Shape(1, 1, 10), 1)
    assert queues.enter(1)
    for tag in ("a1", "a2", "a3"):
        arrive(queues, tag)
    queues.leave(1)
    begun = []
    for now in (1.0, 2.0, 3.0):
        (waiter,) = queues.dispatch(now)
        begun.append(waiter.tag)
        queues.finish(now + 0.5, waiter)
    assert begun == ["a1", "a2", "a3"]
    assert queues.idle
    assert not queues.queues


def drain(queues: QueueSet, seconds: dict[str, float]) -> list[str]:
    """Lets everybody through, one after another, each flow's requests taking so long; in what order they began."""
    now, order = 0.0, []
    while queues.waiting:
        (waiter,) = queues.dispatch(now)
        order.append(waiter.tag[0])
        now += seconds[waiter.tag[0]]
        queues.finish(now, waiter)
    return order


def contended(counts: dict[str, int], width: dict[str, int] | None = None) -> QueueSet:
    """A level with one seat where so many requests of flows wait, each flow in a queue of its own."""
    queues = QueueSet(Shape(64, 1, 100), 4)
    assert queues.enter(4)
    for flow, count in counts.items():
        for number in range(count):
            arrive(queues, f"{flow}{number}", width=(width or {}).get(flow, 4))
    assert len(queues.queues) == len(counts), "the flows of this test share a queue"
    queues.leave(4)
    return queues


def test_flows_take_turns() -> None:
    """A flow that sends a lot does not hold up one that sends little."""
    order = drain(contended({"a": 20, "b": 3}), {"a": 1.0, "b": 1.0})
    assert order[:6].count("b") == 3


def test_time_is_what_is_shared() -> None:
    """A flow whose requests take three times as long gets a third of the turns."""
    order = drain(contended({"a": 30, "b": 30}), {"a": 3.0, "b": 1.0})
    turns = Counter(order[:24])
    assert 5 <= turns["a"] <= 7


def test_a_queue_saves_nothing_up() -> None:
    """One that takes less than its share begins again with those who come, not before them."""
    queues = contended({"a": 1, "b": 1}, {"a": 1, "b": 3})
    begun = {waiter.tag: waiter for waiter in queues.dispatch(0.0)}
    assert begun.keys() == {"a0", "b0"}
    later = arrive(queues, "a1", now=100.0)
    assert later.arrived_r == pytest.approx(200.0)  # four seats for two queues
    assert later.queue.next_r == later.arrived_r
    queues.finish(100.0, begun["b0"])
    assert begun["b0"].queue.index not in queues.queues


def test_fewer_queues() -> None:
    """Those who stand in a queue that is no more go on waiting, and get their turn."""
    queues = QueueSet(Shape(64, 1, 100), 1)
    assert queues.enter(1)
    for flow in "abcdef":
        arrive(queues, flow)
    queues.shape = Shape(1, 1, 100)
    arrive(queues, "g")
    queues.leave(1)
    assert sorted(drain(queues, dict.fromkeys("abcdefg", 0.1))) == list("abcdefg")
    assert not queues.queues


def test_a_larger_limit_lets_in() -> None:
    """And those who are in stay in when it shrinks."""
    queues = QueueSet(Shape(1, 1, 100), 1)
    assert queues.enter(1)
    for number in range(4):
        arrive(queues, f"a{number}")
    queues.limit = 4
    assert len(queues.dispatch(0.0)) == 3
    queues.limit = 1
    assert queues.dispatch(0.0) == []
    assert queues.seats == 4


def test_a_hand_is_of_different_queues() -> None:
    """Each as likely as any other: over many flows every queue is dealt about equally often."""
    dealt: Counter[int] = Counter()
    for flow in range(2000):
        hand = deal(entropy_of("schema", str(flow)), 16, 4)
        assert len(set(hand)) == 4
        assert all(0 <= card < 16 for card in hand)
        dealt.update(hand)
    assert all(400 <= dealt[card] <= 600 for card in range(16))


@pytest.mark.parametrize(
    ("deck", "hand", "entropy", "cards"),
    [(4, 4, 0, [0, 1, 2, 3]), (4, 4, 23, [3, 2, 1, 0]), (6, 3, 0, [0, 1, 2]), (6, 3, 119, [5, 4, 3]), (1, 1, 99, [0])],
)
def test_deals(deck: int, hand: int, entropy: int, cards: list[int]) -> None:
    """The first and the last of all hands."""
    assert deal(entropy, deck, hand) == cards


def test_a_flow_stands_in_the_shortest_queue_of_its_hand() -> None:
    """So that one that floods fills its own hand, and another meets it in few of the queues of its own."""
    queues = QueueSet(Shape(8, 4, 100), 1)
    assert queues.enter(1)
    for number in range(40):
        arrive(queues, f"a{number}")
    lengths = {index: len(queue.waiting) for index, queue in queues.queues.items()}
    assert sorted(lengths) == sorted(deal(entropy_of("schema", "a"), 8, 4))
    assert set(lengths.values()) == {10}


def test_schemas_tell_flows_apart() -> None:
    """The same user is two flows under two schemas."""
    assert entropy_of("a", "bob") != entropy_of("b", "bob")
    assert entropy_of("ab", "c") != entropy_of("a", "bc")

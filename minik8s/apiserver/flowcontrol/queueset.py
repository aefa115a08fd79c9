"""Who of those that wait goes next: the seats and queues of one priority level. Pure: it is told the time.

Fair queuing as upstream's queueset has it (apiserver `pkg/util/flowcontrol/fairqueuing/queueset`): a flow is dealt a
hand of queues and waits in the one with the least work; queues share the seats evenly, by a progress meter R that
counts how many seat-seconds each queue could have had; the queue whose oldest request would be through first is next. A
request that finds its seats free while nobody waits passes by the queues: that costs two comparisons, and charges no
queue, where upstream would charge one. Idle queues do not exist until somebody stands in them.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import Any, Final

import attrs

ESTIMATED_SECONDS: Final = 0.003
"""How long a request is thought to take until it is known (`estimatedServiceDuration`)."""


@attrs.frozen
class Shape:
    """How requests may wait. Without queues they may not."""

    queues: int = 0
    hand: int = 0
    length: int = 0


@attrs.define(eq=False)
class Queue:
    """One that is stood in, or from which somebody came who is not done; `next_r` is when its next begins, in R."""

    index: int
    next_r: float
    waiting: deque[Waiter] = attrs.field(factory=deque)
    executing: int = 0
    seats: int = 0

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.executing

    def bound(self) -> None:
        """Nobody begins before he came: a queue does not save up what it had no use for."""
        if self.waiting and self.next_r < self.waiting[0].arrived_r:
            self.next_r = self.waiting[0].arrived_r


@attrs.define(eq=False)
class Waiter:
    """A request in a queue, or from one; `tag` is whatever its owner knows it by."""

    width: int
    arrived: float
    arrived_r: float
    queue: Queue
    tag: Any = None
    started: float | None = None

    @property
    def work(self) -> float:
        """In seat-seconds, as far as anybody knows."""
        return self.width * ESTIMATED_SECONDS


class QueueSet:
    """The seats of a level; `limit` of them may be taken. Times are seconds that never go back."""

    def __init__(self, shape: Shape, limit: float) -> None:
        self.shape, self.limit = shape, limit
        self.seats = self.executing = self.waiting = self.waiting_seats = 0
        """Seats taken and by how many requests; requests that wait and the seats they wait for."""
        self.queues: dict[int, Queue] = {}
        self.progress = 0.0
        """R, in seat-seconds a queue."""
        self._at = 0.0
        self._queued_seats = 0
        self._robin = 0
        self._arrivals = 0

    @property
    def idle(self) -> bool:
        return not self.executing and not self.waiting

    def enter(self, width: int) -> bool:
        """Takes seats for a request if they are free and nobody waits; `leave` gives them back."""
        if self.waiting or not self._fits(width):
            return False
        self.seats += width
        self.executing += 1
        return True

    def leave(self, width: int) -> None:
        self.seats -= width
        self.executing -= 1

    def arrive(self, now: float, width: int, entropy: int, tag: Any = None) -> Waiter | None:
        """Puts a request into a queue of its flow's hand; None if it has to be refused. `dispatch` is due next."""
        if not self.shape.queues:
            return None
        self._progress(now)
        index = self._choose(entropy)
        queue = self.queues.get(index)
        if queue is not None and self.seats >= self.limit and len(queue.waiting) >= self.shape.length:
            return None
        if queue is None:
            queue = self.queues[index] = Queue(index, self.progress)
        waiter = Waiter(width, now, self.progress, queue, tag)
        queue.waiting.append(waiter)
        queue.bound()
        self.waiting += 1
        self.waiting_seats += width
        return waiter

    def dispatch(self, now: float) -> list[Waiter]:
        """Those who may begin now; they have their seats, and give them back with `finish`."""
        self._progress(now)
        begun: list[Waiter] = []
        while self.waiting and self.seats < self.limit:
            queue = self._next()
            if not self._fits(queue.waiting[0].width):
                break
            self._robin = queue.index
            begun.append(self._begin(queue, now))
        return begun

    def _begin(self, queue: Queue, now: float) -> Waiter:
        waiter = queue.waiting.popleft()
        self._forget(waiter)
        waiter.started = now
        self.seats += waiter.width
        self._queued_seats += waiter.width
        self.executing += 1
        queue.seats += waiter.width
        queue.executing += 1
        queue.next_r += waiter.work
        queue.bound()
        return waiter

    def finish(self, now: float, waiter: Waiter) -> None:
        """One that `dispatch` let in is done: its queue is charged what it took. `dispatch` is due next."""
        assert waiter.started is not None
        self._progress(now)
        self.leave(waiter.width)
        queue = waiter.queue
        self._queued_seats -= waiter.width
        queue.seats -= waiter.width
        queue.executing -= 1
        queue.next_r -= waiter.work - (now - waiter.started) * waiter.width
        queue.bound()
        self._drop_idle(queue)

    def give_up(self, now: float, waiter: Waiter) -> None:
        """One that waits waits no more. `dispatch` is due next: it may have stood before one with less to ask."""
        self._progress(now)
        waiter.queue.waiting.remove(waiter)
        self._forget(waiter)
        waiter.queue.bound()
        self._drop_idle(waiter.queue)

    def _fits(self, width: int) -> bool:
        """Whether so many seats are free; one that asks for more than there are goes alone."""
        if width <= self.limit:
            return self.seats + width <= self.limit
        return not self.executing and (self.limit > 0 or not self.shape.queues)

    def _forget(self, waiter: Waiter) -> None:
        self.waiting -= 1
        self.waiting_seats -= waiter.width

    def _drop_idle(self, queue: Queue) -> None:
        if queue.idle:
            del self.queues[queue.index]

    def _progress(self, now: float) -> None:
        """Moves R on: by what each queue could have had since then, if all had shared what was asked for."""
        if self.queues:
            asked = min(self._queued_seats + self.waiting_seats, self.limit)
            self.progress += asked / len(self.queues) * (now - self._at)
        self._at = now

    def _choose(self, entropy: int) -> int:
        """The queue of a flow's hand with the least work; of several, not always the same."""
        hand = deal(entropy, self.shape.queues, self.shape.hand)
        first = self._arrivals % len(hand)
        self._arrivals += 1
        return min(hand[first:] + hand[:first], key=self._waiting_work)

    def _waiting_work(self, index: int) -> float:
        queue = self.queues.get(index)
        return sum(waiter.work for waiter in queue.waiting) if queue is not None else 0.0

    def _next(self) -> Queue:
        """The queue whose oldest request would be through first; of several, the first behind the last one served."""
        decks = max(self.shape.queues, max(self.queues) + 1)
        waiting = [queue for queue in self.queues.values() if queue.waiting]
        return min(waiting, key=lambda q: (q.next_r + q.waiting[0].work, (q.index - self._robin - 1) % decks))


def entropy_of(schema: str, distinguisher: str) -> int:
    """What a flow's hand is dealt by."""
    return int.from_bytes(sha256(f"{schema}\0{distinguisher}".encode()).digest()[:8], "little")


def deal(entropy: int, deck: int, hand: int) -> list[int]:
    """`hand` different queues of `deck`; each hand is as likely as any other. Upstream: pkg/util/shufflesharding."""
    cards: list[int] = []
    for left in range(deck, deck - hand, -1):
        entropy, card = divmod(entropy, left)
        for dealt in sorted(cards):
            card += card >= dealt
        cards.append(card)
    return cards

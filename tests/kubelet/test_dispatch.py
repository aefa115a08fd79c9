"""Subscriptions: whom an informer's event reaches, and that listeners come and go without looking at each other."""

from __future__ import annotations

from collections.abc import Callable

from minik8s.kubelet.dispatch import Subscriptions
from minik8s.machinery.meta import Doc

A, B = {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}


class FakeInformer:
    """Hands over what a test says has changed."""

    def add_handler(self, handler: Callable[[Doc | None, Doc | None], None]) -> None:
        self.tell = handler


def _subscriptions() -> tuple[FakeInformer, Subscriptions]:
    informer = FakeInformer()
    return informer, Subscriptions(informer, lambda obj: obj["metadata"]["name"])  # type: ignore[arg-type]


def _heard(name: str, into: list[str]) -> Callable[[Doc | None, Doc | None], None]:
    return lambda old, new: into.append(name)


def test_an_event_reaches_those_who_listen_to_its_key_in_the_order_they_came() -> None:
    """Listeners of other keys hear nothing."""
    informer, subscriptions = _subscriptions()
    heard: list[str] = []
    for key, name in (("a", "first"), ("b", "other"), ("a", "second")):
        subscriptions.subscribe(key, _heard(name, heard))
    informer.tell(None, A)
    assert heard == ["first", "second"]


def test_one_listener_leaves_and_the_others_of_its_key_stay() -> None:
    """A removal takes away that subscription alone, even of a listener that is there twice, and may be repeated."""
    informer, subscriptions = _subscriptions()
    heard: list[str] = []
    twice = _heard("twice", heard)
    leave = subscriptions.subscribe("a", twice)
    subscriptions.subscribe("a", twice)
    subscriptions.subscribe("a", _heard("other", heard))
    leave()
    leave()
    informer.tell(None, A)
    assert heard == ["twice", "other"]


def test_a_listener_may_leave_and_others_come_while_it_is_told() -> None:
    """Everybody who listened when the event came hears it, and who came in between hears the next."""
    informer, subscriptions = _subscriptions()
    heard: list[str] = []

    def restless(old: Doc | None, new: Doc | None) -> None:
        leave()
        subscriptions.subscribe("a", _heard("new", heard))

    leave = subscriptions.subscribe("a", restless)
    subscriptions.subscribe("a", _heard("old", heard))
    informer.tell(None, A)
    assert heard == ["old"]
    informer.tell(A, A)
    assert heard == ["old", "old", "new"]

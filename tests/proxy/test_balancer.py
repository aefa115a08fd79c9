"""The ring of endpoints."""

from collections import Counter

from minik8s.proxy.balancer import Balancer
from minik8s.proxy.servicemap import Endpoint

A, B, C, D = (Endpoint("127.64.0.1", n) for n in range(1, 5))


def picks(balancer: Balancer, count: int) -> list[Endpoint | None]:
    return [balancer.pick("client", 0) for _ in range(count)]


def test_endpoints_take_turns():
    """Every endpoint gets the same share, in a fixed order."""
    assert picks(Balancer([A, B, C]), 6) == [A, B, C, A, B, C]


def test_without_endpoints_there_is_none():
    """An empty ring has no answer."""
    assert Balancer().pick("client", 0) is None


def test_a_change_does_not_restart_the_rotation():
    """The endpoint whose turn it is stays next when others come and go, and newcomers wait behind those present."""
    balancer = Balancer([A, B, C])
    assert picks(balancer, 2) == [A, B]
    balancer.update([D, A, B, C], None)
    assert picks(balancer, 4) == [C, A, B, D]
    balancer.update([B, C, D], None)
    assert picks(balancer, 3) == [C, B, D]


def test_shares_stay_even_while_endpoints_change_at_every_pick():
    """An endpoint flapping between any two picks neither starves nor floods the others."""
    balancer = Balancer([A, B, C])
    counts: Counter[Endpoint | None] = Counter()
    for turn in range(300):
        balancer.update([A, B, C] if turn % 2 else [A, B], None)
        counts[balancer.pick("client", 0)] += 1
    assert abs(counts[A] - counts[B]) <= 2


def test_a_refused_endpoint_is_not_picked_again_for_the_same_connection():
    """What was tried is passed over until nothing is left."""
    balancer = Balancer([A, B])
    assert balancer.pick("client", 0, [A]) == B
    assert balancer.pick("client", 0, [A, B]) is None


def test_affinity_binds_a_client_to_its_endpoint():
    """One client keeps its endpoint, others take their turns."""
    balancer = Balancer([A, B, C], affinity=60)
    assert [balancer.pick("x", 0), balancer.pick("y", 1), balancer.pick("x", 2)] == [A, B, A]


def test_affinity_is_prolonged_by_use_and_ends_with_the_time_out():
    """The time counts from the last connection, not from the first."""
    balancer = Balancer([A, B], affinity=60)
    assert balancer.pick("x", 0) == A
    assert balancer.pick("x", 60) == A
    assert balancer.pick("x", 120) == A
    assert balancer.pick("x", 181) == B


def test_affinity_ends_with_the_endpoint():
    """A client whose endpoint is gone, or refuses, is bound to another and stays there."""
    balancer = Balancer([A, B, C], affinity=60)
    assert balancer.pick("x", 0) == A
    balancer.update([B, C], 60)
    assert [balancer.pick("x", 1), balancer.pick("x", 2)] == [B, B]
    assert [balancer.pick("x", 3, [B]), balancer.pick("x", 4)] == [C, C]


def test_bonds_survive_an_update_that_does_not_concern_them():
    """A newcomer does not take bound clients away."""
    balancer = Balancer([A], affinity=60)
    assert balancer.pick("x", 0) == A
    balancer.update([B, A], 60)
    assert balancer.pick("x", 1) == A


def test_forgotten_clients_cost_nothing():
    """Bonds that have run out are dropped, so that the table does not grow with every client ever seen."""
    balancer = Balancer([A], affinity=10)
    for second in range(1000):
        balancer.pick(f"client-{second}", second)
    assert len(balancer._clients) <= 11

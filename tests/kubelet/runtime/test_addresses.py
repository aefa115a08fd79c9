"""Pod addresses are unique in a cluster and among clusters, and come back."""

import random
import sys

import pytest

from minik8s.kubelet.runtime.addresses import AddressesExhausted, AddressPool, machine_addresses, no_claim


def test_a_range_is_used_up_and_given_back() -> None:
    """Network and broadcast address are left out; a released address can be had again."""
    pool = AddressPool("10.0.0.0/29", random.Random(1), no_claim)
    taken = [pool.acquire() for _ in range(6)]
    assert sorted(taken) == [f"10.0.0.{n}" for n in range(1, 7)]
    with pytest.raises(AddressesExhausted, match="all 6 are in use"):
        pool.acquire()
    pool.release(taken[3])
    assert pool.acquire() == taken[3]


def test_reuse_is_late() -> None:
    """A released address comes again only after the whole range."""
    pool = AddressPool("10.0.0.0/24", random.Random(1), no_claim)
    first = pool.acquire()
    pool.release(first)
    others = []
    for _ in range(253):
        others.append(pool.acquire())
        pool.release(others[-1])
    assert first not in others
    assert pool.acquire() == first


def test_releasing_twice_is_harmless() -> None:
    """What is not held is ignored."""
    pool = AddressPool("10.0.0.0/24", random.Random(1), no_claim)
    address = pool.acquire()
    pool.release(address)
    pool.release(address)
    assert len(pool) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract sockets")
def test_clusters_do_not_collide() -> None:
    """Two clusters with the same seed and range never share an address; closing one frees its addresses."""
    one = machine_addresses("127.127.255.240/28", random.Random(1))
    two = machine_addresses("127.127.255.240/28", random.Random(1))
    mine, theirs = [one.acquire() for _ in range(7)], [two.acquire() for _ in range(7)]
    assert not set(mine) & set(theirs)
    with pytest.raises(AddressesExhausted):
        two.acquire()
    one.close()
    assert two.acquire() in mine
    two.close()

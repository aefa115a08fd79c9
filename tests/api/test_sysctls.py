"""Names of kernel parameters, and what they are parameters of."""

import pytest

from minik8s.api.sysctls import SAFE_SYSCTLS, namespace_of_sysctl, with_dots


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("kernel.shm_rmid_forced", "kernel.shm_rmid_forced"),
        ("kernel/shm_rmid_forced", "kernel.shm_rmid_forced"),
        ("net.ipv4.conf.eno2/100.rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net.ipv4.conf.eno2/100.rp_filter"),
        ("abc", "abc"),
    ],
)
def test_names_have_two_forms(name: str, dotted: str) -> None:
    """The first separator tells which form it is; in the other one dots and slashes have changed places."""
    assert with_dots(name) == dotted


def test_what_is_safe_belongs_to_a_namespace() -> None:
    """Otherwise it would touch other pods; what belongs to none is known as such."""
    assert all(namespace_of_sysctl(name) in ("ipc", "net") for name in SAFE_SYSCTLS)
    assert namespace_of_sysctl("kernel.sem") == namespace_of_sysctl("fs.mqueue.msg_max") == "ipc"
    assert namespace_of_sysctl("vm.swappiness") == namespace_of_sysctl("kernel.panic") == ""

"""Namespaces for the sandbox runtime: the network that pods share, and what each pod has of its own.

All of it happens in the user namespace that the server was started in, whose root it is. The pods' network is a
network namespace too, the *fabric*: a pod is tied to it by a veth pair, the ClusterIPs are local addresses there, and
it passes packets from pod to pod. A node is tied to it as a pod is: its network is that of the pods with hostNetwork.
So a pod may bind any port of its own addresses, and whoever has a socket that was made in the fabric reaches every
pod, under a pod's address if it likes: answers to `FabricSpec["ports"]`, which no pod's own connections use, are for
the fabric and are not passed on. (Who listens there is reached through Services only.) Nothing has a name in any file
system: a namespace lives as long as a process is in it or somebody holds its descriptor, that is, not longer than the
host.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import socket
import struct
import subprocess
import sys

from . import TYPE_CHECKING
from .system import LIBC

if TYPE_CHECKING:
    from . import FabricSpec, PodSpec

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NOSUID_NODEV_NOEXEC = 14
_IP_TRANSPARENT, _IP_LOCAL_PORT_RANGE = 19, 51
"""Of <linux/in.h>; Python has names for them since 3.11 and not yet."""
_MOUNT_SETATTR, _MOUNT_ATTR_RDONLY, _AT_FDCWD, _AT_RECURSIVE = 442, 1, -100, 0x8000
"""Of <sys/mount.h> and <fcntl.h>, the same on every architecture."""
_MTU = 65520
"""No wire sets it a limit, and the way outside takes so much at once: that is four times as fast as with 1500."""
_ANSWERS = 100
"""The table of routes for answers to relayed connections."""


def unshare(flags: int) -> None:
    """New namespaces for this process. Raises OSError."""
    if LIBC.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def enter(fd: int) -> None:
    """Moves this process into the namespace behind a descriptor. Raises OSError."""
    if LIBC.setns(fd, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def own(kind: str) -> int:
    """A descriptor of this process's own namespace of a kind (`net`, `uts`, ...)."""
    return os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def make_read_only(path: str) -> None:
    """All mounts from there on (mount_setattr, since Linux 5.12). Raises OSError."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    if LIBC.syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE, attributes, len(attributes)):
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr: {os.strerror(number)}", path)


def run(argv: list[str], text: str = "", fds: tuple[int, ...] = ()) -> None:
    """Runs a tool to its end. Raises OSError with what it complains of."""
    done = subprocess.run(
        argv, input=text.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=fds, check=False
    )
    if done.returncode:
        raise OSError(0, f"{argv[0]}: {done.stderr.decode(errors='replace').strip()}")


def sysctl(name: str, value: str) -> None:
    with open(f"/proc/sys/{name}", "w") as file:
        file.write(value)


def mount_proc() -> None:
    """/proc shows the processes of this process's namespace. Raises OSError."""
    if LIBC.mount(b"proc", b"/proc", b"proc", _NOSUID_NODEV_NOEXEC, None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", "/proc")


def become_user(uid: int, gid: int) -> None:
    """This process's one user and group get other numbers, in a user namespace below ours, and no privileges.

    A process without root has one user only, whatever it is called. The privileges go with the exec that follows.
    """
    unshare(NEWUSER)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{gid} 0 1")):
        fd = os.open(f"/proc/self/{file}", os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def make_pod(spec: PodSpec, passed: list[int]) -> list[int]:
    """Descriptors of a pod's namespaces: ipc if wanted and, if `address` is given, uts and net.

    The network is tied to the fabric's, which is `passed`. A pod with its node's network has its host name as well.
    """
    address, gateway = spec["address"], spec["gateway"]
    if spec["ipc"]:
        unshare(NEWIPC)
    made = [own("ipc")] if spec["ipc"] else []
    if address:
        unshare(NEWNET | NEWUTS)
        socket.sethostname(spec["hostname"])
        sysctl("net/ipv4/ip_unprivileged_port_start", "0")
        sysctl("net/ipv4/conf/all/route_localnet", "1")
    for name, value in spec["sysctls"].items():
        sysctl(name.translate(str.maketrans("./", "/.")), value)
    if not address:
        return made
    fabric, peer = passed[0], "p" + socket.inet_aton(address).hex()
    pod = f"""link set lo up
        link add eth0 mtu {_MTU} type veth peer name {peer} mtu {_MTU} netns /proc/self/fd/{fabric}
        address add {address}/32 dev eth0
        link set eth0 up
        route add {gateway} dev eth0 scope link
        route add default via {gateway} src {address}
        route add table local {spec["balancers"]} via {gateway} dev eth0 src {address}
        """
    run(["ip", "-batch", "-"], pod, (fabric,))
    made += [own("uts"), own("net")]
    enter(fabric)
    run(["ip", "-batch", "-"], f"link set {peer} up\nroute add {address} dev {peer} scope link\n")
    return made


def make_fabric(spec: FabricSpec) -> bool:
    """Moves this process into a new network: ClusterIPs are its own addresses, and it is every pod's gateway.

    Answers whether its sockets may have pods' addresses; a kernel without rules for ports lacks that alone.
    """
    unshare(NEWNET)
    script = f"""link set lo up
        address add {spec["gateway"]}/32 dev lo
        route add local {spec["services"]} dev lo
        route add local {spec["balancers"]} dev lo
        """
    run(["ip", "-batch", "-"], script)
    sysctl("net/ipv4/ip_forward", "1")
    sysctl("net/ipv4/conf/all/route_localnet", "1")  # load balancers have addresses of 127.0.0.0/8
    sysctl("net/ipv4/conf/default/proxy_arp", "1")  # who stands between here and outside finds the pods by it
    sysctl("net/ipv4/ip_unprivileged_port_start", "0")
    try:
        _keep_answers(spec["pods"], *spec["ports"])
    except OSError:
        return False
    return True


def _keep_answers(pods: str, first: int, last: int) -> None:
    """What pods send to these ports of other pods is delivered here. Raises OSError; a half of it does no harm."""
    to = f"to {pods} dport {first}-{last} lookup {_ANSWERS}"
    rules = f"""route add local {pods} dev lo table {_ANSWERS}
        rule add pref 10 iif lo lookup main
        rule add pref 20 ipproto udp {to}
        rule add pref 20 ipproto tcp {to}
        """
    run(["ip", "-batch", "-"], rules)
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, (last << 16 | first).to_bytes(4, sys.byteorder))
            lowest = 32768
        except OSError:  # before Linux 6.3 a socket cannot ask for a range, so all have this one
            lowest = first
    sysctl("net/ipv4/ip_local_port_range", f"{lowest} {last}")
    sysctl("net/ipv4/tcp_tw_reuse", "1")


def serve_sockets(control: socket.socket, any_address: bool) -> None:
    """Makes sockets until the host is gone: a request is (family, kind, protocol, count), maybe with their network.

    Without one they are of the fabric; with `any_address` those may be bound to addresses that are not its own.
    """
    here = own("net")
    while True:
        request, networks, _, _ = socket.recv_fds(control, 256, 1)
        if not request:
            return
        made: list[socket.socket] = []
        try:
            family, kind, protocol, count = marshal.loads(request)
            for fd in networks:
                enter(fd)
            made.extend(socket.socket(family, kind, protocol) for _ in range(count))
            if any_address and not networks and family == socket.AF_INET:
                for sock in made:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        except OSError as error:
            control.send(b"%d" % (error.errno or 0))
        else:
            socket.send_fds(control, [b"0"], [sock.fileno() for sock in made])
        for sock in made:
            sock.close()
        for fd in networks:
            os.close(fd)
            enter(here)

"""IP addresses and CIDR blocks. Upstream: k8s.io/apiserver `pkg/cel/library/ip.go` and `cidr.go`, Go's `net/netip`."""

from __future__ import annotations

import ipaddress
import re

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Opaque

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LINK_LOCAL_MULTICAST = ipaddress.ip_network("224.0.0.0/24")


@attrs.frozen
class IP(Opaque):
    """An address."""

    address: Address

    cel_name = "net.IP"

    def __str__(self) -> str:
        return str(self.address)


@attrs.frozen
class CIDR(Opaque):
    """An address with the length of its prefix; bits beyond it are kept until `masked()`."""

    address: Address
    length: int

    cel_name = "net.CIDR"

    @property
    def network(self) -> Network:
        """The block."""
        return ipaddress.ip_network(f"{self.address}/{self.length}", strict=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.length}"


def _problem(text: str) -> str:
    """Why Go's ParseAddr refuses a text, for the usual mistakes."""
    if ":" in text:
        if ":::" in text:
            rest = text[text.index(":::") + 2 :]
            return f'each colon-separated field must have at least one digit (at "{rest}")'
        if text.count("::") > 1:
            return "multiple :: in address"
        return "address string too short" if text.count(":") < 7 and "::" not in text else "unexpected character"
    fields = text.split(".")
    if len(fields) == 1:
        return "unable to parse IP"
    for field in fields:
        if not field.isascii() or not field.isdigit():
            return "IPv4 field must have at least one digit" if field == "" else f'unexpected character (at "{field}")'
        if len(field) > 1 and field.startswith("0"):
            return "IPv4 field has octet with leading zero"
        if len(field) > 3 or int(field) > 255:
            return "IPv4 field has value >255"
    return "IPv4 address too long" if len(fields) > 4 else "IPv4 address too short"


def _address(text: str) -> Address:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        message = f'ParseAddr("{text}"): {_problem(text)}'
        raise EvaluationError(f'IP Address "{text}" parse error during conversion from string: {message}') from None
    if "%" in text:
        raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def _is_ip(text: str) -> bool:
    try:
        _address(text)
    except EvaluationError:
        return False
    return True


def _cidr(text: str) -> CIDR:
    prefix = "network address parse error during conversion from string: "
    address, slash, bits = text.rpartition("/")
    problem = ""
    if not slash:
        problem = f"netip.ParsePrefix(\"{text}\"): no '/'"
    elif not _is_ip(address):
        problem = f'netip.ParsePrefix("{text}"): ParseAddr("{address}"): {_problem(address)}'
    elif not re.fullmatch(r"0|[1-9][0-9]{0,2}", bits):
        problem = f'netip.ParsePrefix("{text}"): bad bits after slash: "{bits}"'
    if problem:
        raise EvaluationError(prefix + prefix + problem)
    found = _address(address)
    if int(bits) > found.max_prefixlen:
        raise EvaluationError(f'{prefix}{prefix}netip.ParsePrefix("{text}"): prefix length out of range')
    return CIDR(found, int(bits))


def _is_cidr(text: str) -> bool:
    try:
        _cidr(text)
    except EvaluationError:
        return False
    return True


def _contains_ip(block: CIDR, address: IP | str) -> bool:
    found = _address(address) if isinstance(address, str) else address.address
    return found.version == block.address.version and found in block.network


def _contains_cidr(block: CIDR, other: CIDR | str) -> bool:
    inner = _cidr(other) if isinstance(other, str) else other
    return (
        inner.address.version == block.address.version
        and inner.length >= block.length
        and inner.network[0] in block.network
    )


def _link_local_multicast(ip: IP) -> bool:
    if isinstance(ip.address, ipaddress.IPv4Address):
        return ip.address in _LINK_LOCAL_MULTICAST
    packed = ip.address.packed
    return packed[0] == 0xFF and packed[1] & 0x0F == 0x02


def _link_local_unicast(ip: IP) -> bool:
    return ip.address.is_link_local


def _global_unicast(ip: IP) -> bool:
    address = ip.address
    broadcast = str(address) == "255.255.255.255"
    return not (
        broadcast or address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    )


FUNCTIONS = table(
    [
        ("ip", "(string) -> net.IP", lambda text: IP(_address(text))),
        ("ip", "net.CIDR.() -> net.IP", lambda block: IP(block.address)),
        ("isIP", "(string) -> bool", _is_ip),
        ("ip.isCanonical", "(string) -> bool", lambda text: str(_address(text)) == text),
        ("family", "net.IP.() -> int", lambda ip: ip.address.version),
        ("isUnspecified", "net.IP.() -> bool", lambda ip: ip.address.is_unspecified),
        ("isLoopback", "net.IP.() -> bool", lambda ip: ip.address.is_loopback),
        ("isLinkLocalMulticast", "net.IP.() -> bool", _link_local_multicast),
        ("isLinkLocalUnicast", "net.IP.() -> bool", _link_local_unicast),
        ("isGlobalUnicast", "net.IP.() -> bool", _global_unicast),
        ("string", "(net.IP) -> string", str),
        ("cidr", "(string) -> net.CIDR", _cidr),
        ("isCIDR", "(string) -> bool", _is_cidr),
        ("containsIP", "net.CIDR.(net.IP) -> bool", _contains_ip),
        ("containsIP", "net.CIDR.(string) -> bool", _contains_ip),
        ("containsCIDR", "net.CIDR.(net.CIDR) -> bool", _contains_cidr),
        ("containsCIDR", "net.CIDR.(string) -> bool", _contains_cidr),
        ("masked", "net.CIDR.() -> net.CIDR", lambda block: CIDR(block.network.network_address, block.length)),
        ("prefixLength", "net.CIDR.() -> int", lambda block: block.length),
        ("string", "(net.CIDR) -> string", str),
    ]
)

"""dig, nslookup and nc, as far as upstream's tests use them: its images bring them along, and the host may have none.

Which of them runs is said by the program's name. Standard library alone, as everything in this package.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator

from minik8s.testing.agnhost.flags import inside

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33}
_NAMES = {number: name for name, number in TYPES.items()}
_IDLE = 5.0
_POINTER = 0xC0
Record = tuple[str, int, str, str]
"""Owner, seconds to live, type and value, as dig prints them."""


def main() -> None:
    """Runs the program that `sys.argv` names."""
    program = {"dig": dig, "nslookup": nslookup, "nc": nc}[os.path.basename(sys.argv[0])]
    try:
        code = program(sys.argv[1:])
    except (OSError, ValueError) as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    os._exit(code)


def dig(arguments: list[str]) -> int:
    """`dig [@server] [-p port] [-x address] [+short] [+search] [+tcp] NAME [TYPE]`; 9 when nobody answers."""
    name, kind, port, options = "", "A", 53, set()
    servers, domains, _ = _configuration()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("+"):
            options.add(word)
        elif word.startswith("@"):
            servers = [word[1:]]
        elif word == "-p":
            port = int(rest.pop(0))
        elif word == "-x":
            name, kind = ".".join(reversed(rest.pop(0).split("."))) + ".in-addr.arpa", "PTR"
        elif word.upper() in TYPES and name:
            kind = word.upper()
        else:
            name = word
    names = [name]
    if "+search" in options and not name.endswith("."):
        names += [f"{name}.{domain}" for domain in domains]
    for tried in names:
        records = _ask(tried.rstrip("."), TYPES[kind], servers, port, "+tcp" in options)
        if records is None:
            print(";; no servers could be reached", file=sys.stderr)
            return 9
        if records:
            for owner, ttl, type, value in records:
                print(value if "+short" in options else f"{owner}.\t\t{ttl}\tIN\t{type}\t{value}")
            break
    return 0


def _configuration() -> tuple[list[str], list[str], int]:
    """Of resolv.conf: the servers, the domains to search, and how many dots make a name that is tried first."""
    servers: list[str] = []
    domains: list[str] = []
    dots = 1
    with open(inside("/etc/resolv.conf")) as file:
        for words in map(str.split, file):
            servers += words[1:] if words[:1] == ["nameserver"] else []
            domains = words[1:] if words[:1] == ["search"] else domains
            dots = next((int(w[6:]) for w in words[1:] if words[0] == "options" and w.startswith("ndots:")), dots)
    return servers, domains, dots


def nslookup(arguments: list[str]) -> int:
    """`nslookup [-type=TYPE] [-port=PORT] NAME [SERVER]`; 1 when there is no such name or nobody answers."""
    options = dict(word.lstrip("-").partition("=")[::2] for word in arguments if word.startswith("-"))
    words = [word for word in arguments if not word.startswith("-")]
    kinds = [options[key].upper() for key in ("type", "querytype", "q") if key in options] or ["A", "AAAA"]
    if not words or kinds[0] not in TYPES:
        print("nslookup: a NAME, and types among", ", ".join(TYPES), "are in this stand-in", file=sys.stderr)
        return 1
    servers, domains, dots = _configuration()
    servers = words[1:2] or servers
    port = int(options.get("port", "53"))
    for name in searched(words[0], domains, dots):
        found = [_ask(name, TYPES[kind], servers, port, False) for kind in kinds]
        if found[0] is None:
            print(";; connection timed out; no servers could be reached\n")
            return 1
        if records := [record for answer in found for record in answer or ()]:
            print(f"Server:\t\t{servers[0]}\nAddress:\t{servers[0]}#{port}\n")
            print("\n".join(dict.fromkeys(map(_line, records))) + "\n")
            return 0
    print(f"Server:\t\t{servers[0]}\nAddress:\t{servers[0]}#{port}\n\n** server can't find {words[0]}: NXDOMAIN\n")
    return 1


def searched(name: str, domains: list[str], dots: int) -> list[str]:
    """The names to try for one: as it is first if it has dots enough, and only so if it ends with one."""
    if name.endswith("."):
        return [name[:-1]]
    longer = [f"{name}.{domain}" for domain in domains]
    return [name, *longer] if name.count(".") >= dots else [*longer, name]


def _line(record: Record) -> str:
    """As BIND's nslookup says it."""
    owner, _, kind, value = record
    if kind in ("A", "AAAA"):
        return f"Name:\t{owner}\nAddress: {value}"
    word = {"CNAME": "canonical name", "SRV": "service", "PTR": "name", "NS": "nameserver", "TXT": "text"}
    return f"{owner}\t{word.get(kind, kind)} = {value}"


def _ask(name: str, kind: int, servers: list[str], port: int, by_tcp: bool) -> list[Record] | None:
    """The records of an answer; None when no server gives one."""
    query = struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0)
    for label in filter(None, name.split(".")):
        query += bytes([len(label)]) + label.encode()
    query += b"\0" + struct.pack("!2H", kind, 1)
    for server in servers:
        try:
            with socket.socket(type=socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM) as connection:
                connection.settimeout(_IDLE)
                connection.connect((server, port))
                connection.sendall(struct.pack("!H", len(query)) + query if by_tcp else query)
                if by_tcp:
                    with connection.makefile("rb") as stream:
                        return list(records_in(stream.read(struct.unpack("!H", stream.read(2))[0])))
                return list(records_in(connection.recv(65535)))
        except OSError:
            continue
    return None


def records_in(message: bytes) -> Iterator[Record]:
    """The answer section of a DNS message (RFC 1035)."""
    questions, answers = struct.unpack("!2H", message[4:8])
    at = 12
    for _ in range(questions):
        at = _name(message, at)[1] + 4
    for _ in range(answers):
        owner, at = _name(message, at)
        kind, _, ttl, length = struct.unpack("!2HIH", message[at : at + 10])
        at += 10
        yield owner, ttl, _NAMES.get(kind, f"TYPE{kind}"), _value(message, at, kind, length)
        at += length


def _value(message: bytes, at: int, kind: int, length: int) -> str:
    data = message[at : at + length]
    match _NAMES.get(kind):
        case "A":
            return socket.inet_ntop(socket.AF_INET, data)
        case "AAAA":
            return socket.inet_ntop(socket.AF_INET6, data)
        case "CNAME" | "NS" | "PTR":
            return _name(message, at)[0] + "."
        case "SRV":
            return " ".join(map(str, struct.unpack("!3H", data[:6]))) + f" {_name(message, at + 6)[0]}."
    return '"' + data[1:].decode(errors="replace") + '"'


def _name(message: bytes, at: int) -> tuple[str, int]:
    """A name and where it ends; what it points to is followed."""
    labels: list[str] = []
    after = 0
    while length := message[at]:
        if length >= _POINTER:
            after = after or at + 2
            at = struct.unpack("!H", message[at : at + 2])[0] & 0x3FFF
            continue
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), after or at + 1


def nc(arguments: list[str]) -> int:
    """`nc [-v] [-t|-u] [-z] [-w seconds] HOST PORT`: 0 when somebody is there."""
    letters, words, rest, wait = "", [], list(arguments), 0.0
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            words.append(word)
            continue
        letters += word[1:]
        if word.endswith(("w", "q")):
            seconds = float(rest.pop(0))
            wait = seconds if word.endswith("w") else wait
    if "l" in letters or len(words) != 2:
        print("nc: only connections to a HOST and PORT are in this stand-in", file=sys.stderr)
        return 1
    by_udp = "u" in letters
    kind = socket.SOCK_DGRAM if by_udp else socket.SOCK_STREAM
    family, _, _, _, address = socket.getaddrinfo(words[0], words[1], type=kind)[0]
    with socket.socket(family, kind) as connection:
        connection.settimeout(wait or None)
        connection.connect(address)
        if "z" in letters and by_udp:
            _refused(connection)
        if "v" in letters:
            name = "udp" if by_udp else "tcp"
            print(f"Connection to {words[0]} {words[1]} port [{name}/*] succeeded!", file=sys.stderr)
        if "z" not in letters:
            _relay(connection, wait)
    return 0


def _refused(connection: socket.socket) -> None:
    """Raises ConnectionRefusedError when the host says that nobody listens."""
    for _ in range(2):
        connection.send(b"X")
        time.sleep(0.1)


def _relay(connection: socket.socket, idle: float) -> None:
    """Input to the other side and its answers to the output, until it closes or says nothing for so long."""
    sources: list[socket.socket | int] = [connection, 0]
    while connection in sources:
        ready, _, _ = select.select(sources, [], [], idle or None)
        if not ready:
            return
        if 0 in ready:
            if data := os.read(0, 65536):
                connection.sendall(data)
            else:
                sources.remove(0)
        if connection in ready:
            if not (data := connection.recv(65536)):
                return
            os.write(1, data)

"""Commands that only open, accept or close connections."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import UsageError, address, duration, hostname, log, number, parse
from minik8s.testing.agnhost.web import Answer, Request

RESET = struct.pack("ii", 1, 0)


def pause() -> int:
    """Until a signal comes."""
    print("Paused", flush=True)
    threading.Event().wait()
    return 0


def connect(arguments: list[str]) -> int:
    """Opens one connection; what goes wrong is told by a word."""
    target = next((a for a in arguments if not a.startswith("-")), "")
    rest = [a for a in arguments if a != target]
    flags = parse(rest, {"timeout": "1s", "protocol": "tcp", "udp-data": ""})
    host, _, port = target.rpartition(":")
    if not port.isdigit():
        return _complain("UNKNOWN")
    if flags["protocol"] != "tcp":
        raise UsageError(f"protocol {flags['protocol']} is not in this stand-in")
    try:
        socket.create_connection((host.strip("[]"), int(port)), duration(flags["timeout"])).close()
    except TimeoutError:
        return _complain("TIMEOUT")
    except socket.gaierror:
        return _complain("DNS")
    except ConnectionRefusedError:
        return _complain("REFUSED")
    except OSError as error:
        return _complain(f"OTHER: {error}")
    return 0


def _complain(text: str) -> int:
    os.write(2, f"{text}\n".encode())
    return 1


def _accepting(host: str, port: int, answer: Callable[[socket.socket], None]) -> threading.Thread:
    """Answers every connection, one after the other."""
    server = socket.create_server((host, port))

    def run() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                try:
                    answer(connection)
                except OSError as error:
                    log(f"{error}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def serve_hostname(arguments: list[str]) -> int:
    """Tells the host name over TCP, UDP or HTTP."""
    flags = parse(arguments, {"tcp": "false", "udp": "false", "http": "true", "close": "false", "port": "9376"})
    port, name = number(flags, "port"), hostname()
    if flags["udp"] == "true":
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address(), port))

        def datagrams() -> None:
            while True:
                _, client = server.recvfrom(65535)
                server.sendto(name.encode(), client)

        threading.Thread(target=datagrams, daemon=True).start()
    if flags["tcp"] == "true":
        _accepting(address(), port, lambda connection: connection.sendall(name.encode()))
    if "true" in (flags["tcp"], flags["udp"]):
        threading.Event().wait()
    headers = {"Connection": "close"} if flags["close"] == "true" else {}

    def tell(request: Request) -> Answer:
        log(f"HTTP request from {request.client}")
        return 200, name, headers

    return web.forever(web.serve(lambda path: tell, port))


def tcp_reset(arguments: list[str]) -> int:
    """Reads one byte and closes: with more unread, that is a reset."""
    flags = parse(arguments, {"port": "8080"})

    def read_one(connection: socket.socket) -> None:
        connection.recv(1)

    _accepting(address(), number(flags, "port"), read_one)
    threading.Event().wait()
    return 0


def porter(arguments: list[str]) -> int:
    """Serves what SERVE_PORT_N (or SERVE_TCP_PORT_N), SERVE_TLS_PORT_N and SERVE_UDP_PORT_N say, on port N."""
    as_json = parse(arguments, {"json-response": "false"})["json-response"] == "true"
    certificate = {
        "tls-cert-file": os.environ.get("CERT_FILE") or "/localhost.crt",
        "tls-private-key-file": os.environ.get("KEY_FILE") or "/localhost.key",
    }
    for name, text in os.environ.items():
        kind, _, port = name.rpartition("_")
        if not port.isdigit():
            continue
        run: Callable[[], object]
        match kind:
            case "SERVE_PORT" | "SERVE_TCP_PORT" | "SERVE_TLS_PORT":
                flags = certificate if kind == "SERVE_TLS_PORT" else None
                run = web.serve(_saying(text, as_json), int(port), flags=flags).serve_forever
            case "SERVE_UDP_PORT":
                run = partial(_echo, int(port), text.encode())
            case _:
                continue
        threading.Thread(target=run, daemon=True).start()
    threading.Event().wait()
    return 0


def _saying(text: str, as_json: bool) -> Callable[[str], web.Route]:
    """The same for every path; as JSON with the request's method."""

    def answer(request: Request) -> Answer:
        return 200, {"Method": request.method, "Body": text} if as_json else text

    return lambda path: answer


def _echo(port: int, text: bytes) -> None:
    """Answers every datagram."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind((address(), port))
        while True:
            server.sendto(text, server.recvfrom(16)[1])


def port_forward_tester(arguments: list[str]) -> int:
    """Takes one connection, checks what it says, and answers in chunks."""
    parse(arguments, {})
    environ = os.environ
    host, expected = environ.get("BIND_ADDRESS") or "localhost", environ.get("EXPECTED_CLIENT_DATA", "").encode()
    host = address() if host == "localhost" and environ.get("MINIK8S_ROOT", "/") != "/" else host
    chunk = b"x" * int(environ.get("CHUNK_SIZE") or 0)
    server = socket.create_server((host, int(environ["BIND_PORT"])))
    connection, _ = server.accept()
    print("Accepted client connection", flush=True)
    server.close()
    with connection:
        if expected:
            data = b""
            while len(data) < len(expected) and (part := connection.recv(len(expected) - len(data))):
                data += part
            if data != expected:
                print(f"Expected {expected!r} from client, but got {data!r}", flush=True)
                return 3
            print("Received expected client data", flush=True)
        for _ in range(int(environ.get("CHUNKS") or 0)):
            connection.sendall(chunk)
            time.sleep(int(environ.get("CHUNK_INTERVAL") or 0) / 1000)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            print(f"Received unexpected data: {data!r}", flush=True)
    print("Done", flush=True)
    return 0

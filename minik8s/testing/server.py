"""A small web server to try Services, probes and rollouts on: the image `minik8s/testserver`.

It tells who answered (host name, version, how often), can be made slow or to exit, and on SIGTERM does what a good
container does: stop accepting, finish what is in flight, exit 0. One file of the standard library that needs nothing of
this package, so that it starts in a few dozen milliseconds and can be copied into a real image.

    GET /             {"hostname", "version", "message", "address", "requests"} as JSON
    GET /healthz      ok
    GET /readyz       ok, or 503 once it is terminating
    GET /env          the environment as JSON
    ANY /echo         method, path, query, headers and body of the request as JSON
    GET /sleep?seconds=1.5    answers after that time
    GET /exit?code=3  answers, then exits

Options: --host (default $POD_IP or 0.0.0.0), --port ($PORT or 8080), --version ($VERSION), --message ($MESSAGE),
--grace seconds to finish requests after SIGTERM (10), --hang-on-term to ignore SIGTERM.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import BinaryIO

MAX_HEADERS = 100
MAX_LINE = 1 << 16
MAX_BODY = 1 << 20
IDLE_SECONDS = 60.0
FRESH_SECONDS = 1.0
"""How long, when terminating, a connection that has not brought a request yet is still waited for."""
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Content Too Large", 503: "Service Unavailable"}
OPTIONS = ("host", "port", "version", "message", "grace")


class BadRequest(Exception):
    """What arrived is not a request this server can read."""

    def __init__(self, status: int = 400) -> None:
        super().__init__(status)
        self.status = status


class Request:
    """A request as it was read."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path, _, query = target.partition("?")
        self.query = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
        self.headers = headers
        self.body = body
        self.keep_alive = headers.get("connection", "").lower() != "close"


def read_request(reader: BinaryIO) -> Request | None:
    """The next request, None at the connection's end. Raises BadRequest."""
    first = reader.readline(MAX_LINE)
    if not first:
        return None
    try:
        method, target, protocol = first.decode("latin-1").split()
    except ValueError:
        raise BadRequest from None
    headers: dict[str, str] = {}
    while (line := reader.readline(MAX_LINE).decode("latin-1").rstrip("\r\n")) and len(headers) < MAX_HEADERS:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if protocol == "HTTP/1.0":
        headers.setdefault("connection", "close")
    if "transfer-encoding" in headers:
        return Request(method, target, headers, _read_chunks(reader))
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise BadRequest
    if int(length) > MAX_BODY:
        raise BadRequest(413)
    return Request(method, target, headers, reader.read(int(length)))


def _read_chunks(reader: BinaryIO) -> bytes:
    body = b""
    try:
        while size := int(reader.readline(MAX_LINE).partition(b";")[0], 16):
            if size < 0 or len(body) + size > MAX_BODY:
                raise BadRequest(413)
            body += reader.read(size)
            reader.readline(MAX_LINE)
    except ValueError:
        raise BadRequest from None
    while reader.readline(MAX_LINE).strip():
        pass  # trailers
    return body


def response(status: int, body: bytes, kind: str, *, keep_alive: bool, head: bool = False) -> bytes:
    """A whole HTTP/1.1 answer."""
    fields = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    end = "\r\n" if keep_alive else "Connection: close\r\n\r\n"
    return (fields + end).encode() + (b"" if head else body)


def parse_options(arguments: list[str]) -> dict[str, str]:
    """`--name value`, `--name=value` and the flag. Exits with 2 on anything else (argparse costs 15 ms)."""
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).removeprefix("--").partition("=")
        if name == "hang-on-term":
            options[name] = "true"
        elif name in OPTIONS and (equals or rest):
            options[name] = value if equals else rest.pop(0)
        else:
            print(f"usage: testserver {' '.join(f'[--{option} VALUE]' for option in OPTIONS)} [--hang-on-term]")  # noqa: T201
            raise SystemExit(2)
    return options


class Server:
    """Accepts in the main thread; a thread a connection, because a request may sleep."""

    def __init__(self, options: dict[str, str]) -> None:
        environ = os.environ
        self.version = options.get("version", environ.get("VERSION", ""))
        self.message = options.get("message", environ.get("MESSAGE", ""))
        self.grace = float(options.get("grace", "10"))
        self.hang_on_term = "hang-on-term" in options
        self.hostname = environ.get("HOSTNAME") or socket.gethostname()
        self.requests = 0
        self.terminating = False
        self.exit_code = 0
        self._state: dict[socket.socket, str] = {}
        self._changed = threading.Condition()
        self._wake, self._wake_write = socket.socketpair()
        host = options.get("host", environ.get("POD_IP") or "0.0.0.0")
        port = int(options.get("port", environ.get("PORT") or "8080"))
        self._listener = socket.create_server((host, port), backlog=512)
        self._listener.setblocking(False)
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])

    def run(self) -> int:
        """Serves until told to stop; the exit code."""
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        print(f"listening on {self.address}", flush=True)  # noqa: T201 (a server's log is its output)
        while not self.terminating:
            for ready in select.select([self._listener, self._wake], [], [])[0]:
                if ready is self._wake:
                    self._wake.recv(64)
                else:
                    self._accept()
        self._drain()
        return self.exit_code

    def _on_signal(self, signum: int, frame: object) -> None:
        if signum != signal.SIGTERM or not self.hang_on_term:
            self.terminating = True

    def _accept(self) -> None:
        """Takes every connection that waits."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._set_state(connection, "fresh")
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _drain(self) -> None:
        """No new connections and nothing more on idle ones; requests under way have `grace` seconds."""
        self._accept()
        self._listener.close()
        until = time.monotonic() + self.grace
        with self._changed:
            for connection, state in self._state.items():
                if state == "idle":
                    connection.shutdown(socket.SHUT_RD)
            self._changed.wait_for(lambda: not {"fresh", "busy"} & {*self._state.values()}, FRESH_SECONDS)
            self._changed.wait_for(lambda: "busy" not in self._state.values(), until - time.monotonic())

    def _set_state(self, connection: socket.socket, state: str | None) -> None:
        with self._changed:
            if state is None:
                del self._state[connection]
            else:
                self._state[connection] = state
            self._changed.notify_all()

    def _serve(self, connection: socket.socket) -> None:
        """A connection's life."""
        connection.settimeout(IDLE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection.makefile("rb") as reader:
                while self._turn(connection, reader):
                    self._set_state(connection, "idle")
        except OSError:
            pass  # the client has left, or said nothing for too long
        finally:
            self._set_state(connection, None)
            connection.close()

    def _turn(self, connection: socket.socket, reader: BinaryIO) -> bool:
        """One request and its answer; False when the connection is over."""
        try:
            request = read_request(reader)
        except BadRequest as error:
            connection.sendall(response(error.status, b"", "text/plain", keep_alive=False))
            return False
        if request is None:
            return False
        self._set_state(connection, "busy")
        self.requests += 1
        try:
            status, body, kind = self.answer(request)
        except BadRequest as error:
            status, body, kind = error.status, b"", "text/plain"
        keep_alive = request.keep_alive and not self.terminating
        connection.sendall(response(status, body, kind, keep_alive=keep_alive, head=request.method == "HEAD"))
        return keep_alive

    def answer(self, request: Request) -> tuple[int, bytes, str]:
        """Status, body and content type."""
        match request.path:
            case "/":
                return _document(self._identity())
            case "/healthz":
                return 200, b"ok\n", "text/plain"
            case "/readyz":
                return (503, b"terminating\n", "text/plain") if self.terminating else (200, b"ok\n", "text/plain")
            case "/env":
                return _document(dict(os.environ))
            case "/echo":
                return _document(_echo(request))
            case "/sleep":
                time.sleep(_number(request, "seconds", 1.0))
                return 200, b"slept\n", "text/plain"
            case "/exit":
                self._stop(int(_number(request, "code", 0)) & 0xFF)
                return 200, b"exiting\n", "text/plain"
        return 404, b"not found\n", "text/plain"

    def _identity(self) -> dict[str, object]:
        return {
            "hostname": self.hostname,
            "version": self.version,
            "message": self.message,
            "address": self.address,
            "requests": self.requests,
        }

    def _stop(self, code: int) -> None:
        self.exit_code = code
        self.terminating = True
        self._wake_write.send(b"\0")


def _echo(request: Request) -> dict[str, object]:
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": request.headers,
        "body": request.body.decode(errors="replace"),
    }


def _number(request: Request, name: str, default: float) -> float:
    try:
        return max(0.0, float(request.query.get(name, default)))
    except ValueError:
        raise BadRequest from None


def _document(value: object) -> tuple[int, bytes, str]:
    return 200, json.dumps(value).encode() + b"\n", "application/json"


def main() -> None:
    code = Server(parse_options(sys.argv[1:])).run()
    sys.stdout.flush()
    os._exit(code)  # without waiting for threads whose connections are idle


if __name__ == "__main__":
    main()

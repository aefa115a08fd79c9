"""An HTTP server in a few lines, and the commands that need no more: liveness, test-webserver, fake-gitserver, ..."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from minik8s.testing.agnhost.flags import Flags, address, duration, hostname, inside, log, number, parse

Answer = tuple[int, bytes | str | dict[str, Any]] | tuple[int, bytes | str | dict[str, Any], dict[str, str]]
Route = Callable[["Request"], Answer]
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MAX_BODY = 64 << 20
_MARKUP = re.compile(
    rb"\s*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[ >])", re.I
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


class Request:
    """One request; `values` are its query parameters."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes, client: str) -> None:
        parts = urlsplit(target)
        self.method, self.path, self.headers, self.body, self.client = method, parts.path, headers, body, client
        self.values = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}


class Server(ThreadingHTTPServer):
    """One thread a connection; a client that leaves is no news."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        return


def content_type(data: bytes) -> str:
    """What Go's server takes an answer for that does not say what it is: markup, text or neither."""
    if _MARKUP.match(data):
        return "text/html; charset=utf-8"
    return "application/octet-stream" if _BINARY.search(data[:512]) else "text/plain; charset=utf-8"


def serve(routes: Callable[[str], Route | None], port: int, *, host: str = "", flags: Flags | None = None) -> Server:
    """A listening server; `routes` finds who answers a path. With tls-cert-file among the flags it speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY)
            body = self.rfile.read(length) if length else b""
            client = "{}:{}".format(*self.client_address[:2])
            request = Request(self.command, self.path, self.headers, body, client)
            route = routes(request.path)
            try:
                code, content, *more = route(request) if route else (404, "404 page not found\n")
            except (OSError, ValueError, LookupError) as error:  # asking others, or what they sent
                code, content, more = 500, f"{error}\n", []
            is_json = isinstance(content, dict)
            content = json.dumps(content) if isinstance(content, dict) else content
            data = content.encode() if isinstance(content, str) else content
            self.send_response(code)
            for name, value in {
                "Content-Type": "application/json" if is_json else content_type(data),
                "Content-Length": str(len(data)),
                **(more[0] if more else {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_any

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = Server((host or address(), port), Handler)
    if flags and flags.get("tls-cert-file"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(inside(flags["tls-cert-file"]), inside(flags["tls-private-key-file"]))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


def forever(server: Server) -> int:
    server.serve_forever()
    return 0


def liveness(arguments: list[str]) -> int:
    """Alive for ten seconds."""
    parse(arguments, {})
    began = time.monotonic()

    def healthz(request: Request) -> Answer:
        seconds = time.monotonic() - began
        return (500, f"error: {seconds}") if seconds > 10 else (200, "ok")

    routes: dict[str, Route] = {"/healthz": healthz, "/started": lambda request: (200, f"{time.monotonic() - began}")}
    return forever(serve(routes.get, 8080))


def test_webserver(arguments: list[str]) -> int:
    """Serves the files of the container."""
    flags = parse(arguments, {"port": "80"})

    def file(request: Request) -> Answer:
        path = inside(os.path.normpath(request.path))
        if os.path.isdir(path):
            return 200, "\n".join(sorted(os.listdir(path))) + "\n"
        try:
            with open(path, "rb") as found:
                return 200, found.read()
        except OSError:
            return 404, "404 page not found\n"

    return forever(serve(lambda path: file, number(flags, "port")))


def fake_gitserver(arguments: list[str]) -> int:
    parse(arguments, {})
    return forever(serve(lambda path: lambda request: (200, "I am a fake git server"), 8000))


def no_snat_test(arguments: list[str]) -> int:
    """Whether others see this pod by its own address."""
    flags = parse(arguments, {"port": "8080"})
    own = os.environ["POD_IP"]

    def check(request: Request) -> Answer:
        for ip in request.values.get("ips", "").split(","):
            with urllib.request.urlopen(f"http://{ip}/whoami", timeout=5) as answer:
                seen = answer.read().decode()
            if seen != own:
                return 500, f"{ip} sees {seen}, not {own}"
        return 200, ""

    routes: dict[str, Route] = {
        "/checknosnat": check,
        "/whoami": lambda request: (200, request.client.partition(":")[0]),
    }
    return forever(serve(routes.get, number(flags, "port")))


def inclusterclient(arguments: list[str]) -> int:
    """Asks the API server for /healthz again and again, as the pod's service account."""
    flags = parse(arguments, {"poll-interval": "30"})
    while True:
        log("calling /healthz")
        try:
            token, answer = ask_server("/healthz")
            log(f"authz_header={hash(token) & 0xFFFFFFFF:08x}")
            log(answer)
        except OSError as error:
            log(f"err: {error}")
        time.sleep(duration(flags["poll-interval"] + ("" if flags["poll-interval"][-1:].isalpha() else "s")))


def ask_server(path: str) -> tuple[str, str]:
    """The token of the pod's service account, and what the API server answers to it. Raises OSError."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    context = ssl.create_default_context(cafile=inside(f"{ACCOUNT}/ca.crt"))
    with open(inside(f"{ACCOUNT}/token")) as file:
        token = file.read()
    request = urllib.request.Request(f"https://{host}:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        body: bytes = answer.read()
    return token, body.decode()


__all__ = ["Answer", "Request", "Route", "Server", "ask_server", "fake_gitserver", "forever", "hostname", "serve"]

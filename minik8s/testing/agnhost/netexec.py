"""netexec: an HTTP and a UDP server that tell who they are, run commands and dial others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from datetime import datetime
from urllib.parse import urlsplit

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import UsageError, address, duration, hostname, log, number, parse
from minik8s.testing.agnhost.web import Answer, Request, Route

DIAL_SECONDS = 5.0
FLAGS = {
    "http-port": "8080", "udp-port": "8081", "sctp-port": "-1", "tls-cert-file": "", "tls-private-key-file": "",
    "http-override": "", "udp-listen-addresses": "", "delay-shutdown": "0",
}  # fmt: skip


class Netexec:
    """The endpoints of one server."""

    def __init__(self, override: str) -> None:
        self.override = override
        self.ready = False
        self.routes: dict[str, Route] = {
            "/": lambda request: (200, f"NOW: {datetime.now()}"),  # noqa: DTZ005
            "/clientip": lambda request: (200, request.client),
            "/dial": dial,
            "/echo": echo,
            "/exit": leave,
            "/healthz": lambda request: (200 if self.ready else 412, ""),
            "/hostname": lambda request: (200, hostname()),
            "/hostName": lambda request: (200, hostname()),
            "/redirect": redirect,
            "/serverport": lambda request: (200, request.headers.get("Host", "").rpartition(":")[2]),
            "/shell": shell,
            "/shutdown": lambda request: os._exit(0),
            "/upload": upload,
            "/header": lambda request: (200, request.headers.get(request.values.get("key", ""), "")),
        }

    def route(self, path: str) -> Route | None:
        if self.override:
            parts = urlsplit(self.override)
            found = self.routes.get(parts.path, self.routes["/"])
            return lambda request: found(Request("GET", self.override, request.headers, b"", request.client))
        return self._logged(self.routes.get(path, self.routes["/"]))

    def _logged(self, route: Route) -> Route:
        def answer(request: Request) -> Answer:
            query = "&".join(f"{name}={value}" for name, value in request.values.items())
            log(f"GET {request.path}{'?' if query else ''}{query}")
            return route(request)

        return answer


def netexec(arguments: list[str]) -> int:
    """Serves until told to exit."""
    flags = parse(arguments, FLAGS)
    if flags["sctp-port"] != "-1":
        raise UsageError("SCTP is not in this stand-in")
    served = Netexec(flags["http-override"])
    port = number(flags, "udp-port")
    if port == -1:
        served.ready = True
    else:
        for host in flags["udp-listen-addresses"].split(",") if flags["udp-listen-addresses"] else [address()]:
            threading.Thread(target=udp_server, args=(served, host, port), daemon=True).start()
    server = web.serve(served.route, number(flags, "http-port"), flags=flags)
    log(f"Started HTTP server on port {flags['http-port']}")
    return web.forever(server)


def udp_server(served: Netexec, host: str, port: int) -> None:
    """hostname, clientip, echo TEXT; what is anything else gets no answer."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((host, port))
    log(f"Started UDP server on port {host} {port}")
    served.ready = True
    while True:
        data, client = server.recvfrom(65535)
        text = data.decode(errors="replace").strip()
        command, _, rest = text.partition(" ")
        answers = {"hostname": hostname(), "clientip": "{}:{}".format(*client[:2]), "echo": rest}
        log(f"Received {text!r} from {client}")
        if (answer := answers.get(command.lower())) is not None:
            server.sendto(answer.encode(), client)


def echo(request: Request) -> Answer:
    code = request.values.get("code", "")
    if code and not code.lstrip("-").isdigit():
        return 200, f"argument 'code' must be an integer or empty, got {json.dumps(code)}\n"
    return int(code or 200), request.values.get("msg", "")


def redirect(request: Request) -> Answer:
    location, code = request.values.get("location", ""), request.values.get("code", "") or "302"
    return int(code), "", {"Location": location}


def leave(request: Request) -> Answer:
    try:
        wait, timeout = (duration(request.values.get(name, "")) for name in ("wait", "timeout"))
        code = int(request.values.get("code", "") or 0)
    except (UsageError, ValueError) as error:
        return 200, f"{error}\n"
    time.sleep(wait)
    if not timeout:
        os._exit(code)
    threading.Timer(0.1, os._exit, (code,)).start()  # once this answer is out
    return 200, ""


def shell(request: Request) -> Answer:
    command = request.values.get("shellCommand") or request.values.get("cmd", "")
    done = subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = {"output": done.stdout.decode(errors="replace")} if done.stdout else {}
    if done.returncode:
        output["error"] = f"exit status {done.returncode}"
    return 200, json.dumps(output)


def upload(request: Request) -> Answer:
    """A file of a form, kept under /uploads."""
    kind = request.headers.get("Content-Type", "")
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    parts = request.body.split(b"--" + boundary) if boundary else []
    content = next((p.partition(b"\r\n\r\n")[2].rsplit(b"\r\n", 1)[0] for p in parts if b'name="file"' in p), None)
    if content is None:
        return 200, json.dumps({"error": "Unable to upload file."})
    directory = f"{os.environ.get('MINIK8S_ROOT', '').rstrip('/')}/uploads"
    os.makedirs(directory, exist_ok=True)
    path = f"{directory}/upload{time.time_ns()}"
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o755)
    return 200, json.dumps({"output": path})


def dial(request: Request) -> Answer:
    """Asks another server, so often, what it answers to `request`."""
    values = request.values
    wanted, protocol = values.get("request", ""), values.get("protocol", "").lower() or "http"
    tries = values.get("tries", "") or "1"
    if not tries.isdigit():
        return 400, f"tries parameter is invalid. {tries}\n"
    if not wanted:
        return 400, "request parameter not specified. <nil>\n"
    if protocol not in ("http", "udp"):
        return 400, f"unsupported protocol. {protocol}\n"
    ask = dial_http if protocol == "http" else dial_udp
    try:
        host, port = socket.gethostbyname(values.get("host", "")), int(values.get("port", ""))
    except (OSError, ValueError) as error:
        return 400, f"host and/or port param are invalid. {error}\n"
    responses, errors = [], []
    for _ in range(int(tries)):
        try:
            responses.append(ask(host, port, wanted))
        except OSError as error:
            errors.append(str(error))
    output = {"responses": responses} if responses else {}
    return 200, json.dumps({**output, **({"errors": errors} if errors else {})})


def dial_http(host: str, port: int, request: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{host}:{port}/{request}", timeout=DIAL_SECONDS) as answer:
        body: bytes = answer.read()
    return body.decode(errors="replace")


def dial_udp(host: str, port: int, request: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DIAL_SECONDS)
        client.connect((host, port))
        client.send(request.encode())
        return client.recv(2048).decode(errors="replace")

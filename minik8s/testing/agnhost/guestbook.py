"""guestbook: a store that tells its replicas, and a front end that asks both."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.parse
import urllib.request

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import log, number, parse
from minik8s.testing.agnhost.web import Answer, Request, Route


class Guestbook:
    """One of its servers."""

    def __init__(self, backend_port: int) -> None:
        self.port = backend_port
        self.store: dict[str, str] = {}
        self.replicas: list[str] = []
        self.lock = threading.Lock()

    def register(self, request: Request) -> Answer:
        """A replica joins, and gets everything. It says where it is: a proxy on the way may hide that."""
        with self.lock:
            replica = request.values.get("host") or request.client.rpartition(":")[0]
            self.replicas.append(replica)
            return 200, dict(self.store)

    def get(self, request: Request) -> Answer:
        key = request.values.get("key", "")
        return 200, {"data": self.store.get(key, "") if key else json.dumps(self.store)}

    def set(self, request: Request) -> Answer:
        key, value = request.values.get("key", ""), request.values.get("value", "")
        with self.lock:
            self.store[key] = value
            for replica in self.replicas:
                ask(f"{replica}:{self.port}", "set", {"key": key, "value": value})
        return 200, {"data": "Updated"}

    def front(self, request: Request) -> Answer:
        """Writes go to the primary, reads to a replica."""
        values = request.values
        command = values.get("cmd", "")
        host = {"set": "agnhost-primary", "get": "agnhost-replica"}.get(command)
        if host is None:
            return 400, f"unknown command {command!r}\n"
        return 200, ask(f"{host}:{self.port}", command, values)


def ask(host: str, path: str, values: dict[str, str]) -> str:
    with urllib.request.urlopen(f"http://{host}/{path}?{urllib.parse.urlencode(values)}", timeout=5) as answer:
        body: bytes = answer.read()
    return body.decode()


def registered(primary: str) -> dict[str, str]:
    """What the primary has, once it answers. Raises OSError when it does not for a minute."""
    for _ in range(60):
        try:
            found: dict[str, str] = json.loads(ask(primary, "register", {"host": os.environ.get("POD_IP", "")}))
            return found
        except OSError as error:
            log(f"{primary}: {error}")
            time.sleep(1)
    raise OSError(f"could not register with {primary}")


def guestbook(arguments: list[str]) -> int:
    flags = parse(arguments, {"http-port": "80", "backend-port": "6379", "replicaof": ""})
    book = Guestbook(number(flags, "backend-port"))
    if primary := flags["replicaof"]:
        book.store.update(registered(f"{primary}:{book.port}"))
        log(f"Node successfully registered with {primary}")
    routes: dict[str, Route] = {
        "/register": book.register, "/get": book.get, "/set": book.set, "/guestbook": book.front,
        "/": lambda request: (200, "<html><body>Guestbook</body></html>", {"Content-Type": "text/html"}),
    }  # fmt: skip
    if flags["http-port"] == flags["backend-port"]:
        return web.forever(web.serve(routes.get, book.port))
    threading.Thread(target=web.serve(routes.get, book.port).serve_forever, daemon=True).start()
    return web.forever(web.serve(routes.get, number(flags, "http-port")))

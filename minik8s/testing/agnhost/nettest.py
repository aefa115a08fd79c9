"""nettest: pods of one Service that write to each other, and tell who has heard of whom."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from typing import Any

from minik8s.testing.agnhost import web
from minik8s.testing.agnhost.flags import UsageError, hostname, log, number, parse
from minik8s.testing.agnhost.web import Answer, Request, Route

FLAGS = {"port": "8080", "peers": "8", "service": "nettest", "namespace": "default", "delay-shutdown": "0"}
ROUNDS = 15
LONGEST_WAIT = 300.0
MAX_LOG = 500


class Nettest:
    """One pod: whom it has reached, and who has reached it."""

    def __init__(self, peers: int) -> None:
        self.peers = peers
        self.contacting = True
        self.sent: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self.errors: list[str] = []
        self.log: list[str] = []
        self.lock = threading.Lock()
        self.routes: dict[str, Route] = {
            "/quit": lambda request: os._exit(0),
            "/read": self.read,
            "/status": self.status,
            "/write": self.write,
        }

    def read(self, request: Request) -> Answer:
        """Everything, with null for what is empty, as Go writes it."""
        with self.lock:
            state = {
                "Hostname": hostname(),
                "Sent": self.sent or None,
                "Received": self.received or None,
                "Errors": self.errors or None,
                "Log": self.log or None,
                "StillContactingPeers": self.contacting,
            }
            return 200, json.dumps(state, indent="\t")

    def write(self, request: Request) -> Answer:
        with self.lock:
            try:
                source = json.loads(request.body).get("Source", "")
            except (ValueError, AttributeError) as error:
                source = ""
                self.errors.append(str(error))
            if source:
                self.received[source] = self.received.get(source, 0) + 1
            else:
                self.errors.append(f"{hostname()}: Got request with no source")
            return 200, json.dumps({"Hostname": hostname()}) + "\n"

    def status(self, request: Request) -> Answer:
        with self.lock:
            if min(len(self.sent), len(self.received)) >= self.peers:
                return 200, "pass"
            return 200, "running" if self.contacting else "fail"

    def note(self, text: str) -> None:
        with self.lock:
            self.log = [*self.log, text][-MAX_LOG:]

    def contact(self, namespace: str, service: str) -> None:
        """Writes to every pod of the Service, some rounds long, once there are enough of them."""
        pause = max(5.0, self.peers / 10)
        until = time.monotonic() + max(LONGEST_WAIT, float(self.peers))
        while len(found := self._addresses(namespace, service)) < self.peers and time.monotonic() < until:
            self.note(f"{namespace}/{service} has {len(found)} endpoints {found}, expected are {self.peers}")
            time.sleep(pause)
        for _ in range(ROUNDS):
            for address in self._addresses(namespace, service):
                self._write_to(address)
            time.sleep(pause)
        with self.lock:
            self.contacting = False

    def _addresses(self, namespace: str, service: str) -> list[str]:
        try:
            found = json.loads(web.ask_server(f"/api/v1/namespaces/{namespace}/endpoints/{service}")[1])
        except (OSError, KeyError) as error:
            self.note(f"Unable to read the endpoints for {namespace}/{service}: {error}.")
            return []
        return addresses(found)

    def _write_to(self, address: str) -> None:
        self.note(f"Attempting to contact {address}")
        body = json.dumps({"Source": hostname(), "Dest": address}).encode()
        try:
            with urllib.request.urlopen(f"http://{address}/write", body, timeout=10) as answer:
                name = json.load(answer)["Hostname"]
        except (OSError, ValueError) as error:
            self.note(f"Warning: unable to contact the endpoint {address!r}: {error}")
            return
        with self.lock:
            self.sent[name] = self.sent.get(name, 0) + 1


def addresses(endpoints: dict[str, Any]) -> list[str]:
    """Each address and port of an Endpoints object, once."""
    found = {
        f"{address['ip']}:{port['port']}"
        for subset in endpoints.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    }
    return sorted(found)


def nettest(arguments: list[str]) -> int:
    """Serves until told to quit."""
    flags = parse(arguments, FLAGS)
    if not flags["service"]:
        raise UsageError("Must provide -service flag.")
    delay = number(flags, "delay-shutdown")
    state = Nettest(number(flags, "peers"))
    server = web.serve(state.routes.get, number(flags, "port"))
    if delay > 0:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_leave_after, args=(delay,)).start())
    threading.Thread(target=state.contact, args=(flags["namespace"], flags["service"]), daemon=True).start()
    return web.forever(server)


def _leave_after(seconds: int) -> None:
    log(f"Sleeping {seconds} seconds before exit ...")
    time.sleep(seconds)
    os._exit(0)

"""A webhook for tests: an HTTPS server on an ephemeral port that records the reviews it gets and answers as told."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from minik8s.apiserver.pki import Authority, KeyPair, server_context
from minik8s.apiserver.server import listen, serve

Answer = Callable[[dict[str, Any]], Any]

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CM: dict[str, Any] = {"metadata": {"name": "a", "labels": {"app": "x"}}, "data": {"k": "v"}}
SERVICE_HOST = "hook.default.svc"


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """A response that changes the object."""
    text = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def deny(message: str = "", **status: Any) -> Answer:
    """A webhook that refuses."""
    return lambda request: {"allowed": False, "status": {"message": message, **status}}


class Backend:
    """What a test talks to webhooks about. `answers` maps a path to a function from request to response.

    A response that is bytes is sent as it is; one that is an int is the HTTP status of an empty answer; None hangs
    until the client goes away. The function may be async.
    """

    def __init__(self, port: int, authority: Authority) -> None:
        self.port = port
        self.ca = base64.b64encode(authority.pem).decode()
        self.answers: dict[str, Answer] = {}
        self.reviews: list[tuple[str, dict[str, Any]]] = []
        self.queries: list[str] = []
        self.encoding = b""
        """The Content-Encoding under which answers claim to be sent."""

    def on(self, path: str, answer: Answer = allow) -> dict[str, Any]:
        """The clientConfig of a webhook that answers like this."""
        self.answers[path] = answer
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.ca}

    def requests(self, path: str) -> list[dict[str, Any]]:
        return [review["request"] for asked, review in self.reviews if asked == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        review = json.loads(body)
        self.reviews.append((scope["path"], review))
        self.queries.append(scope["query_string"].decode())
        answer = self.answers[scope["path"]](review["request"])
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is None:
            await receive()
            return
        status, text = 200, b""
        if isinstance(answer, int):
            status = answer
        elif isinstance(answer, tuple):
            status, text = answer
        elif isinstance(answer, bytes):
            text = answer
        else:
            response = {"uid": review["request"]["uid"], **answer}
            text = json.dumps(
                {"apiVersion": review.get("apiVersion"), "kind": review.get("kind"), "response": response}
            ).encode()
        headers = [(b"content-encoding", self.encoding)] if self.encoding else []
        if text.startswith(b"{"):
            headers.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create(datetime.now(UTC))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> KeyPair:
    return authority.issue_serving(datetime.now(UTC), ["127.0.0.1", SERVICE_HOST])


@pytest.fixture
async def backend(server: Any, authority: Authority, certificate: KeyPair, tmp_path: Any) -> AsyncIterator[Backend]:
    """A running backend; connections to it are closed before it is."""
    sock = listen("127.0.0.1", 0)
    found = Backend(sock.getsockname()[1], authority)
    async with serve(found, sock, server_context(certificate, tmp_path)):  # type: ignore[arg-type]
        try:
            yield found
        finally:
            with anyio.CancelScope(shield=True):
                await server.ctx.webhooks.aclose()


def rule(*resources: str, operations: tuple[str, ...] = ("*",), **more: Any) -> dict[str, Any]:
    return {
        "operations": list(operations),
        "apiGroups": ["*"],
        "apiVersions": ["*"],
        "resources": list(resources),
        **more,
    }


@pytest.fixture
def register(server: Any) -> Callable[..., Any]:
    """Creates a configuration with one webhook of the same name; answers the object."""

    async def make(
        kind: str, name: str, client_config: dict[str, Any], rules: list[dict[str, Any]] | None = None, **more: Any
    ) -> Any:
        webhook = {
            "name": f"{name}.example.com",
            "clientConfig": client_config,
            "rules": rules or [rule("configmaps")],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            **more,
        }
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations"
        return await server.ok("POST", path, {"metadata": {"name": name}, "webhooks": [webhook]})

    return make

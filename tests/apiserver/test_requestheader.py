"""Front proxies: whose word for who calls is taken, and whose is not."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.request import User
from minik8s.api.users import ANONYMOUS
from minik8s.apiserver.authentication import Authenticator, Certificate
from minik8s.apiserver.requestheader import FRONT_PROXY, user_in
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.machinery.errors import Unauthorized
from minik8s.testing.clocks import ManualClock

BOB = [(b"x-remote-user", b"bob")]
AUTHENTICATED = "system:authenticated"


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ([], None),
        ([(b"x-remote-group", b"system:masters")], None),
        ([(b"x-remote-user", b"")], None),
        (BOB, User("bob", groups=(AUTHENTICATED,))),
        ([*BOB, (b"x-remote-user", b"eve")], User("bob", groups=(AUTHENTICATED,))),
        ([*BOB, (b"x-remote-uid", b"7"), (b"x-remote-uid", b"8")], User("bob", "7", (AUTHENTICATED,))),
        ([*BOB, (b"x-remote-group", b"b"), (b"x-remote-group", b"a")], User("bob", groups=("b", "a", AUTHENTICATED))),
        ([*BOB, (b"x-remote-group", AUTHENTICATED.encode())], User("bob", groups=(AUTHENTICATED,))),
        ([*BOB, (b"x-remote-extra-acme.com%2fteam", b"x"), (b"x-remote-extra-acme.com%2fTeam", b"y")],
         User("bob", groups=(AUTHENTICATED,), extra={"acme.com/team": ("x", "y")})),
        ([(b"x-remote-user", b"\xff")], User("\ufffd", groups=(AUTHENTICATED,))),
    ],
)  # fmt: skip
def test_headers(headers: Any, user: User | None) -> None:
    """One name, one uid, any number of groups and of values of escaped keys."""
    assert user_in(headers) == user


def caller(certificate: Certificate | None, headers: Any, token: str = "") -> User:
    tokens = TokenIssuer()
    tokens.add_admin("good")
    authenticator = Authenticator(tokens, None, ManualClock(), ANONYMOUS)  # type: ignore[arg-type]
    return authenticator.caller(f"Bearer {token}" if token else "", "", certificate, headers)


def test_whose_headers_are_believed() -> None:
    """Only the front proxy's: by its CA and its name."""
    proxy = Certificate(FRONT_PROXY, of_front_proxy=True)
    assert caller(proxy, BOB).name == "bob"
    assert caller(proxy, BOB, "bad").name == "bob"  # the proxy has the first word
    assert caller(None, BOB) is ANONYMOUS
    assert caller(Certificate("alice"), BOB).name == "alice"
    assert caller(Certificate(FRONT_PROXY), BOB).name == FRONT_PROXY  # a user's certificate, of that name


@pytest.mark.parametrize(("name", "headers"), [(FRONT_PROXY, []), ("eve", BOB), ("system:admin", [])])
def test_a_proxys_certificate_is_nobodys(name: str, headers: Any) -> None:
    """It proves no user, not even by a user's name; a token may still do that."""
    certificate = Certificate(name, ("system:masters",), of_front_proxy=True)
    with pytest.raises(Unauthorized):
        caller(certificate, headers)
    with pytest.raises(Unauthorized):
        caller(certificate, headers, "bad")
    assert caller(certificate, headers, "good").name == "system:admin"

"""Who calls by the word of a front proxy: the X-Remote-* headers of a connection with its certificate. Pure.

Everybody can send such headers; they are believed only over TLS from somebody who shows a certificate that the front
proxy's CA has signed for its name, and that CA signs no users: such a certificate by itself is nobody. Upstream:
apiserver `pkg/authentication/request/headerrequest`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from minik8s.api.request import User
from minik8s.api.users import AUTHENTICATED, UNAUTHENTICATED

Header = tuple[bytes, bytes]
USER_HEADERS, GROUP_HEADERS, UID_HEADERS = "X-Remote-User", "X-Remote-Group", "X-Remote-Uid"
EXTRA_PREFIX = "X-Remote-Extra-"
FRONT_PROXY = "front-proxy-client"
"""The name in the front proxy's certificate."""
_USER, _GROUP, _UID = (name.lower().encode() for name in (USER_HEADERS, GROUP_HEADERS, UID_HEADERS))
_EXTRA = EXTRA_PREFIX.lower().encode()
PREFIX: Final = b"x-remote-"


def user_in(headers: Iterable[Header]) -> User | None:
    """Whom the headers name; None if they name nobody. Of several names and uids the first counts."""
    name = uid = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, raw in headers:
        if not key.startswith(PREFIX):
            continue
        value = raw.decode("utf-8", "replace")
        if key == _USER:
            name = name or value
        elif key == _UID:
            uid = uid or value
        elif key == _GROUP:
            groups.append(value)
        elif key.startswith(_EXTRA):
            extra.setdefault(unquote(key[len(_EXTRA) :].decode("latin-1")).lower(), []).append(value)
    if not name:
        return None
    if AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, uid, tuple(groups), {key: tuple(values) for key, values in extra.items()})

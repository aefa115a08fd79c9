"""Who somebody is, as authentication makes it out: the well-known names and groups, and what a name implies.

Upstream: apiserver `pkg/authentication/user` and `pkg/authentication/serviceaccount`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minik8s.api.request import User
from minik8s.machinery.meta import Obj

AUTHENTICATED, UNAUTHENTICATED, MASTERS = "system:authenticated", "system:unauthenticated", "system:masters"
ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))
ACCOUNT_PREFIX = "system:serviceaccount:"
ACCOUNTS_GROUP = "system:serviceaccounts"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


def named(
    name: str, groups: Iterable[str] = (), uid: str = "", extra: Mapping[str, Iterable[str]] | None = None
) -> User:
    """The user of that name: a service account is in its groups, and everybody in the one of what was proved.

    It is what impersonation makes of the same words.
    """
    wanted = list(groups)
    if (account := account_of(name)) and not wanted:
        wanted += account_groups(account[0])
    if name == ANONYMOUS.name:
        if UNAUTHENTICATED not in wanted:
            wanted.append(UNAUTHENTICATED)
    elif AUTHENTICATED not in wanted and UNAUTHENTICATED not in wanted:
        wanted.append(AUTHENTICATED)
    return User(name, uid, tuple(wanted), {key: tuple(values) for key, values in (extra or {}).items()})


def account_of(name: str) -> tuple[str, str] | None:
    """(namespace, name) of the service account whose user name this is."""
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    namespace, _, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, account) if namespace and account and ":" not in account else None


def account_groups(namespace: str) -> list[str]:
    """The groups of a namespace's service accounts."""
    return [ACCOUNTS_GROUP, f"{ACCOUNTS_GROUP}:{namespace}"]


def user_info(user: User) -> Obj:
    """A UserInfo, as reviews show it."""
    info: Obj = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info

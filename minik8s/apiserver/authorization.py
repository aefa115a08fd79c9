"""Who may do what: everybody who proved an identity may do everything, the anonymous only look at the door.

There is no RBAC; the seam is here. Texts are those of kube-apiserver's authorizer.
"""

from __future__ import annotations

from minik8s.api.request import ApiRequest, User
from minik8s.machinery.errors import Forbidden

ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
PUBLIC_PATHS = frozenset({"/version", "/healthz", "/livez", "/readyz"})


def is_allowed(user: User) -> bool:
    """Whether the user may do everything (else nothing but look at the public paths)."""
    return AUTHENTICATED in user.groups


def is_public(path: str) -> bool:
    """Whether everybody may look at a path outside the resources."""
    return "/" + path.strip("/").partition("/")[0] in PUBLIC_PATHS


def authorize(request: ApiRequest) -> None:
    """Raises Forbidden."""
    if is_allowed(request.user):
        return
    resource = request.resource
    raise forbidden(
        request.user,
        request.verb,
        group=resource.group,
        plural=resource.plural,
        namespace=request.namespace,
        name=request.name,
        subresource=request.subresource,
    )


def forbidden(
    user: User, verb: str, *, group: str, plural: str, namespace: str, name: str, subresource: str
) -> Forbidden:
    """The refusal of a verb on a resource, known or not."""
    if plural == "namespaces" and not group:
        namespace = name  # a namespace is in itself, to the authorizer
    what = f"{plural}/{subresource}" if subresource else plural
    qualified = f"{plural}.{group}" if group else plural
    subject = f'{qualified} "{name}"' if name else qualified
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    return Forbidden(
        f'{subject} is forbidden: User "{user.name}" cannot {verb} resource "{what}" in API group "{group}" {scope}',
        kind=plural,
        group=group,
        name=name,
    )


def authorize_path(user: User, method: str, path: str) -> None:
    """The same for a path outside the resources; raises Forbidden."""
    if is_allowed(user) or is_public(path):
        return
    raise Forbidden(f'forbidden: User "{user.name}" cannot {method.lower()} path "{path}"')


def authorize_impersonation(user: User, resource: str, name: str) -> None:
    """Raises Forbidden when `user` may not act as somebody else."""
    if not is_allowed(user):
        raise forbidden(user, "impersonate", group="", plural=resource, namespace="", name=name, subresource="")

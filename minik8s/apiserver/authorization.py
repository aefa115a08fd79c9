"""Who may do what: everybody who proved an identity may do everything, the anonymous only look at the door.

There is no RBAC; the seam is here. Texts are those of kube-apiserver's authorizer.
"""

from __future__ import annotations

from minik8s.api.request import ApiRequest, User
from minik8s.machinery.errors import Forbidden

ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))
AUTHENTICATED = "system:authenticated"
PUBLIC_PATHS = frozenset({"/version", "/healthz", "/livez", "/readyz"})


def authorize(request: ApiRequest) -> None:
    """Raises Forbidden."""
    if AUTHENTICATED in request.user.groups:
        return
    resource, sub = request.resource, request.subresource
    what = f"{resource.plural}/{sub}" if sub else resource.plural
    subject = f'{resource.group_resource} "{request.name}"' if request.name else resource.group_resource
    scope = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    raise Forbidden(
        f'{subject} is forbidden: User "{request.user.name}" cannot {request.verb} resource "{what}" '
        f'in API group "{resource.group}" {scope}',
        kind=resource.plural,
        group=resource.group,
        name=request.name,
    )


def authorize_path(user: User, path: str) -> None:
    """The same for a path outside the resources; raises Forbidden."""
    if AUTHENTICATED in user.groups or "/" + path.strip("/").partition("/")[0] in PUBLIC_PATHS:
        return
    raise Forbidden(f'forbidden: User "{user.name}" cannot get path "{path}"')

"""Who may do what.

Upstream: apiserver `pkg/authorization`. `authorizer` is the seam: every question, be it about a request, a
subresource, a path, an impersonation or a review, is `AccessAttributes` put to the server's `Authorizer`, and a refusal
has one form.
"""

from minik8s.apiserver.authorization.authorizer import (
    AccessAttributes,
    AlwaysAllow,
    Authorizer,
    Decision,
    RuleSet,
    authorize,
    authorize_path,
    authorize_request,
    forbidden,
    is_privileged,
)

__all__ = [
    "AccessAttributes",
    "AlwaysAllow",
    "Authorizer",
    "Decision",
    "RuleSet",
    "authorize",
    "authorize_path",
    "authorize_request",
    "forbidden",
    "is_privileged",
]

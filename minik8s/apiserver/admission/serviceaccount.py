"""ServiceAccount: every pod runs as one, and finds its token where client libraries look for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from random import Random
from typing import Any, ClassVar

from minik8s.api.resources import SERVICE_ACCOUNTS
from minik8s.api.staticpods import is_mirror
from minik8s.apiserver.admission.noderestriction import of_containers
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, Obj, annotations_of, name_of
from minik8s.machinery.names import random_suffix

DEFAULT_ACCOUNT = "default"
VOLUME_PREFIX = "kube-api-access-"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607
"""An hour and seven seconds: how the kubelet tells these tokens from ones that somebody asked for."""
_ENFORCE = "kubernetes.io/enforce-mountable-secrets"
"""An annotation (deprecated upstream) that keeps an account's pods to the secrets that the account lists."""


class ServiceAccount(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/serviceaccount."""

    name: ClassVar[str] = "ServiceAccount"
    resources: ClassVar[Collection[str]] = ("pods",)
    stands_on: ClassVar[Collection[str]] = (SERVICE_ACCOUNTS.group_resource,)

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def admit(self, attributes: Attributes, world: World) -> None:
        pod = attributes.object
        if pod is None or not attributes.concerns("CREATE", "pods"):
            return
        spec = pod["spec"]
        if is_mirror(pod):
            _check_mirror(attributes, spec)
            return
        name = spec.get("serviceAccountName") or DEFAULT_ACCOUNT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = world.get(SERVICE_ACCOUNTS, name, attributes.namespace)
        if account is None:
            why = f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found'
            raise attributes.forbidden(why)
        if annotations_of(account).get(_ENFORCE) == "true" and (why := _unreferenced(spec, account)):
            raise attributes.forbidden(why)
        if _wants_token(spec, account):
            self._mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]

    def _mount_token(self, spec: Obj) -> None:
        volumes: list[Any] = spec.get("volumes") or []
        existing = next((v["name"] for v in volumes if v.get("name", "").startswith(VOLUME_PREFIX)), None)
        name = existing or self._volume_name({v.get("name", "") for v in volumes})
        needed = False
        for list_name in ("initContainers", "containers"):
            for container in spec.get(list_name) or ():
                mounts = container.get("volumeMounts") or []
                if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                    mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
                    container["volumeMounts"] = [*mounts, mount]
                    needed = True
        if needed and existing is None:
            spec["volumes"] = [*volumes, _token_volume(name)]

    def _volume_name(self, taken: set[str]) -> str:
        while (name := VOLUME_PREFIX + random_suffix(self._rng)) in taken:
            pass
        return name


def _check_mirror(attributes: Attributes, spec: Doc) -> None:
    """A pod that a kubelet shows but that no API made may not borrow from the API."""
    if spec.get("serviceAccountName"):
        raise attributes.forbidden("a mirror pod may not reference service accounts")
    sources = [s for volume in spec.get("volumes") or () for s in (volume.get("projected") or {}).get("sources") or ()]
    if "secret" in of_containers(spec) or any("secret" in s for s in (*(spec.get("volumes") or ()), *sources)):
        raise attributes.forbidden("a mirror pod may not reference secrets")
    if any("serviceAccountToken" in source for source in sources):
        raise attributes.forbidden("a mirror pod may not use service account token volume projections")


def _unreferenced(spec: Doc, account: Doc) -> str:
    """The first secret that a pod of this account may not use; "" when it uses none."""
    allowed = {secret.get("name") for secret in account.get("secrets") or ()}
    suffix = f"is not allowed because service account {name_of(account)} does not reference that"
    for volume in spec.get("volumes") or ():
        secret = (volume.get("secret") or {}).get("secretName")
        if secret is not None and secret not in allowed:
            return f'volume with secret.secretName="{secret}" {suffix} secret'
    for list_name, noun in (("initContainers", "init container"), ("containers", "container")):
        for container in spec.get(list_name) or ():
            for what, secret in _environment(container):
                if secret not in allowed:
                    who = f"{noun} {container['name']}"
                    return f'{who} with {what} referencing secret.secretName="{secret}" {suffix} secret'
    pullable = {secret.get("name") for secret in account.get("imagePullSecrets") or ()}
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if secret.get("name") not in pullable:
            return f'imagePullSecrets[{index}].name="{secret.get("name")}" {suffix} imagePullSecret'
    return ""


def _environment(container: Doc) -> Iterator[tuple[str, str]]:
    """(how, secret) for every secret that a container takes variables from."""
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference is not None:
            yield f"envVar {variable['name']}", reference.get("name", "")
    for source in container.get("envFrom") or ():
        if (reference := source.get("secretRef")) is not None:
            yield "envFrom", reference.get("name", "")


def _wants_token(spec: Doc, account: Doc) -> bool:
    """The pod's wish goes before the account's; without either the answer is yes."""
    for holder in (spec, account):
        if (wish := holder.get("automountServiceAccountToken")) is not None:
            return bool(wish)
    return True


def _token_volume(name: str) -> Obj:
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources: list[Obj] = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": certificate},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}

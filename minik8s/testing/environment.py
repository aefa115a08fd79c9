"""The environment in which a test's other clients and subprocesses find its cluster.

As its administrator: KUBECONFIG. As a pod of a service account: KUBERNETES_SERVICE_HOST and _PORT, and a directory with
`token`, `ca.crt` and `namespace`. In a pod that directory is /var/run/secrets/kubernetes.io/serviceaccount, and clients
have that path built in. Where it is a constant of a module (`kubernetes`, `kubernetes_asyncio`) it is changed for the
test's time, so that their `load_incluster_config()` works unmodified. Others take the directory as an argument
(lightkube and pykube: `KubeConfig.from_service_account(path)`, kr8s: `api(serviceaccount=path)`): it is
`cluster.directory / "serviceaccount"`. Who does neither (kopf's own login) cannot be led there without root.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

from minik8s.api.resources import SERVICE_ACCOUNTS
from minik8s.cluster import Cluster
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc
from minik8s.testing.options import OptionError

_KUBECONFIG_READERS = ("kubernetes.config.kube_config", "kubernetes_asyncio.config.kube_config")
_IN_CLUSTER = ("kubernetes.config.incluster_config", "kubernetes_asyncio.config.incluster_config")
_TOKEN_SECONDS = 3600


@contextmanager
def administrator(cluster: Cluster) -> Iterator[None]:
    """KUBECONFIG names the cluster's kubeconfig, also for clients that have read the variable already."""
    if not cluster.url:  # a cluster that does not serve has none
        yield
        return
    path = str(cluster.kubeconfig)
    with (
        patch.dict(os.environ, {"KUBECONFIG": path}),
        _constants(_KUBECONFIG_READERS, KUBE_CONFIG_DEFAULT_LOCATION=path),
    ):
        yield


@contextmanager
def pod_of(cluster: Cluster, directory: Path) -> Iterator[None]:
    """The environment of a pod whose service account's directory is `directory`."""
    address = urlsplit(cluster.url)
    variables = {
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(address.port),
    }
    files = {"SERVICE_TOKEN_FILENAME": str(directory / "token"), "SERVICE_CERT_FILENAME": str(directory / "ca.crt")}
    for name in _IN_CLUSTER:
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)  # imported later it would not know
    with patch.dict(os.environ, variables), _constants(_IN_CLUSTER, **files):
        os.environ.pop("KUBECONFIG", None)
        yield


async def mount_account(cluster: Cluster, account: str) -> Path:
    """Writes the directory that a pod of "NAMESPACE/NAME" would find. Raises OptionError for one that is not there."""
    namespace, _, name = account.partition("/")
    request = {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
    try:
        answer: Doc = await cluster.client.create(
            SERVICE_ACCOUNTS, request, name=name, namespace=namespace, subresource="token"
        )
    except NotFound as error:
        raise OptionError(f"'service_account': {error}") from None
    directory = cluster.directory / "serviceaccount"
    directory.mkdir(exist_ok=True)
    files = {"token": answer["status"]["token"].encode(), "ca.crt": cluster.ca_bundle, "namespace": namespace.encode()}
    for file, content in files.items():
        (directory / file).write_bytes(content)
    return directory


@contextmanager
def _constants(modules: tuple[str, ...], **values: str) -> Iterator[None]:
    """Module constants of clients that are imported, for a while."""
    found = [sys.modules[name] for name in modules if name in sys.modules]
    before = [(module, name, getattr(module, name)) for module in found for name in values if hasattr(module, name)]
    for module, name, _ in before:
        setattr(module, name, values[name])
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)

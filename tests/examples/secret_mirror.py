"""A lightkube controller: keeps a copy of each marked Secret of the namespace `default` in every other namespace."""

from __future__ import annotations

from collections.abc import Iterator

from lightkube import Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace, Secret

MIRRORED = {"example.com/mirror": "yes"}
COPY = {"example.com/copy": "yes"}
MANAGER = "secret-mirror"


def reconcile(client: Client) -> None:
    """Makes the copies what they should be: applies those that are wanted and deletes the others."""
    namespaces = [found.metadata.name for found in client.list(Namespace) if found.status.phase == "Active"]
    wanted = {(name, source.metadata.name): source for source in sources(client) for name in namespaces}
    wanted = {key: source for key, source in wanted.items() if key[0] != "default"}
    for copy in client.list(Secret, namespace="*", labels=COPY):
        if (copy.metadata.namespace, copy.metadata.name) not in wanted:
            client.delete(Secret, copy.metadata.name, namespace=copy.metadata.namespace)
    for (namespace, name), source in wanted.items():
        meta = ObjectMeta(name=name, namespace=namespace, labels=COPY)
        client.apply(Secret(metadata=meta, data=source.data), field_manager=MANAGER)


def sources(client: Client) -> Iterator[Secret]:
    """The Secrets to be copied."""
    yield from client.list(Secret, namespace="default", labels=MIRRORED)

"""A conversation with a cluster that a kubeconfig names: the client, what the cluster serves, and the namespace."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import click

from minik8s.api.resource import Resource
from minik8s.cli.kinds import Kinds
from minik8s.cli.options import Where
from minik8s.client.client import Client
from minik8s.client.discovery import ACCEPT, documents
from minik8s.client.http import HttpTransport
from minik8s.client.kubeconfig import load_kubeconfig
from minik8s.client.manifests import load
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, Obj

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
SUFFIXES = (".yaml", ".yml", ".json")


@attrs.define
class Session:
    """`tables` answers with Tables where `client` answers with objects. `namespace` "" is every one."""

    client: Client
    tables: HttpTransport
    kinds: Kinds
    namespace: str
    _discovery: HttpTransport

    async def resource_of(self, obj: Doc) -> Resource[Doc]:
        """The resource of an object; a kind that is not known yet may have been defined meanwhile."""
        try:
            return self.kinds.of(obj)
        except click.ClickException:
            self.kinds = await _discover(self._discovery)
            return self.kinds.of(obj)

    async def fetch(self, path: str) -> Obj:
        """The JSON document at a path that is no resource. Raises ApiError."""
        return await self._discovery.fetch(path)

    def namespace_for(self, resource: Resource[object]) -> str:  # type: ignore[type-var]
        return self.namespace if resource.namespaced else ""


@asynccontextmanager
async def open_session(where: Where) -> AsyncIterator[Session]:
    """Connects and asks what is there. Raises KubeconfigError, and ClickException when nobody answers."""
    config = load_kubeconfig(where.kubeconfig, where.context)
    transport = HttpTransport.from_config(config)
    try:
        discovery = transport.accepting(ACCEPT)
        kinds = await _discover(discovery)
        namespace = config.namespace if where.namespace is None else where.namespace
        yield Session(Client(transport), transport.accepting(TABLE), kinds, namespace, discovery)
    except BrokenPipeError:
        raise
    except ConnectionError as error:
        raise click.ClickException(f"{config.server} does not answer ({error}); is the cluster running?") from None
    finally:
        await transport.aclose()


async def _discover(discovery: HttpTransport) -> Kinds:
    return Kinds.from_discovery(await documents(discovery.fetch))


def read_manifests(files: Iterable[str]) -> list[Obj]:
    """The objects of files, of folders (their manifests by name) and of stdin (`-`). Raises ClickException."""
    return [obj for name in files for path in _paths(name) for obj in _read(path)]


def _paths(name: str) -> list[Path | None]:
    if name == "-":
        return [None]
    path = Path(name)
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise click.ClickException(f"{name}: no manifests (*{', *'.join(SUFFIXES)}) in this folder")
    return list(found)


def _read(path: Path | None) -> list[Obj]:
    shown = "stdin" if path is None else str(path)
    try:
        if path is not None:
            return load(path)
        return load(sys.stdin.buffer.read().decode("utf-8") + "\n")
    except BadRequest as error:
        raise click.ClickException(error.message if path else f"stdin: {error.message}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{shown}: not UTF-8 text") from None
    except OSError as error:
        raise click.ClickException(f"{shown}: {error.strerror}") from None

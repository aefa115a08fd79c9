"""Stand-ins for the images of Kubernetes' own end-to-end and conformance tests, so that these can run here.

A container of them runs a program of this package (`testing.agnhost`) under the name that the tests use, `/agnhost`:
the image brings that file along. What the tests only want to be up is a small web server. Upstream: `test/images`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

REGISTRY = "registry.k8s.io/e2e-test-images/"
_RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); del sys.argv[0]; from {module} import main; main()"


def _script(module: str) -> str:
    """A file that runs a program of this package, without what only imports of others would need."""
    package = str(Path(__file__).parents[3])
    command = [sys.executable, "-I", "-S", "-c", _RUN.format(module=module), package]
    return f'#!/bin/sh\nexec {shlex.join(command)} "$0" "$@"\n'


def files(repository: str) -> Mapping[str, str]:
    """The files that an image brings along, by their path: their text. Empty for images that are none of these."""
    match repository.removeprefix(REGISTRY):
        case "agnhost":
            script = _script("minik8s.testing.agnhost.command")
            return {"/agnhost": script, "/agnhost-2": script}
        case "httpd" | "nginx":
            return {"/usr/local/bin/httpd-foreground": _script("minik8s.testing.agnhost.httpd")}
    return {}


def command(repository: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and default arguments of an image that has files."""
    if repository.removeprefix(REGISTRY) == "agnhost":
        return ("/agnhost",), ("pause",)
    return (), ("/usr/local/bin/httpd-foreground",)

"""What a container runs: the pod's command and args over the image's entrypoint and default arguments."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.kubelet.expansion import expand
from minik8s.kubelet.runtime.protocol import Image
from minik8s.machinery.meta import Doc


def argv(container: Doc, image: Image, env: Mapping[str, str]) -> tuple[str, ...]:
    """The complete argument vector; empty when neither pod nor image names a command.

    `command` replaces the entrypoint and drops the image's arguments; `args` alone replaces only those.
    """
    command = tuple(expand(part, env) for part in container.get("command") or ())
    args = tuple(expand(part, env) for part in container.get("args") or ())
    if command:
        return command + args
    return image.argv + (args or image.args)


def working_dir(container: Doc, image: Image) -> str:
    """The container's own working directory, else the image's; "" leaves the choice to the runtime."""
    return container.get("workingDir") or image.working_dir

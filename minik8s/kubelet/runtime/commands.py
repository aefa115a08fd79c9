"""A container's command line as the spawner takes it, and why it could not be started, in the words of runc."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from minik8s.kubelet.runtime.processes import Command, SpawnError, Stdio
from minik8s.kubelet.runtime.protocol import ContainerConfig, Sandbox, StartError
from minik8s.kubelet.runtime.rootfs import environment, program_paths, working_directory


def refuse_empty(argv: Sequence[str]) -> None:
    if not argv:
        raise StartError("CreateContainerError", "failed to generate container spec: no command specified")


def refuse_nul(argv: Sequence[str], env: Mapping[str, str]) -> None:
    if any("\0" in text for text in (*argv, *env, *env.values())):
        raise StartError("StartError", "unable to start container process: a NUL byte in the command or environment")


def container_command(sandbox: Sandbox, config: ContainerConfig, root: Path) -> Command:
    """A container's command with a root directory of links. Raises StartError."""
    refuse_empty(config.argv)
    env = environment(sandbox, config, root)
    cwd = working_directory(root, config.working_dir or config.image.working_dir)
    refuse_nul(config.argv, env)
    return Command(
        argv=config.argv,
        env=env,
        cwd=cwd,
        paths=program_paths(config.argv[0], env, root, cwd),
        log=config.log_path,
        tty=config.tty,
        memory=config.memory_limit or 0,
        split=config.stdin and not config.tty,
    )


def command_beside(base: Command, argv: Sequence[str], *, stdio: Stdio, tty: bool = False) -> Command:
    """A command with the environment and directory of a container's own."""
    env = {**base.env, "TERM": "xterm"} if tty else base.env
    paths = program_paths(argv[0], env, Path(env["MINIK8S_ROOT"]), base.cwd)
    return Command(argv=tuple(argv), env=env, cwd=base.cwd, paths=paths, stdio=stdio, tty=tty)


def start_failure(error: SpawnError, command: Command) -> StartError:
    """The system's error in the words of runc and Go's os/exec."""
    program = command.argv[0]
    reason = os.strerror(error.errno).lower() if error.errno else "the process was lost"
    if error.stage == "chdir":
        detail = f'chdir to cwd ("{command.cwd}") failed: {reason}'
    elif error.stage != "exec":
        detail = reason
    elif error.errno != errno.ENOENT:
        detail = f'exec: "{program}": {reason}'
    elif "/" in program:
        detail = f'exec: "{program}": stat {program}: {reason}'
    else:
        detail = f'exec: "{program}": executable file not found in $PATH'
    return StartError("StartError", f"unable to start container process: {detail}")

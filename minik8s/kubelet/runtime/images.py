"""Image names and the local commands they stand for.

Nothing is downloaded: an image is known (built in, or registered by the user) or it is not found, as in a registry
without it. References are normalised as upstream does (`distribution/reference`), so `busybox`,
`docker.io/library/busybox:latest` and `busybox:1.36` all find `busybox`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from minik8s.kubelet.runtime import e2eimages
from minik8s.kubelet.runtime.protocol import Image, ImageError, Mount

DEFAULT_DOMAIN = "docker.io"
_DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?\Z"
)
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_MAX_NAME = 255


@attrs.frozen
class Reference:
    """A normalised image reference; `str()` is its full name, as containerd and node status write it."""

    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.repository + tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(image: str) -> Reference:
    """Normalises `image`: default registry and `library/`, tag `latest` without tag or digest.

    Raises ImageError InvalidImageName with the kubelet's text.
    """
    rest, at, digest = image.partition("@")
    if at and not _DIGEST.match(digest):
        raise _invalid(image, "invalid reference format")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, colon, tag = rest, "", ""
    if colon and not _TAG.match(tag):
        raise _invalid(image, "invalid reference format")
    domain, slash, path = head.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, path = DEFAULT_DOMAIN, head
    if domain in (DEFAULT_DOMAIN, "index.docker.io"):
        domain, path = DEFAULT_DOMAIN, path if "/" in path else f"library/{path}"
    if path.lower() != path:
        raise _invalid(image, f"invalid reference format: repository name ({path}) must be lowercase")
    if not _DOMAIN.match(domain) or not all(map(_COMPONENT.match, path.split("/"))):
        raise _invalid(image, "invalid reference format")
    if len(path) > _MAX_NAME:
        raise _invalid(image, f"repository name must not be more than {_MAX_NAME} characters")
    return Reference(f"{domain}/{path}", tag if tag or digest else "latest", digest)


def _invalid(image: str, why: str) -> ImageError:
    message = f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'
    return ImageError("InvalidImageName", message)


def not_found(reference: Reference) -> ImageError:
    """What containerd says of an image that its registry does not have."""
    message = (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
        f"{reference}: not found"
    )
    return ImageError("ErrImagePull", message)


@attrs.frozen
class Entry:
    """What an image does; the tag that was asked for becomes `$VERSION` where `version` says so.

    `root` is its own root file system, None for a command of this machine. `files` are programs that it brings along,
    by their path in the container: their text.
    """

    argv: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict)
    working_dir: str = ""
    version: bool = False
    root: Path | None = None
    files: Mapping[str, str] = attrs.field(factory=dict)


def parse_entries(text: str) -> dict[str, str]:
    """Reads `NAME=COMMAND` lines; blank lines and lines that begin with `#` are skipped. Raises ValueError."""
    entries = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, command = line.partition("=")
        if not equals or not name.strip() or not command.strip():
            raise ValueError(f"line {number}: expected NAME=COMMAND, found {line!r}")
        entries[name.strip()] = command.strip()
    return entries


def _entry(command: str | Path | Sequence[str]) -> Entry:
    """A user's command runs where the cluster was started, as an image's runs among the files it brought along.

    A directory is no command: it is a root file system, and what to run in it is the container's affair. A word without
    a slash is a command, whatever lies here.
    """
    if (isinstance(command, Path) or (isinstance(command, str) and "/" in command)) and Path(command).is_dir():
        return Entry(root=Path(command).absolute())
    if isinstance(command, Path):
        command = (str(command),)
    argv = tuple(shlex.split(command) if isinstance(command, str) else command)
    if not argv:
        raise ValueError("an image needs a command")
    return Entry(argv=argv, working_dir=str(Path.cwd()))


def _python() -> Entry:
    directory = Path(sys.executable).parent
    return Entry(args=(sys.executable,), env={"PATH": f"{directory}:{os.environ.get('PATH', os.defpath)}"})


def _test_server() -> Entry:
    # run as a file and without site: 3 times faster than `-m`, and it works wherever the package lies
    program = Path(__file__).parents[2] / "testing" / "server.py"
    return Entry(argv=(sys.executable, "-I", "-S", str(program)), version=True)


def _pause() -> Entry:
    """Waits for a signal, like the pause container; SIGINT and SIGTERM end it with 0."""
    script = 'trap "exit 0" INT TERM; while :; do sleep 2147483647 & wait $!; done'
    return Entry(argv=("/bin/sh", "-c", script))


class ImageRegistry:
    """Resolves image names.

    `entries` maps names, with a tag (that tag only) or without (every tag), to commands (shell-like text or argv) or to
    directories with a root file system.
    `allow_unknown_with_command` resolves unknown names to images without an entrypoint: a container that sets
    `command` runs it, another fails to start. `directory` is where links to busybox's applets and what images bring
    along may be made; without it there are none of the latter.
    """

    def __init__(
        self,
        entries: Mapping[str, str | Path | Sequence[str]] | None = None,
        *,
        directory: Path | None = None,
        allow_unknown_with_command: bool = False,
    ) -> None:
        self._allow_unknown = allow_unknown_with_command
        self._directory = directory
        is_useful = shutil.which("busybox") or shutil.which("bash")
        self._applets = directory / "busybox" if directory is not None and is_useful else None
        self._linked = False
        self._linking = threading.Lock()
        self._entries: dict[str, Entry] = {}
        for name, command in (entries or {}).items():
            self.register(name, command)

    def register(self, name: str, command: str | Path | Sequence[str]) -> None:
        """Adds an image, replacing a built-in or earlier one. Raises ImageError or ValueError."""
        reference = parse_reference(name)
        tagged = ":" in name.rpartition("/")[2]
        self._entries[str(reference) if tagged else reference.repository] = _entry(command)

    def register_file(self, path: Path) -> None:
        """Adds the images of a file with one `NAME=COMMAND` per line. Raises OSError, ImageError, ValueError."""
        for name, command in parse_entries(path.read_text()).items():
            self.register(name, command)

    def knows(self, image: str) -> bool:
        try:
            reference = parse_reference(image)
        except ImageError:
            return False
        return self._allow_unknown or self._find(reference) is not None

    def resolve(self, image: str) -> Image:
        """The image behind a name. Raises ImageError InvalidImageName or ErrImagePull."""
        reference = parse_reference(image)
        entry = self._find(reference)
        if entry is None:
            if not self._allow_unknown:
                raise not_found(reference)
            entry = Entry()
        return as_image(reference, entry, self._directory)

    def _find(self, reference: Reference) -> Entry | None:
        for key in (str(reference), f"{reference.repository}:{reference.tag}", reference.repository):
            if key in self._entries:
                return self._entries[key]
        match reference.repository:
            case "docker.io/library/pause" | "registry.k8s.io/pause":
                return _pause()
            case "docker.io/library/busybox" | "registry.k8s.io/e2e-test-images/busybox":
                return self._busybox()
            case "docker.io/library/python":
                return _python()
            case "docker.io/minik8s/testserver":
                return _test_server()
        if self._directory is not None and (found := e2eimages.files(reference.repository)):
            argv, args = e2eimages.command(reference.repository)
            return Entry(argv, args, files=found, env=self._finding(found))
        return None

    def _busybox(self) -> Entry:
        """The host's busybox under its applets' names; without it the host's own tools serve as well, with bash as the
        shell: that of many hosts forgets variables whose names are no identifiers, which busybox's passes on."""
        if self._applets is None:
            return Entry(args=("sh",))
        return Entry(args=("sh",), env={"PATH": f"{self._applets}:{os.environ.get('PATH', os.defpath)}"})

    def _finding(self, files: Mapping[str, str]) -> dict[str, str]:
        """The $PATH by which tools of an image are found, also where they cannot be mounted at their true place."""
        if self._directory is None:
            return {}
        places = [_kept(self._directory, *file).parent for file in files.items() if file[0].startswith(e2eimages.TOOLS)]
        if not places:
            return {}
        return {"PATH": ":".join([*map(str, places), os.environ.get("PATH", os.defpath)])}

    def unprepared(self, image: Image) -> bool:
        """Whether `prepare` has to be called before this image can be used."""
        return self._needs_applets(image) or any(not mount.host_path.exists() for mount in image.mounts)

    def _needs_applets(self, image: Image) -> bool:
        return self._applets is not None and str(self._applets) in image.env.get("PATH", "") and not self._linked

    def prepare(self, image: Image) -> None:
        """Makes what the image needs: a few hundred links, some tens of milliseconds, so rather in a thread."""
        if self._needs_applets(image):
            self._link_applets()
        if (entry := self._find(parse_reference(image.name))) is None:
            return
        for mount in image.mounts:
            mount.host_path.parent.mkdir(parents=True, exist_ok=True)
            mount.host_path.write_text(entry.files[mount.container_path])
            mount.host_path.chmod(0o755)

    def _link_applets(self) -> None:
        with self._linking:
            if self._applets is None or self._linked:
                return
            self._applets.mkdir(parents=True, exist_ok=True)
            for name, binary in _applets():
                if not (self._applets / name).exists():
                    (self._applets / name).symlink_to(binary)
            self._linked = True


def _applets() -> Iterable[tuple[str, str]]:
    """Names of the busybox image's programs, and what they are on this machine where that is not the same."""
    if (binary := shutil.which("busybox")) is not None:
        listing = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True, timeout=10)
        return [(name, binary) for name in listing.stdout.split()]
    shell = shutil.which("bash")
    return [("sh", shell)] if shell is not None else []


def as_image(reference: Reference, entry: Entry, directory: Path | None = None) -> Image:
    """An entry under the name it was asked for; the id is a digest of what it runs, stable and without a registry."""
    env = dict(entry.env)
    if entry.version:
        env["VERSION"] = reference.tag
    content = repr(
        (reference.repository, reference.tag, entry.argv, entry.args, *([str(entry.root)] if entry.root else []))
    )
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Image(
        name=str(reference),
        id=f"sha256:{digest}",
        argv=entry.argv,
        args=entry.args,
        env=env,
        working_dir=entry.working_dir,
        root=entry.root,
        mounts=tuple(Mount(_kept(directory, path, text), path, True) for path, text in entry.files.items())
        if directory is not None
        else (),
    )


def _kept(directory: Path, path: str, text: str) -> Path:
    """Where a file lies that an image brings along."""
    return directory / "files" / hashlib.sha256(text.encode()).hexdigest()[:16] / path.rpartition("/")[2]

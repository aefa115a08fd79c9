"""Image names and what they stand for: commands of this machine, root file systems, and images on disk.

Nothing is downloaded: an image is known (built in, or registered by the user) or it is not found, as in a registry
without it. `busybox`, `docker.io/library/busybox:latest` and `busybox:1.36` all find `busybox` (`references`).
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from minik8s.kubelet.runtime import e2eimages
from minik8s.kubelet.runtime.oci import ARCHIVE_SUFFIXES, BadImage
from minik8s.kubelet.runtime.protocol import Image, ImageError, Mount
from minik8s.kubelet.runtime.references import Reference, not_found, parse_reference

if TYPE_CHECKING:
    from minik8s.kubelet.runtime.oci.store import ImageStore, Loaded


@attrs.frozen
class Entry:
    """What an image does; the tag that was asked for becomes `$VERSION` where `version` says so.

    `root` is its own root file system, `archive` an image on disk that has one (`oci`); without either it is a command
    of this machine. `files` are programs that it brings along, by their path in the container: their text. `programs`
    are programs of this machine that take the place of its own.
    """

    argv: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict)
    working_dir: str = ""
    version: bool = False
    root: Path | None = None
    archive: Path | None = None
    files: Mapping[str, str] = attrs.field(factory=dict)
    programs: Mapping[str, Path] = attrs.field(factory=dict)


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

    A path may be of a directory or a file that is an image, too (`oci.recognition`): then what to run is its or the
    container's affair. A word without a slash is a command, whatever lies here, unless only an archive has such a name.
    """
    if isinstance(command, Path) or (isinstance(command, str) and ("/" in command or _is_archive_name(command))):
        from minik8s.kubelet.runtime.oci.recognition import kind_of

        path = Path(command).absolute()
        match kind_of(path):
            case "root":
                return Entry(root=path)
            case "archive":
                return Entry(archive=path)
    if isinstance(command, Path):
        command = (str(command),)
    argv = tuple(shlex.split(command) if isinstance(command, str) else command)
    if not argv:
        raise ValueError("an image needs a command")
    return Entry(argv=argv, working_dir=str(Path.cwd()))


def _is_archive_name(name: str) -> bool:
    return name.endswith(ARCHIVE_SUFFIXES) and not any(char.isspace() for char in name)


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

    `entries` maps names, with a tag (that tag only) or without (every tag), to commands (shell-like text or argv), to
    directories with a root file system, or to images on disk.
    `allow_unknown_with_command` resolves unknown names to images without an entrypoint: a container that sets
    `command` runs it, another fails to start. `directory` is where links to busybox's applets and what images bring
    along may be made, and images on disk are unpacked; without it there are none of the latter two. `mountable` tells
    that unpacked files are only ever seen through mounts, which protect them.
    """

    def __init__(
        self,
        entries: Mapping[str, str | Path | Sequence[str]] | None = None,
        *,
        directory: Path | None = None,
        allow_unknown_with_command: bool = False,
        mountable: bool = True,
    ) -> None:
        self._allow_unknown = allow_unknown_with_command
        self._directory = directory
        is_useful = shutil.which("busybox") or shutil.which("bash")
        self._applets = directory / "busybox" if directory is not None and is_useful else None
        self._mountable = mountable
        self._store: ImageStore | None = None
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
        """The image behind a name; of one on disk only where it is, until it is prepared.

        Raises ImageError InvalidImageName or ErrImagePull.
        """
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
        shell: that of many hosts knows no `[[`, and forgets variables whose names are no identifiers."""
        if self._applets is None:
            return Entry(args=("sh",))
        path = f"{self._applets}:{os.environ.get('PATH', os.defpath)}"
        shell = shutil.which("busybox") or shutil.which("bash")
        return Entry(args=("sh",), env={"PATH": path}, programs={"/bin/sh": Path(shell)} if shell else {})

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
        if image.archive is not None or self._needs_applets(image):
            return True
        return any(not mount.host_path.exists() for mount in image.mounts)

    def _needs_applets(self, image: Image) -> bool:
        return self._applets is not None and str(self._applets) in image.env.get("PATH", "") and not self._linked

    def prepare(self, image: Image, check: Callable[[], object] = lambda: None) -> Image:
        """Makes what the image needs, and answers the image as it is then.

        A few hundred links take some tens of milliseconds, unpacking takes seconds: to be called in a thread. `check`
        is called now and then and may raise. Raises BadImage or OSError.
        """
        reference = parse_reference(image.name)
        if image.archive is not None:
            return unpacked_image(reference, self._store_of_images().load(image.archive, reference, check))
        if self._needs_applets(image):
            self._link_applets()
        if (entry := self._find(reference)) is not None:
            for mount in image.mounts:
                if (text := entry.files.get(mount.container_path)) is None:
                    continue
                mount.host_path.parent.mkdir(parents=True, exist_ok=True)
                mount.host_path.write_text(text)
                mount.host_path.chmod(0o755)
        return image

    def _store_of_images(self) -> ImageStore:
        """Made when it is first needed: most clusters need none, nor what it imports."""
        from minik8s.kubelet.runtime.oci.store import ImageStore

        with self._linking:
            if self._directory is None:
                raise BadImage("there is no place to unpack it")
            if self._store is None:
                self._store = ImageStore(self._directory / "unpacked", read_only=not self._mountable)
            return self._store

    def close(self) -> None:
        """Removes what was unpacked."""
        if self._store is not None:
            self._store.remove()

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
        archive=entry.archive,
        mounts=_mounts(entry, directory) if directory is not None else (),
    )


def _mounts(entry: Entry, directory: Path) -> tuple[Mount, ...]:
    files = {path: _kept(directory, path, text) for path, text in entry.files.items()}
    return tuple(Mount(host_path, path, True) for path, host_path in {**files, **entry.programs}.items())


def unpacked_image(reference: Reference, loaded: Loaded) -> Image:
    """An image on disk under the name it was asked for. Without a manifest its configuration is its identity."""
    config = loaded.config
    is_by_manifest = loaded.digest != loaded.config_digest
    return Image(
        name=str(reference),
        id=f"{reference.repository}@{loaded.digest}" if is_by_manifest else loaded.digest,
        argv=config.entrypoint,
        args=config.cmd,
        env=config.env,
        working_dir=config.working_dir,
        stop_signal=config.stop_signal or "SIGTERM",
        size_bytes=loaded.size,
        user=config.user,
        root=loaded.root,
        volumes=config.volumes,
    )


def unusable(image: Image, *, volume: bool, takes_roots: bool) -> str:
    """Why an image cannot be a container, or a volume; "" when it can."""
    has_root = image.root is not None or image.archive is not None
    if volume and not has_root:
        return "it is a command of this machine, and has no files for a volume"
    if has_root and not volume and not takes_roots:
        return 'it has a root file system of its own, for which the cluster needs runtime "sandbox"'
    return ""


def not_pulled(image: Image, why: str) -> ImageError:
    """In containerd's words."""
    return ImageError("ErrImagePull", f'failed to pull and unpack image "{image.name}": {why}')


def _kept(directory: Path, path: str, text: str) -> Path:
    """Where a file lies that an image brings along."""
    return directory / "files" / hashlib.sha256(text.encode()).hexdigest()[:16] / path.rpartition("/")[2]

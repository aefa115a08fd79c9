"""Layers are unpacked over each other, whatever their authors had in mind."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.kubelet.runtime.oci import BadImage, layers
from minik8s.kubelet.runtime.oci.layers import Budget, Unpacker
from tests.kubelet.runtime.oci.building import (
    directory,
    entry,
    file,
    hard_link,
    layer,
    link,
    tree,
)


def unpacked(tmp_path: Path, *tars: bytes) -> dict[str, str]:
    root = tmp_path / "root"
    root.mkdir()
    unpacker = Unpacker(root, Budget())
    for number, data in enumerate(tars):
        unpacker.apply(io.BytesIO(data), f"layer {number}")
    unpacker.finish()
    return tree(root)


def test_layers_lie_over_each_other(tmp_path: Path) -> None:
    """Files replace files, directories and links, and the other way round; whiteouts hide what is below them only."""
    below = layer(
        file("a/one", "1"),
        file("a/two", "2"),
        directory("d", mode=0o700),
        file("d/x", "x"),
        link("l", "a"),
        directory("replaced"),
        file("replaced/x"),
    )
    above = layer(
        file("a/three", "3"),
        file("a/.wh..wh..opq"),
        file("d/.wh.x"),
        directory("d", mode=0o711),
        file("l", "no link"),
        file("replaced", "a file"),
        file(".wh..wh.plnk"),
        file("a/four", "4"),
        file(".wh.never-there"),
    )
    assert unpacked(tmp_path, below, above) == {
        "a": "755",
        "a/three": "3",
        "a/four": "4",
        "d": "711",
        "l": "no link",
        "replaced": "a file",
    }


def test_an_opaque_directory_keeps_what_its_layer_brings(tmp_path: Path) -> None:
    """Whether the mark comes before, between or after the entries, down to any depth."""
    below = layer(file("a/old/x"), file("a/both/old"))
    for number, order in enumerate(([0, 1, 2], [1, 0, 2], [1, 2, 0])):
        entries = [file("a/.wh..wh..opq"), directory("a/both"), file("a/both/new")]
        (tmp_path / str(number)).mkdir()
        assert unpacked(tmp_path / str(number), below, layer(*(entries[index] for index in order))) == {
            "a": "755",
            "a/both": "755",
            "a/both/new": "",
        }


def test_modes_links_and_times(tmp_path: Path) -> None:
    """Modes with their special bits, hard links, pipes and times are kept; a closed directory is filled."""
    data = layer(
        directory("closed", mode=0o555),
        file("closed/in", "it", mode=0o4755, mtime=1234567890),
        hard_link("same", "closed/in"),
        link("dangling", "/nowhere"),
        hard_link("link-too", "dangling"),
        (entry("pipe", type=tarfile.FIFOTYPE, mode=0o600), b""),
        (entry("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""),
        directory("./", mode=0o711),
        directory("sticky", mode=0o1777),
    )
    root = tmp_path / "root"
    root.mkdir()
    unpacker = Unpacker(root, Budget())
    unpacker.apply(io.BytesIO(data), "layer")
    unpacker.finish()
    status = (root / "closed/in").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o4755, 1234567890, 2)
    assert (root / "same").samefile(root / "closed/in")
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (root / "link-too").readlink() == Path("/nowhere")
    modes = {name: stat.S_IMODE((root / name).stat().st_mode) for name in (".", "closed", "sticky")}
    assert modes == {".": 0o711, "closed": 0o555, "sticky": 0o1777}
    assert list((root / "dev").iterdir()) == [], "devices are the container's own"
    (root / "closed").chmod(0o700)


HOSTILE = {
    "a way out": (layer(file("../../evil", "x")), "leads out of the image"),
    "a way out by a whiteout": (layer(file("a/.wh...")), "hides nothing"),
    "a whiteout of itself": (layer(file("a/.wh..")), "hides nothing"),
    "a hard link out": (layer(hard_link("a", "../outside")), "leads out of the image"),
    "a hard link to an absolute path": (layer(hard_link("a", "/etc/passwd")), "No such file or directory"),
    "a hard link to a directory": (layer(directory("d"), hard_link("a", "d")), "which is no file of the image"),
    "a loop of links": (layer(link("a", "b"), link("b", "a"), file("a/x")), "too many symbolic links"),
    "a file as a directory": (layer(file("a"), file("a/b/c")), "'a', which is no directory"),
    "an unknown type": (layer((entry("x", type=b"Z"), b"")), "unknown type"),
    "no tar": (b"not a tar at all" * 100, "it is no tar that can be read"),
    "a damaged header": (layer(file("a"))[:512] + b"\xff" * 512, "it is no tar that can be read"),
    "a header cut short": (layer(file("a"))[:700], ""),
    "content cut short": (layer(file("a", "x" * 2000))[:1024], "it is no tar that can be read: unexpected end of data"),
    "a huge file": (layer((entry("x"), b""))[:124] + b"77777777777\0" + layer((entry("x"), b""))[136:], "no tar"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_layers(tmp_path: Path, case: str) -> None:
    """Nothing is written outside of the image, and what is wrong is said; what is merely odd is unpacked."""
    data, said = HOSTILE[case]
    (tmp_path / "outside").write_text("mine")
    if said:
        with pytest.raises(BadImage, match=said):
            unpacked(tmp_path, data)
    else:
        unpacked(tmp_path, data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "root"]
    assert (tmp_path / "outside").read_text() == "mine"


@pytest.mark.parametrize("target", ["/outside", "../../../../../../outside", "../outside", "/../../outside"])
def test_links_lead_no_further_than_a_container(tmp_path: Path, target: str) -> None:
    """A link to anywhere may be in an image; what is put below it, or removed there, is the image's own."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("mine")
    found = unpacked(tmp_path, layer(link("a/b", target), file("a/b/new", "x"), file("a/b/.wh.kept")))
    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["kept"]
    assert found["a/b"] == f"->{target}"
    assert "x" in found.values()


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is too large is refused before it is written, one of too many entries as soon as they are too many;
    so is one whose headers or padding never end."""
    huge = entry("bomb", size=layers.MAX_BYTES + 1).tobuf()
    with pytest.raises(BadImage, match="its files have more than 8 GiB, the limit"):
        unpacked(tmp_path, huge + bytes(1024))
    assert not (tmp_path / "root" / "bomb").exists()
    root = tmp_path / "root"
    many = layer(*(file(str(number)) for number in range(20)))
    with pytest.raises(BadImage, match="entries, the limit"):
        Unpacker(root, Budget(entries_left=10)).apply(io.BytesIO(many), "layer")
    long = entry("x").tobuf(tarfile.PAX_FORMAT)
    extension = entry("long", type=tarfile.XHDTYPE, size=1 << 33).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(BadImage, match="an extended header of 8589934592 bytes"):
        Unpacker(root, Budget()).apply(io.BytesIO(extension + long), "layer")
    monkeypatch.setattr(layers, "MAX_BYTES", 1 << 30)
    budget = Budget(stream_left=1 << 20)
    with pytest.raises(BadImage, match="its layers have more than 1 GiB, the limit"):
        budget.read(2 << 20)


def test_zeros_take_no_disk(tmp_path: Path) -> None:
    """What is nothing but zeros, wherever it is in a file, is a hole; the file is as long as it should be."""
    size = 8 << 20
    contents = {"all": bytes(size), "end": b"x" + bytes(size), "start": bytes(size) + b"x", "none": b""}
    root = tmp_path / "root"
    root.mkdir()
    Unpacker(root, Budget()).apply(io.BytesIO(layer(*(file(*item) for item in contents.items()))), "layer")
    assert {path.name: path.read_bytes() for path in root.iterdir()} == contents
    assert sum(path.stat().st_blocks for path in root.iterdir()) * 512 < 3 * (2 << 20)


def test_a_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would leave others too little is not begun."""
    monkeypatch.setattr(layers, "RESERVE", 1 << 60)
    with pytest.raises(BadImage, match="a file of 2097152 bytes has no room: "):
        unpacked(tmp_path, layer(file("small"), file("big", bytes(2 << 20))))
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["small"]


def test_a_chain_of_extensions(tmp_path: Path) -> None:
    """Extended headers after extended headers end as a complaint, not as a recursion without end."""
    name = entry("n", type=tarfile.GNUTYPE_LONGNAME, size=5).tobuf(tarfile.GNU_FORMAT) + b"name\0".ljust(512, b"\0")
    with pytest.raises(BadImage, match="recursion"):
        unpacked(tmp_path, name * 3000)


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_any_damage_is_a_bad_image_or_none(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes changed anywhere in a layer never end as another error, nor outside of the image."""
    tmp_path = tmp_path_factory.mktemp("damage")
    good = bytearray(
        layer(directory("a"), file("a/b", "content"), link("c", "a"), hard_link("d", "a/b"), file("é" * 80))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "root").mkdir()
    unpacker = Unpacker(tmp_path / "root", Budget())
    try:
        unpacker.apply(io.BytesIO(bytes(good)), "layer")
        unpacker.finish()
    except BadImage:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["root"]

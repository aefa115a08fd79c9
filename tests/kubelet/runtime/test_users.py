"""Who a container runs as."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minik8s.kubelet.runtime.protocol import StartError
from minik8s.kubelet.runtime.users import Tables, User, find_user, tables
from minik8s.kubelet.termination_message import read_message

PASSWD = """root:x:0:0:root:/root:/bin/sh
broken
app:x:1000:1001:App:/home/app:/bin/sh
55:x:7:8::/odd:
bad:x:abc:0::/:
huge:x:99999999999:0::/:
nohome:x:9:9:::
"""
KNOWN = Tables(PASSWD, "root:x:0:\nstaff:x:50:app\n60:x:61:\n")


@pytest.mark.parametrize(
    ("of_image", "wanted", "user"),
    [
        ("", (None, None), User(0, 0, "/root")),
        ("app", (None, None), User(1000, 1001, "/home/app")),
        ("1000", (None, None), User(1000, 1001, "/home/app")),
        ("app:staff", (None, None), User(1000, 50, "/home/app")),
        ("app:60", (None, None), User(1000, 61, "/home/app")),
        ("app:77", (None, None), User(1000, 77, "/home/app")),
        ("2000", (None, None), User(2000, 0, "/")),
        ("2000:2001", (None, None), User(2000, 2001, "/")),
        ("55", (None, None), User(7, 8, "/odd")),
        ("nohome", (None, None), User(9, 9, "/")),
        ("app:staff", (0, None), User(0, 0, "/root")),
        ("app:staff", (None, 5), User(1000, 5, "/home/app")),
        ("", (1000, None), User(1000, 1001, "/home/app")),
        ("nobody-there", (3, 4), User(3, 4, "/")),
    ],
)
def test_users(of_image: str, wanted: tuple[int | None, int | None], user: User) -> None:
    """The pod's wish goes before the image's, a named group before the entry's; a name may look like a number."""
    assert find_user(of_image, wanted, KNOWN) == user


@pytest.mark.parametrize(
    ("of_image", "missing"), [("x", "user x"), ("app:x", "group x"), ("bad", "user bad"), ("huge", "user huge")]
)
def test_unknown_users(of_image: str, missing: str) -> None:
    """A name that the image does not know keeps the container from being created."""
    with pytest.raises(StartError, match=f"unable to find {missing}: no matching entries in") as caught:
        find_user(of_image, (None, None), KNOWN)
    assert caught.value.reason == "CreateContainerError"


@pytest.mark.parametrize("of_image", ["9" * 5000, "2147483648", "1:" + "9" * 5000, "1:4294967295"])
def test_numbers_that_nobody_has(of_image: str) -> None:
    """A number out of range is refused, however long it is."""
    with pytest.raises(StartError, match="uids and gids must be in range 0-2147483647, not"):
        find_user(of_image, (None, None), KNOWN)


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    """Nobody waits for a pipe in the place of a table, nor for one that a container left as its last words."""
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert tables(tmp_path) == Tables()
    assert read_message(tmp_path / "etc/passwd", 10) == read_message(tmp_path, 10) == ""


def test_tables_are_the_images_own(tmp_path: Path) -> None:
    """A link to this machine's /etc/passwd leads into the image; what is missing or a directory is empty."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/other")
    (tmp_path / "etc/other").write_text("x")
    (tmp_path / "etc/group").symlink_to("/etc/hostname")
    assert tables(tmp_path) == Tables("x", "")
    assert tables(tmp_path / "missing") == Tables()

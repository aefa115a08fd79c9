"""What securityContext asks of a container's process."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.security import check_user, run_as

META = {"name": "p", "namespace": "ns", "uid": "u"}


def both(of_pod: dict[str, Any], of_container: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    pod = {"metadata": META, "spec": {"securityContext": of_pod}}
    return pod, {"name": "c", "securityContext": of_container}


@pytest.mark.parametrize(
    ("of_pod", "of_container", "user"),
    [
        ({}, {}, (None, None)),
        ({"runAsUser": 1}, {}, (1, None)),
        ({"runAsUser": 1, "runAsGroup": 2}, {"runAsUser": 3}, (3, 2)),
        ({}, {"runAsGroup": 5}, (None, 5)),
        ({"runAsUser": 1}, {"runAsUser": 0}, (0, None)),
    ],
)
def test_users(of_pod: dict[str, Any], of_container: dict[str, Any], user: tuple[int | None, int | None]) -> None:
    """The container's wishes go before the pod's, field by field; what nobody says is left to the image."""
    assert run_as(*both(of_pod, of_container)) == user


@pytest.mark.parametrize(
    ("of_pod", "of_container", "of_image", "problem"),
    [
        ({}, {}, "", ""),
        ({"runAsNonRoot": True}, {}, None, ""),
        ({"runAsNonRoot": True}, {}, "1000", ""),
        ({"runAsNonRoot": True}, {}, "1000:0", ""),
        ({"runAsNonRoot": True}, {"runAsNonRoot": False}, "", ""),
        ({"runAsNonRoot": True}, {"runAsUser": 5}, "app", ""),
        ({"runAsNonRoot": True, "runAsUser": 0}, {}, "1000", "container's runAsUser breaks non-root policy"),
        ({"runAsNonRoot": True}, {}, "", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, {}, "0:5", "container has runAsNonRoot and image will run as root"),
        (
            {},
            {"runAsNonRoot": True},
            "app:staff",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
        ),
    ],
)
def test_not_root(of_pod: dict[str, Any], of_container: dict[str, Any], of_image: str | None, problem: str) -> None:
    """runAsNonRoot is checked against the pod's user, else the image's; an image without a say passes."""
    pod, container = both(of_pod, of_container)
    if not problem:
        check_user(pod, container, of_image)
        return
    with pytest.raises(ConfigError) as caught:
        check_user(pod, container, of_image)
    assert str(caught.value) == f'{problem} (pod: "p_ns(u)", container: c)'

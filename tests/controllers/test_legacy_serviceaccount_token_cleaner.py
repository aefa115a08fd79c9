"""Old tokens in Secrets: marked when nobody has used them for a year, deleted a year later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.api.resources import SECRETS
from minik8s.controllers import legacy_serviceaccount_token_cleaner as cleaner
from minik8s.controllers.legacy_serviceaccount_token_cleaner import (
    INVALID_SINCE,
    LAST_USED,
    TRACKING,
    LegacyServiceAccountTokenCleaner,
    verdict,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ACCOUNT: Any = {"metadata": {"name": "sa", "uid": "u"}, "secrets": [{"name": "t"}]}


def token(
    created: str = "2020-01-01T00:00:00Z", kind: str = "kubernetes.io/service-account-token", **labels: str
) -> Any:
    names = {"used": LAST_USED, "invalid": INVALID_SINCE}
    found = {names[key]: value for key, value in labels.items()}
    return {"metadata": {"name": "t", "creationTimestamp": created, "labels": found}, "type": kind}


@pytest.mark.parametrize(
    ("secret", "account", "mounted", "expected"),
    [
        (token(), ACCOUNT, (), "mark"),
        (token(), None, (), "keep"),
        (token(), {"metadata": {"name": "sa"}}, (), "keep"),
        (token(), ACCOUNT, ("t",), "keep"),
        (token(kind="Opaque"), ACCOUNT, (), "keep"),
        (token(created="2026-01-01T00:00:00Z"), ACCOUNT, (), "keep"),
        (token(used="2026-01-01"), ACCOUNT, (), "keep"),
        (token(used="nonsense"), ACCOUNT, (), "keep"),
        (token(used="2024-01-01"), ACCOUNT, (), "mark"),
        (token(invalid="nonsense"), ACCOUNT, (), "mark"),
        (token(invalid="2026-01-01"), ACCOUNT, (), "keep"),
        (token(invalid="2025-01-01"), ACCOUNT, (), "delete"),
    ],
)
def test_verdicts(secret: Any, account: Any, mounted: Any, expected: str) -> None:
    """Only a token that its account lists, that is old, unused and not mounted."""
    assert verdict(secret, account, mounted, NOW) == expected


def test_only_where_use_is_tracked(virtual: Any, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ConfigMap by which an API server says that it tracks, nothing is touched; with it in two steps."""
    monkeypatch.setattr(cleaner, "UNUSED", timedelta(0))
    monkeypatch.setattr(cleaner, "PERIOD", 3600.0)

    async def body(clock: Any) -> None:
        async with start(clock, LegacyServiceAccountTokenCleaner) as world:
            await world.add("serviceaccounts", "sa", "default", secrets=[{"name": "t"}])
            annotations = {"kubernetes.io/service-account.name": "sa"}
            kind = "kubernetes.io/service-account-token"
            await world.add("secrets", "t", "default", type=kind, metadata={"annotations": annotations})

            async def mark() -> Any:
                await world.quiet(2 * 3600)
                return ((await world.get("secrets", "t", "default"))["metadata"].get("labels") or {}).get(INVALID_SINCE)

            assert await mark() is None
            await world.add("configmaps", TRACKING, "kube-system", data={"since": "2000-01-01"})
            assert await mark() == str(clock.now().date())
            long_ago = {"metadata": {"labels": {INVALID_SINCE: "2000-01-01"}}}
            await world.client.patch(SECRETS, "t", long_ago, namespace="default")
            await world.until_gone("secrets", "t", "default")

    virtual(body)

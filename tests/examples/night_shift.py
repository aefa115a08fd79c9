"""A kr8s script: scales every Deployment that is labelled for it to nothing, as one would for the night."""

from __future__ import annotations

from typing import Any

from kr8s.asyncio.objects import Deployment

SELECTOR = {"example.com/nights": "off"}


async def sleep_tight(api: Any) -> list[str]:
    """Scales down what still runs, and answers the names."""
    scaled = []
    async for deployment in Deployment.list(api=api, label_selector=SELECTOR):
        if deployment.replicas:
            await deployment.patch({"spec": {"replicas": 0}})
            scaled.append(deployment.name)
    return scaled

"""What may change about the pods of a Job while it is suspended."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import JOBS
from minik8s.api.strategies import strategy_for

SUSPENDED = {"conditions": [{"type": "Suspended", "status": "True"}]}
STARTED = {"startTime": "2026-01-01T00:00:00Z"}
CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}
RESOURCES = {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "1m"}}}]}


def job(*, suspend: bool = True, status: Any = None, **pod: Any) -> Any:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"restartPolicy": "Never", "containers": [CONTAINER], **pod},
    }
    spec = {"template": template, "suspend": suspend}
    return {"metadata": {"name": "j", "namespace": "default"}, "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("change", "suspend", "status", "allowed"),
    [
        ({"nodeSelector": {"a": "b"}}, True, {}, True),
        (RESOURCES, True, {}, True),
        (RESOURCES, True, {**STARTED, **SUSPENDED}, True),
        (RESOURCES, True, STARTED, False),  # the controller has not stopped it yet
        (RESOURCES, True, {**SUSPENDED, "active": 1}, False),
        (RESOURCES, False, {}, False),
        ({"nodeSelector": {"a": "b"}}, False, STARTED, False),
        ({"containers": [{**CONTAINER, "image": "other"}]}, True, {}, False),
    ],
)
def test_the_template_of_a_suspended_job(change: Any, suspend: bool, status: Any, allowed: bool) -> None:
    """Scheduling directives and resources may change as long as nothing runs; nothing else ever may."""
    before, after = job(suspend=suspend, status=status), job(suspend=suspend, status=status, **change)
    found = [cause.field for cause in strategy_for(JOBS).check_change(after, before)]
    assert found == ([] if allowed else ["spec.template"])

"""What a webhook may answer, as a law over arbitrary answers; and what it is refused with."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from minik8s.apiserver.admission.review import BadReview, refusal, verdict_of
from minik8s.machinery.errors import ApiError

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON: Any = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
FIELDS = ("uid", "allowed", "status", "patch", "patchType", "warnings", "auditAnnotations")
RESPONSES = st.dictionaries(
    st.sampled_from(FIELDS), JSON | st.sampled_from(["u", "JSONPatch", "e30=", "W10="]), max_size=7
)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "response"]), JSON | RESPONSES), st.booleans())
def test_every_answer_is_a_verdict_or_no_review(answer: dict[str, Any], mutating: bool) -> None:
    """Whatever JSON a webhook sends, it is understood or called a bad review; only `true` allows."""
    full = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", **answer}
    for version in ("v1", "v1beta1"):
        try:
            verdict = verdict_of(full, "u", version, mutating=mutating)
        except BadReview:
            continue
        assert verdict.allowed is (full["response"].get("allowed") is True)
        assert all(isinstance(warning, str) for warning in verdict.warnings)


@given(st.dictionaries(st.sampled_from(["message", "reason", "code", "details", "status"]), JSON))
def test_every_refusal_is_a_client_error_with_the_webhook_in_it(result: dict[str, Any]) -> None:
    """Nonsense in a refusal's status is replaced, never passed on as success."""
    error = refusal("w.example.com", result)
    assert isinstance(error, ApiError)
    status = error.to_status()
    assert 400 <= status["code"] < 600
    assert status["status"] == "Failure"
    assert status["message"].startswith('admission webhook "w.example.com" denied the request')

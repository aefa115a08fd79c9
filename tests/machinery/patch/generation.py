"""What the laws of patches are tried on: names and values from a few, so that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

Doc = dict[str, Any]

NAMES = st.sampled_from("abc")
VALUES = st.sampled_from("xyz")

LAWS = settings(max_examples=150, deadline=None)

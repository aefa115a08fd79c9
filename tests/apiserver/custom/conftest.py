"""A conversion webhook for tests: the same backend that answers admission reviews."""

from __future__ import annotations

from tests.apiserver.admission.conftest import authority, backend, certificate

__all__ = ["authority", "backend", "certificate"]

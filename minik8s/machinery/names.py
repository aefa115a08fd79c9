"""Names: the rules they follow, and making new ones from the cluster's seed.

Rules return the list of what is wrong, with the texts of apimachinery `pkg/util/validation/validation.go`.
"""

from __future__ import annotations

import re
from random import Random
from uuid import UUID

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)

SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH = 5
MAX_GENERATE_BASE = 58


def dns1123_subdomain(value: str) -> list[str]:
    """What is wrong with `value` as a DNS-1123 subdomain, the name format of most kinds."""
    errors = []
    if len(value) > 253:
        errors.append("must be no more than 253 characters")
    if not _SUBDOMAIN_RE.fullmatch(value):
        errors.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )
    return errors


def random_suffix(rng: Random) -> str:
    """Five characters that read as no word, as generateName appends them."""
    return "".join(rng.choices(SUFFIX_ALPHABET, k=SUFFIX_LENGTH))


def generate_name(base: str, rng: Random) -> str:
    """`base` cut to 58 characters plus a random suffix."""
    return base[:MAX_GENERATE_BASE] + random_suffix(rng)


def new_uid(rng: Random) -> str:
    """A version 4 UUID drawn from the cluster's seed."""
    return str(UUID(int=rng.getrandbits(128), version=4))

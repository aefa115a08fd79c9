from typing import Any

import attrs


@attrs.define
class Attributes:
    request: Any
    operation: Any
    object: Any
    old: Any
    warnings: Any
    dry_run: Any


class AdmissionPlugin:
    pass

"""What ``broker doctor`` finds: one check a line."""

from __future__ import annotations

import attrs

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@attrs.frozen
class Check:
    """One thing looked at, and what was found."""

    name: str
    state: str
    """``ok``, ``warning`` or ``problem``."""
    detail: str

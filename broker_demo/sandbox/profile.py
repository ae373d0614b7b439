"""What Alpaca keeps of an account beside its orders and positions: its number, its configurations, its watchlists."""

from __future__ import annotations

import attrs


@attrs.define(kw_only=True, eq=False)
class Profile:
    """The account's own papers."""

"""How one feed of a stream stands: values, made by its runner and read by everybody."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import attrs


class FeedState(StrEnum):
    """Where a feed is."""

    IDLE = "idle"
    """Not connected, because nobody wants anything of it."""
    CONNECTING = "connecting"
    CONNECTED = "connected"
    """Signed in."""
    WAITING = "waiting"
    """Lost or not reached; it is tried again later."""
    STOPPED = "stopped"
    """Closed, or refused for good."""


@attrs.frozen(kw_only=True)
class FeedStatus:
    """How one feed stands. Moments are aware UTC."""

    name: str
    state: FeedState
    since: datetime
    """When it came into this state."""
    attempts: int
    """Connections tried in a row, the present one included, without a sign-in."""
    last_item_at: datetime | None
    """When the last item arrived, on whatever connection."""
    reason: str | None
    """Why it is not connected, or not healthy although it is."""
    reconnects: int
    """Sign-ins after the first one."""

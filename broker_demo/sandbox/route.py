"""One address of the sandbox, and the function that answers there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from broker_demo.sandbox.answers import Answer, Host
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk

Handler: TypeAlias = Callable[[Desk, Call], Answer]
"""Gets the desk and the call and gives an answer, or raises ``Refused`` or the exchange's own ``RequestRefused``."""


@attrs.frozen
class Route:
    """A method and a path, which is written as aiohttp writes it."""

    method: str
    path: str
    handle: Handler
    host: Host = Host.TRADING
    is_open: bool = attrs.field(default=False, kw_only=True)
    """Whether it answers those without keys too."""
    is_slow: bool = attrs.field(default=False, kw_only=True)
    """Whether it is run in a thread; such a one reads nothing but prices and the market's moment."""

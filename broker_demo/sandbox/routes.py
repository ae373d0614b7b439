"""Every address of the two hosts, and the function that answers there.

A path is written as aiohttp writes it. A function gets the desk and the call and gives an answer, or raises ``Refused`` or the exchange's
own ``RequestRefused``. One that is ``slow`` reads nothing but prices and the market's moment, and is run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from broker_demo.sandbox.answers import Answer, Host
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk

Handler: TypeAlias = Callable[[Desk, Call], Answer]


@attrs.frozen
class Route:
    """One address."""

    method: str
    path: str
    handle: Handler
    host: Host = Host.TRADING
    is_open: bool = attrs.field(default=False, kw_only=True)
    """Whether it answers those without keys too."""
    is_slow: bool = attrs.field(default=False, kw_only=True)


def routes() -> Sequence[Route]:
    """All of them."""
    return ()

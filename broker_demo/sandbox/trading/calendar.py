"""When the market is open (alpaca-api: Clock and calendar), in New York's time."""

from __future__ import annotations

from collections.abc import Sequence

from broker_demo.sandbox.answers import Answer, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import new_york_text
from broker_demo.sandbox.route import Route


def get_clock(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/clock``."""
    now_ns, hours = desk.now_ns(), desk.prices.hours
    return found(
        {
            "timestamp": new_york_text(now_ns),
            "is_open": hours.is_open(now_ns),
            "next_open": new_york_text(hours.next_open(now_ns)),
            "next_close": new_york_text(hours.next_close(now_ns)),
        }
    )


ROUTES: Sequence[Route] = (Route("GET", "/v2/clock", get_clock),)

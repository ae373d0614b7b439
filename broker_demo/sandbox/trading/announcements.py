"""Corporate actions as the trading host announces them (alpaca-api: Corporate actions): at the demo exchange there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from broker_demo.sandbox.answers import Answer, found, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_KINDS = frozenset({"dividend", "merger", "spinoff", "split", "reorg"})
_DATES = ("declaration_date", "ex_date", "record_date", "payable_date")
_LONGEST = timedelta(days=90)


def get_announcements(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/corporate_actions/announcements``: kinds and days must be given, and are looked at."""
    kinds, since, until = call.listed("ca_types"), call.day("since"), call.day("until")
    if not kinds:
        raise call.bad("ca_types is required")
    for kind in kinds:
        if kind.lower() not in _KINDS:
            raise call.bad(f"invalid ca_types: {kind}")
    if since is None or until is None:
        raise call.bad("since and until are required")
    if not timedelta() <= until - since <= _LONGEST:
        raise call.bad("the date range is limited to 90 days")
    call.word("date_type", _DATES, "")
    return found([])


def get_announcement(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/corporate_actions/announcements/{id}``."""
    raise missing(f"announcement not found for {call.parts['id']}")


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/corporate_actions/announcements", get_announcements),
    Route("GET", "/v2/corporate_actions/announcements/{id}", get_announcement),
)

"""What the exchange has none of, in the shapes of those who have: options do not trade here, and companies never act.

The questions are read like all others, so that one that makes no sense is refused here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.bars import read_timeframe
from broker_demo.sandbox.data.span import read_span
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.route import Route

_OPTIONS = "/v1beta1/options"
_FEEDS = ("opra", "indicative")
_CONTRACT = re.compile(r"[A-Z0-9]{1,6}\d{6}[CP]\d{8}", re.ASCII)
_REGIONS = ("us", "non_us", "all")
_QUALITIES = ("complete", "all")


def _history(name: str, desk: Desk, call: Call) -> Answer:
    if name == "bars":
        read_timeframe(call)
    read_span(call, desk.now_ns(), _contracts(call))
    return found({name: {}, "next_page_token": None})


def _latest(name: str, desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    _contracts(call)
    call.word("feed", _FEEDS, "opra")
    return found({name: {}})


def _snapshots(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    if "underlying" not in call.parts:
        _contracts(call)
    call.word("feed", _FEEDS, "opra")
    call.whole("limit", default=100, least=1, most=1000)
    return found({"snapshots": {}, "next_page_token": None})


def _corporate_actions(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # a handler
    start, end = call.day("start"), call.day("end")
    if start is not None and end is not None and end < start:
        raise call.bad("end should not be before start")
    call.word("region", _REGIONS, "all")
    call.word("data_quality", _QUALITIES, "complete")
    call.word("sort", ("asc", "desc"), "asc")
    call.whole("limit", default=100, least=1, most=1000)
    return found({"corporate_actions": {}, "next_page_token": None})


def _contracts(call: Call) -> list[str]:
    symbols = call.listed("symbols")
    wrong = [symbol for symbol in symbols if _CONTRACT.fullmatch(symbol) is None]
    if wrong:
        raise call.bad(f"invalid symbol(s): {', '.join(wrong)}")
    if not symbols:
        raise call.bad("symbols is required")
    return symbols


def _routes() -> Iterator[Route]:
    for name in ("bars", "trades"):
        yield Route("GET", f"{_OPTIONS}/{name}", partial(_history, name), Host.DATA)
    for name in ("trades", "quotes"):
        yield Route("GET", f"{_OPTIONS}/{name}/latest", partial(_latest, name), Host.DATA)
    for path in ("snapshots", "snapshots/{underlying}"):
        yield Route("GET", f"{_OPTIONS}/{path}", _snapshots, Host.DATA)
    yield Route("GET", "/v1/corporate-actions", _corporate_actions, Host.DATA)


ROUTES = tuple(_routes())

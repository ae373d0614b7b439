"""What has happened to the account (alpaca-api: Activities): its executions, the only kind of activity that the demo exchange has.

An execution that was taken back is not listed any more, as if it had never been: that is how the account's books treat it. An activity's
id is its moment on New York's clocks and a UUID that is not the execution's own id, as at Alpaca.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import attrs

from broker_core.clock import from_ns, to_ns
from broker_core.orders import ZERO
from broker_core.timeframe import exchange_zone
from broker_demo.ledger import Fill, Ledger
from broker_demo.paper_order import PaperOrder, Status
from broker_demo.sandbox.answers import Answer, decimal_text, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.identity import identity, is_uuid
from broker_demo.sandbox.moments import day_end_ns, moment_text
from broker_demo.sandbox.pairs import without_slash
from broker_demo.sandbox.route import Route
from broker_demo.trading_hours import midnight_ns

FILL = "FILL"
TYPES = frozenset(
    (  # noqa: SIM905  # forty words are easier to read, and to compare, as a text
        "FILL TRANS MISC ACATC ACATS CFEE CGD CSD CSW DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX FEE INT INTNRA INTTW JNL "
        "JNLC JNLS MA NC OPASN OPCA OPCSH OPEXC OPEXP OPTRD PTC PTR REORG SPIN SPLIT FOPT OCT"
    ).split()
)
"""All that Alpaca knows."""

_PAGE = 100
_MILLISECOND_NS = 1_000_000
_ID = re.compile(r"(\d{14})(\d{3})::([0-9a-f-]{36})\Z", re.ASCII)


def get_activities(desk: Desk, call: Call) -> Answer:
    """``GET /v2/account/activities``: of some types, of a category, or all."""
    types = call.listed("activity_types")
    category = call.word("category", ("trade_activity", "non_trade_activity"), "")
    if types and category:
        raise call.bad("activity_types and category cannot be used together")
    for name in types:
        _check_type(call, name)
    return _page(desk, call, with_fills=FILL in types if types else category != "non_trade_activity")


def get_activities_of_type(desk: Desk, call: Call) -> Answer:
    """``GET /v2/account/activities/{activity_type}``."""
    name = call.parts["activity_type"]
    _check_type(call, name)
    return _page(desk, call, with_fills=name == FILL)


def _check_type(call: Call, name: str) -> None:
    if name not in TYPES:
        raise call.bad(f"invalid activity type: {name}")


@attrs.frozen(kw_only=True)
class _Wish:
    """Which executions, and in which direction. Moments in nanoseconds, the first included, the last not."""

    first_ns: int
    last_ns: int
    order_id: str | None
    newest_first: bool
    size: int
    token: str | None


def _page(desk: Desk, call: Call, *, with_fills: bool) -> Answer:
    exchange = desk.settled()
    wish = _wish(call, exchange.now_ns)
    if not with_fills:
        return found([])
    ledger = exchange.state.ledger
    order = None if wish.order_id is None else exchange.order(wish.order_id)
    if wish.order_id is not None and order is None:
        return found([])
    if order is not None:
        ended_ns = wish.last_ns if order.ended_ns is None else order.ended_ns + 1
        wish = attrs.evolve(wish, first_ns=max(wish.first_ns, order.created_ns), last_ns=min(wish.last_ns, ended_ns))
    chosen = (
        fill for fill in _fills(ledger, wish, call) if wish.order_id in (None, fill.order_id) and not ledger.is_busted(fill.execution_id)
    )
    page = [(fill, exchange.order(fill.order_id)) for fill in islice(chosen, wish.size)]
    return found([activity_record(fill, order) for fill, order in page if order is not None])


def _wish(call: Call, now_ns: int) -> _Wish:
    first_ns, last_ns = 0, now_ns + 1
    if (after_ns := call.moment("after")) is not None:
        first_ns = after_ns + 1
    if (until_ns := call.moment("until")) is not None:
        last_ns = min(last_ns, until_ns)
    if (day := call.day("date")) is not None:
        first_ns, last_ns = max(first_ns, midnight_ns(day)), min(last_ns, day_end_ns(day) + 1)
    order_id = call.text("order_id")
    if order_id is not None and not is_uuid(order_id):
        raise call.bad(f"invalid order_id: {order_id}")
    return _Wish(
        first_ns=first_ns,
        last_ns=last_ns,
        order_id=order_id,
        newest_first=call.word("direction", ("asc", "desc"), "desc") == "desc",
        size=call.whole("page_size", default=_PAGE, least=1, most=_PAGE),
        token=call.text("page_token"),
    )


def _fills(ledger: Ledger, wish: _Wish, call: Call) -> Iterator[Fill]:
    """The executions of the wish's stretch, behind its token. The books are in order of time, so no other is looked at."""
    fills = ledger.fills
    first = bisect_left(fills, wish.first_ns, key=_moment)
    last = bisect_left(fills, wish.last_ns, key=_moment)
    if wish.token is not None:
        place = _place(fills, wish.token, call)
        first, last = (first, min(last, place)) if wish.newest_first else (max(first, place + 1), last)
    places = range(last - 1, first - 1, -1) if wish.newest_first else range(first, last)
    return (fills[place] for place in places)


def _place(fills: Sequence[Fill], token: str, call: Call) -> int:
    """Where the activity of this id stands in the books. Raises Refused."""
    read = _ID.match(token)
    for start_ns in () if read is None else _moments(read[1], int(read[2])):
        first = bisect_left(fills, start_ns, key=_moment)
        for place in range(first, bisect_right(fills, start_ns + _MILLISECOND_NS - 1, key=_moment)):
            if identity("activity", fills[place].execution_id) == token[-36:]:
                return place
    raise call.bad(f"invalid page_token: {token}")


def _moment(fill: Fill) -> int:
    return fill.at_ns


def _moments(wall: str, milliseconds: int) -> Iterator[int]:
    """The moments at which New York's clocks show this: two in the hour that autumn repeats."""
    try:
        shown = datetime.strptime(wall, "%Y%m%d%H%M%S").replace(tzinfo=exchange_zone())
    except ValueError:
        return
    for fold in (0, 1):
        moment = shown.replace(fold=fold).astimezone(UTC) + timedelta(milliseconds=milliseconds)
        yield to_ns(moment)


def activity_id(fill: Fill) -> str:
    """The id under which an execution is listed: ``YYYYMMDDHHMMSSmmm::uuid``."""
    moment = from_ns(fill.at_ns).astimezone(exchange_zone())
    return f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}::{identity('activity', fill.execution_id)}"


def activity_record(fill: Fill, order: PaperOrder) -> dict[str, Any]:
    """An execution with all its members; pairs are written without their slash here."""
    leaves = _leaves(fill, order)
    return {
        "id": activity_id(fill),
        "activity_type": FILL,
        "transaction_time": moment_text(fill.at_ns),
        "type": "partial_fill" if leaves else "fill",
        "price": decimal_text(fill.price),
        "qty": decimal_text(fill.qty),
        "side": fill.side.value,
        "symbol": without_slash(fill.symbol),
        "leaves_qty": decimal_text(leaves),
        "cum_qty": decimal_text(fill.filled_qty),
        "order_id": fill.order_id,
        "order_status": "partially_filled" if leaves else "filled",
    }


def _leaves(fill: Fill, order: PaperOrder) -> Any:
    """The quantity that was still open right after an execution; of an order by amount, what the rest of it bought at that price."""
    if order.request.qty is not None:
        return max(order.request.qty - fill.filled_qty, ZERO)
    if order.status is Status.FILLED and fill.filled_qty >= order.filled_qty:
        return ZERO
    then = attrs.evolve(order, filled_qty=fill.filled_qty, filled_amount=fill.filled_qty * fill.filled_avg_price)
    return max(then.remaining(fill.price), ZERO)


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/account/activities", get_activities),
    Route("GET", "/v2/account/activities/{activity_type}", get_activities_of_type),
)

"""Positions: read, and closed one by one or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import Any

from broker_core.errors import RequestRefused
from broker_core.models import Asset
from broker_core.requests import MarketOrder, Side, TimeInForce
from broker_demo.admission import CRYPTO
from broker_demo.ledger import Holding
from broker_demo.matching import is_whole
from broker_demo.paper_order import SMALLEST_QTY
from broker_demo.refusals import broken_rule
from broker_demo.sandbox.answers import Answer, Refused, found, missing
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.pairs import without_slash
from broker_demo.sandbox.route import Route
from broker_demo.sandbox.trading.orders import all_cancelled
from broker_demo.sandbox.trading.position_record import Morning, position_record
from broker_demo.sandbox.trading.submission import submitted


def get_positions(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/positions``: by symbol."""
    exchange = desk.settled()
    morning = Morning.of(desk)
    return found([position_record(desk, symbol, held, morning) for symbol, held in exchange.state.ledger.positions.items()])


def get_position(desk: Desk, call: Call) -> Answer:
    """``GET /v2/positions/{symbol_or_asset_id}``."""
    desk.settled()
    asset, held = _named(desk, call)
    return found(position_record(desk, asset.symbol, held, Morning.of(desk)))


def delete_position(desk: Desk, call: Call) -> Answer:
    """``DELETE /v2/positions/{symbol_or_asset_id}``: the whole of it, or ``qty`` shares, or ``percentage`` percent."""
    qty, percentage = call.amount("qty"), call.amount("percentage")
    if qty is not None and percentage is not None:
        raise call.bad("only one of qty or percentage is accepted")
    if qty is not None and qty <= 0:
        raise call.bad("qty must be > 0")
    if percentage is not None and not 0 < percentage <= 100:
        raise call.bad("percentage must be between 0 and 100")

    def act(now_ns: int) -> dict[str, Any]:
        desk.exchange.advance(now_ns)
        asset, held = _named(desk, call)
        wanted = abs(held.qty) if qty is None else qty
        if percentage is not None:
            wanted = _share_of(wanted, percentage)
        if not wanted:
            raise call.bad("qty must be > 0")
        return _closed(desk, asset, held, wanted, now_ns)

    return found(desk.change(act))


def delete_positions(desk: Desk, call: Call) -> Answer:
    """``DELETE /v2/positions``: all of them, and with ``cancel_orders`` all open orders before; what came of each."""
    return found(desk.change(partial(_all_closed, desk, call.flag("cancel_orders"))), 207)


def _all_closed(desk: Desk, cancel_orders: bool, now_ns: int) -> list[dict[str, Any]]:  # bound by name above
    exchange = desk.exchange
    exchange.advance(now_ns)
    outcomes: list[dict[str, Any]] = []
    if cancel_orders:
        # Alpaca writes the order's id where the symbol belongs.
        outcomes += [{"symbol": order.order_id, "status": status, "body": body} for order, status, body in all_cancelled(desk, now_ns)]
    for symbol, held in exchange.state.ledger.positions.items():
        outcome: dict[str, Any] = {"symbol": without_slash(symbol), "status": 200}
        try:
            asset = desk.prices.asset(symbol)
            if asset is None:
                raise broken_rule(f"asset {symbol} is not active")
            outcome["body"] = _closed(desk, asset, held, abs(held.qty), now_ns)
        except RequestRefused as error:
            refused = Refused.of(error)
            outcome |= {"status": refused.status, "body": refused.body}
        outcomes.append(outcome)
    return outcomes


def _closed(desk: Desk, asset: Asset, held: Holding, qty: Decimal, now_ns: int) -> dict[str, Any]:
    """Send the market order that closes so many shares; what the host answers to it. Raises RequestRefused."""
    request = MarketOrder(
        asset.symbol,
        Side.SELL if held.qty > 0 else Side.BUY,
        qty=qty,
        time_in_force=TimeInForce.GTC if asset.asset_class == CRYPTO else TimeInForce.DAY,
    )
    return submitted(desk, request, asset, None, now_ns, closes=True)


def _share_of(qty: Decimal, percentage: Decimal) -> Decimal:
    """So much of a quantity, rounded down: to whole shares where it has nothing but whole ones."""
    step = Decimal(1) if is_whole(qty) else SMALLEST_QTY
    return (qty * percentage / 100 / step).to_integral_value(ROUND_DOWN) * step


def _named(desk: Desk, call: Call) -> tuple[Asset, Holding]:
    """The position that the path names. Raises Refused."""
    asset = desk.asset(call.parts["symbol_or_asset_id"])
    held = None if asset is None else desk.exchange.state.ledger.holding(asset.symbol)
    if asset is None or held is None or not held.qty:
        raise missing("position does not exist")
    return asset, held


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/positions", get_positions),
    Route("DELETE", "/v2/positions", delete_positions),
    Route("GET", "/v2/positions/{symbol_or_asset_id}", get_position),
    Route("DELETE", "/v2/positions/{symbol_or_asset_id}", delete_position),
)

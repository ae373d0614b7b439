"""Who trades most, and whose price has moved most, today: since midnight in New York, up to the last minute that is over."""

from __future__ import annotations

from typing import Any

from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.bars import last_whole_minute_ns
from broker_demo.sandbox.data.latest import DAY, bar_until
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.pairs import is_pair
from broker_demo.sandbox.route import Route

_ROOT = "/v1beta1/screener"
_MARKETS = ("stocks", "crypto")


def _most_actives(desk: Desk, call: Call) -> Answer:
    measure = {"volume": "volume", "trades": "trade_count"}[call.word("by", ("volume", "trades"), "volume")]
    count = call.whole("top", default=10, least=1, most=100)
    until_ns = last_whole_minute_ns(desk.now_ns())
    active: list[dict[str, Any]] = []
    for symbol in desk.prices.symbols():
        bar = None if is_pair(symbol) else bar_until(desk.prices, symbol, DAY, until_ns)
        if bar is not None:
            active.append({"symbol": symbol, "volume": bar.v, "trade_count": bar.n})
    active.sort(key=lambda one: (-one[measure], one["symbol"]))
    return found({"most_actives": active[:count], "last_updated": moment_text(until_ns + 1)})


def _movers(desk: Desk, call: Call) -> Answer:
    market = call.parts["market"]
    if market not in _MARKETS:
        raise call.bad(f"invalid market type: {market}")
    count = call.whole("top", default=10, least=1, most=50)
    until_ns = last_whole_minute_ns(desk.now_ns())
    moved = [
        move
        for symbol in desk.prices.symbols()
        if is_pair(symbol) is (market == "crypto") and (move := _move(desk.prices, symbol, until_ns)) is not None
    ]
    moved.sort(key=lambda one: (-one["percent_change"], one["symbol"]))
    return found(
        {
            "gainers": [move for move in moved if move["change"] > 0][:count],
            "losers": [move for move in reversed(moved) if move["change"] < 0][:count],
            "market_type": market,
            "last_updated": moment_text(until_ns + 1),
        }
    )


def _move(prices: Prices, symbol: str, until_ns: int) -> dict[str, Any] | None:
    """From the last price of the trading day before to the present one."""
    last = prices.tick(symbol, until_ns)
    before = None if last is None else prices.tick(symbol, DAY.floor(last.timestamp_ns) - 1)
    if last is None or before is None:
        return None
    change = last.price - before.price
    return {
        "symbol": symbol,
        "percent_change": round(100 * change / before.price, 2),
        "change": round(change, 9),
        "price": last.price,
    }


ROUTES = (
    Route("GET", f"{_ROOT}/stocks/most-actives", _most_actives, Host.DATA, is_slow=True),
    Route("GET", f"{_ROOT}/{{market}}/movers", _movers, Host.DATA, is_slow=True),
)

"""What an account was worth at moments that have passed: its present holdings with the executions since then undone, at the prices of then.

Figures are binary floats: they are drawn, not booked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

from broker_core.requests import Side
from broker_core.timeframe import Timeframe
from broker_demo.ledger import Ledger
from broker_demo.prices import Prices

_MINUTE = Timeframe.parse("1Min")
_MINUTE_NS = 60_000_000_000

_Array: TypeAlias = Any
"""A NumPy array. The type is not named because NumPy is loaded only where a curve is drawn."""


def equity_before(prices: Prices, ledger: Ledger, moments: Sequence[int], now_ns: int) -> Sequence[float]:
    """The equity right before each of these moments, which ascend, none of them in the future; in the account's currency.

    Prices are looked at once a minute: at a moment within one, that of the minute's end counts, as far as it has come.
    """
    import numpy as np

    if not moments:
        return []
    edges = np.array(moments, np.int64)
    since = bisect_left(ledger.fills, moments[0], key=lambda fill: fill.at_ns)
    undone: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    payments: list[tuple[int, float]] = []
    for fill in ledger.fills[since:]:
        if not ledger.is_busted(fill.execution_id):
            qty = float(fill.qty) if fill.side is Side.BUY else -float(fill.qty)
            undone[fill.symbol].append((fill.at_ns, qty))
            payments.append((fill.at_ns, -qty * float(fill.price)))
    equity = _before(edges, float(ledger.cash), payments)
    for symbol in sorted({*ledger.positions, *undone}):
        held = _before(edges, float(ledger.holding(symbol).qty), undone[symbol])
        if held.any():
            equity += held * _prices_before(prices, symbol, edges, now_ns)
    return [float(value) for value in equity]


def _before(edges: _Array, present: float, changes: Sequence[tuple[int, float]]) -> _Array:
    """What a figure was right before each edge: what it is now, without the changes at or after that edge."""
    import numpy as np

    moments = np.array([moment for moment, _ in changes], np.int64)
    later = np.concatenate([np.cumsum([change for _, change in reversed(changes)])[::-1], [0.0]]) if changes else np.zeros(1)
    # A sum of floats that should be nothing is seldom exactly that.
    return np.round(present - later[np.searchsorted(moments, edges, side="left")], 9)


def _prices_before(prices: Prices, symbol: str, edges: _Array, now_ns: int) -> _Array:
    """The last price of a symbol before each edge; zero before its first."""
    import numpy as np

    first_ns, last_ns = int(edges[0]), int(edges[-1])
    earlier = prices.tick(symbol, first_ns - 1)
    bars = prices.columns(symbol, _MINUTE, first_ns - _MINUTE_NS, last_ns, now_ns)
    known = np.concatenate([[0.0 if earlier is None else earlier.price], np.asarray(bars.close)])
    return known[np.searchsorted(np.asarray(bars.timestamp_ns), edges, side="left")]

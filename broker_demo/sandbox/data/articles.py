"""Articles: every five minutes the exchange has something to say about one of its symbols, in turn, which is where its price stands.

They follow from the prices, so that they are the same in every sandbox of the same seed, and say of themselves that they are generated.
An article carries pairs of crypto currencies without their slash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from broker_demo.prices import Prices
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.pairs import without_slash

EVERY_NS = 5 * 60 * 1_000_000_000
"""The time from one article to the next; each lies on a whole multiple since the Unix epoch."""


def article(prices: Prices, number: int, *, content: bool = True) -> dict[str, Any] | None:
    """The article of this number, which appears at ``number * EVERY_NS``; None where its symbol has no price yet.

    Without ``content`` it is left empty.
    """
    symbol = subject(prices.symbols(), number)
    asset, tick = prices.asset(symbol), prices.tick(symbol, number * EVERY_NS)
    if asset is None or tick is None:
        return None
    moment, says = moment_text(number * EVERY_NS), f"{asset.name or symbol} trades at {tick.price}"
    return {
        "id": number,
        "headline": f"Generated: {says}",
        "author": "Sandbox",
        "created_at": moment,
        "updated_at": moment,
        "summary": f"{says}, between {tick.bid} and {tick.ask}.",
        "content": f"<p>{says}, between {tick.bid} and {tick.ask}. No number here comes from a market.</p>" if content else "",
        "url": f"https://sandbox.invalid/news/{number}",
        "images": [],
        "symbols": [without_slash(symbol)],
        "source": "generated",
    }


def subject(symbols: Sequence[str], number: int) -> str:
    """The symbol that the article of this number is about."""
    return symbols[number % len(symbols)]

"""News: every five minutes the exchange has something to say about one of its symbols, in turn, which is where its price stands.

The articles follow from the prices, so that they are the same in every sandbox of the same seed, and say of themselves that they are
generated. An article carries pairs of crypto currencies without their slash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.pages import Stretch, read_page
from broker_demo.sandbox.data.span import Span, read_span
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import moment_text
from broker_demo.sandbox.route import Route

EVERY_NS = 5 * 60 * 1_000_000_000
"""The time from one article to the next; each lies on a whole multiple since the Unix epoch."""
_KEY = "news"


def article(prices: Prices, number: int, *, content: bool = True) -> dict[str, Any] | None:
    """The article of this number, which appears at ``number * EVERY_NS``; None where its symbol has no price yet.

    Without ``content`` it is left empty.
    """
    symbol = _subject(prices.symbols(), number)
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
        "symbols": [symbol.replace("/", "")],
        "source": "generated",
    }


def _news(desk: Desk, call: Call) -> Answer:
    asked = {symbol.replace("/", "") for symbol in call.listed("symbols")}
    subjects = {symbol for symbol in desk.prices.symbols() if not asked or symbol.replace("/", "") in asked}
    call.flag("exclude_contentless")
    source = partial(_stretch, desk.prices, subjects, call.flag("include_content"))
    span = read_span(call, desk.now_ns(), [_KEY], most=50, usual=10, order="desc")
    page = read_page(call, [_KEY], span, source)
    return found({"news": page.points.get(_KEY, ()), "next_page_token": page.next_token})


def _stretch(prices: Prices, subjects: Collection[str], content: bool, key: str, span: Span, room: int) -> Stretch:  # noqa: ARG001  # a source
    articles = (article(prices, number, content=content) for number in _numbers(prices, subjects, span))
    told = (one for one in articles if one is not None)
    points = list(islice(told, room))
    following = next(told, None)
    return Stretch(points, None if following is None else following["id"] * EVERY_NS)


def _numbers(prices: Prices, subjects: Collection[str], span: Span) -> Iterator[int]:
    """The numbers of the articles about these symbols in the part of the span in which any of them has a price."""
    start_ns = span.start_ns
    if not any(prices.tick(symbol, start_ns) for symbol in subjects):
        first = (prices.next_tick_ns(symbol, start_ns) for symbol in subjects)
        start_ns = min((at_ns for at_ns in first if at_ns is not None), default=span.end_ns + 1)
    numbers, symbols = range(-(-start_ns // EVERY_NS), span.end_ns // EVERY_NS + 1), prices.symbols()
    return (number for number in (reversed(numbers) if span.descends else numbers) if _subject(symbols, number) in subjects)


def _subject(symbols: Sequence[str], number: int) -> str:
    return symbols[number % len(symbols)]


ROUTES = (Route("GET", "/v1beta1/news", _news, Host.DATA, is_slow=True),)

"""News: the articles of the exchange, as far as they have appeared, about the symbols that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice

from broker_demo.prices import Prices
from broker_demo.sandbox.answers import Answer, Host, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.data.articles import EVERY_NS, article, subject
from broker_demo.sandbox.data.pages import Stretch, read_page
from broker_demo.sandbox.data.span import Span, read_span
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.pairs import without_slash
from broker_demo.sandbox.route import Route

_KEY = "news"


def _news(desk: Desk, call: Call) -> Answer:
    asked = {without_slash(symbol) for symbol in call.listed("symbols")}
    subjects = {symbol for symbol in desk.prices.symbols() if not asked or without_slash(symbol) in asked}
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
    return (number for number in (reversed(numbers) if span.descends else numbers) if subject(symbols, number) in subjects)


ROUTES = (Route("GET", "/v1beta1/news", _news, Host.DATA, is_slow=True),)

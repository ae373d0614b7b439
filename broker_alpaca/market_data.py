"""Prices, past and present, over REST: stocks, crypto pairs (with a slash) and options (in the OCC's form), told apart by their symbols.

Where prices come from. Quotes, trades and snapshots of stocks are those of ``settings.feed``, of options ``settings.options_feed``. Bars
of stocks come from all exchanges (``sip``) unless the feed is ``otc``, ``boats`` or ``overnight`` (which is ``boats`` in history), and are
raw: not adjusted for splits and dividends. Other adjustments, and bars of IEX alone, are ``client.send(bars.stocks(…))``.

Recent bars. A plan without real-time data is refused bars of the last 15 minutes. Unless the feed is ``sip``, which says that the plan has
them, such a request is repeated for what lies further back, once and with a warning in the log, and from then on so are all others: what is
missing is missing at the end of the frame, for its index to show. Bars of IEX in their place would be of a thirtieth of the volume, and in
one frame with the others where a download goes in several requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import attrs

from broker_alpaca.client import AlpacaClient
from broker_alpaca.listed import Listed
from broker_alpaca.wire import assets, bars, clock, option_contracts, quotes, snapshots, trades
from broker_alpaca.wire.by_symbol import BySymbol
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.data_host import LARGEST_PAGE, Range
from broker_alpaca.wire.snapshots import OptionSnapshot
from broker_alpaca.wire.symbols import Kind, kind_of
from broker_core.at_once import at_once
from broker_core.clock import from_ns, to_ns
from broker_core.errors import RequestRefused
from broker_core.models import Asset, BarColumns, BarPage, BarQuery, MarketClock, MarketHours, Quote, Snapshot, Trade

log = logging.getLogger(__name__)

_HISTORY_FEEDS: Mapping[str, str] = {"otc": "otc", "boats": "boats", "overnight": "boats"}
_ALL_EXCHANGES = "sip"
_DELAY = timedelta(minutes=16)
"""Fifteen, and one for two clocks that differ."""
_STEP = timedelta(microseconds=1)
_FORBIDDEN, _NOT_FOUND = 403, 404


@attrs.frozen
class _Place:
    """Where the pages of a query go on: with which kind of symbol, up to when (in nanoseconds, excluded), and Alpaca's own token."""

    kind: Kind
    end_ns: int
    token: str | None

    @classmethod
    def parse(cls, text: str) -> _Place:
        kind, end_ns, token = text.split("|", 2)
        return cls(Kind(kind), int(end_ns), token or None)

    def __str__(self) -> str:
        return f"{self.kind}|{self.end_ns}|{self.token or ''}"


class AlpacaMarketData:
    """Market data of one Alpaca account. Each method raises what ``AlpacaClient.send`` raises."""

    def __init__(self, client: AlpacaClient) -> None:
        self._client = client
        self._listed = Listed(client)
        self._feed = _HISTORY_FEEDS.get(client.settings.feed, _ALL_EXCHANGES)
        self._is_delayed = False

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        """One page of at most 10,000 bars, kind by kind.

        Raises RequestRefused for symbols that Alpaca does not know; only those without a single bar are looked up.
        """
        groups = _by_kind(query.symbols)
        place = self._start(query, next(iter(groups))) if token is None else _resumed(token, groups)
        place, page = await self._page(query, groups[place.kind], place)
        self._listed.saw(page.found)
        following = self._following(query, groups, place, page.next_token)
        if following is None or following.kind is not place.kind:
            await self._listed.check(groups[place.kind])
        return BarPage(columns=page.found, next_token=None if following is None else str(following))

    def _start(self, query: BarQuery, kind: Kind) -> _Place:
        end_ns = to_ns(query.end)
        return _Place(kind, self._earlier(end_ns) if kind is Kind.STOCK and self._is_delayed else end_ns, None)

    def _earlier(self, end_ns: int) -> int:
        """The end, or what a plan without real-time data has of it."""
        return min(end_ns, to_ns(self._client.clock.now() - _DELAY))

    def _following(self, query: BarQuery, groups: Mapping[Kind, Sequence[str]], place: _Place, token: str | None) -> _Place | None:
        if token is not None:
            return attrs.evolve(place, token=token)
        rest = [kind for kind in groups if kind > place.kind]
        return self._start(query, rest[0]) if rest else None

    async def _page(self, query: BarQuery, symbols: Sequence[str], place: _Place) -> tuple[_Place, BySymbol[BarColumns]]:
        """One answer, and where it was asked for: earlier than wanted, where the plan has no real-time data."""
        # Alpaca includes the end.
        end = from_ns(place.end_ns) - _STEP
        if end < query.start:
            return place, BySymbol({})
        try:
            return place, await self._client.send(self._call(place.kind, symbols, query, end, place.token))
        except RequestRefused as refusal:
            earlier_ns = self._earlier(place.end_ns)
            if place.kind is not Kind.STOCK or not self._is_about_delay(refusal) or earlier_ns >= place.end_ns:
                raise
        if not self._is_delayed:
            self._is_delayed = True
            log.warning("alpaca: this plan has no real-time data of all exchanges: bars of stocks end 15 minutes ago")
        return await self._page(query, symbols, attrs.evolve(place, end_ns=earlier_ns))

    def _is_about_delay(self, refusal: RequestRefused) -> bool:
        is_delayed = refusal.status == _FORBIDDEN and "recent SIP data" in str(refusal)
        return is_delayed and self._feed == _ALL_EXCHANGES != self._client.settings.feed

    def _call(self, kind: Kind, symbols: Sequence[str], query: BarQuery, end: datetime, token: str | None) -> Call[BySymbol[BarColumns]]:
        timeframe = query.timeframe
        part: Range = {"start": query.start, "end": end, "limit": LARGEST_PAGE, "page_token": token}
        match kind:
            case Kind.STOCK:
                return bars.stocks(symbols, timeframe, adjustment="raw", feed=self._feed, **part)
            case Kind.CRYPTO:
                return bars.crypto(symbols, timeframe, location=self._client.settings.crypto_location, **part)
            case Kind.OPTION:
                return bars.options(symbols, timeframe, **part)

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """The latest quotes. Raises RequestRefused for symbols that Alpaca does not know."""
        settings = self._client.settings

        def call(kind: Kind, names: Sequence[str], _: str | None) -> Call[BySymbol[Quote]]:
            match kind:
                case Kind.STOCK:
                    return quotes.latest_stocks(names, feed=settings.feed)
                case Kind.CRYPTO:
                    return quotes.latest_crypto(names, location=settings.crypto_location)
                case Kind.OPTION:
                    return quotes.latest_options(names, feed=settings.options_feed)

        return await self._of_each(symbols, call)

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """The latest trades. Raises RequestRefused for symbols that Alpaca does not know."""
        settings = self._client.settings

        def call(kind: Kind, names: Sequence[str], _: str | None) -> Call[BySymbol[Trade]]:
            match kind:
                case Kind.STOCK:
                    return trades.latest_stocks(names, feed=settings.feed)
                case Kind.CRYPTO:
                    return trades.latest_crypto(names, location=settings.crypto_location)
                case Kind.OPTION:
                    return trades.latest_options(names, feed=settings.options_feed)

        return await self._of_each(symbols, call)

    async def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Snapshot]:
        """The present of each symbol; of options with greeks. Raises RequestRefused for symbols that Alpaca does not know."""
        settings = self._client.settings

        def call(kind: Kind, names: Sequence[str], token: str | None) -> Call[BySymbol[Snapshot]] | Call[BySymbol[OptionSnapshot]]:
            match kind:
                case Kind.STOCK:
                    return snapshots.stocks(names, feed=settings.feed)
                case Kind.CRYPTO:
                    return snapshots.crypto(names, location=settings.crypto_location)
                case Kind.OPTION:
                    limit = snapshots.LARGEST_PAGE
                    return snapshots.options(names, feed=settings.options_feed, limit=limit, page_token=token)

        found = await self._of_each(symbols, call)
        return {symbol: found.get(symbol) or Snapshot(symbol=symbol) for symbol in symbols}

    async def clock(self) -> MarketClock:
        """The clock of the regular session in New York."""
        return clock.to_clock(await self._client.send(clock.get()))

    async def hours(self, start: date, end: date) -> Sequence[MarketHours]:
        """The regular sessions from ``start`` to ``end``, both included."""
        days = await self._client.send(clock.calendar(start, end))
        found = (clock.to_hours(day, self._client.wire_drift) for day in days.records)
        return [hours for hours in found if hours is not None]

    async def asset(self, symbol: str) -> Asset | None:
        """The asset, or the option contract, of this symbol. A crypto pair is found without its slash too, and named with it."""
        if kind_of(symbol) is Kind.OPTION:
            return await self._contract(symbol)
        return await self._listed.find(symbol)

    async def assets(self) -> Sequence[Asset]:
        """All stocks and crypto pairs that can be traded now, more than ten thousand; options are not among them."""
        active = assets.Status.ACTIVE
        calls = (assets.list_all(status=active, asset_class=asset_class) for asset_class in ("us_equity", "crypto"))
        pages = await at_once(self._client.send(call) for call in calls)
        found = [asset for page in pages for asset in page.records]
        self._listed.saw(asset.symbol for asset in found)
        return [asset for asset in found if asset.tradable]

    async def _contract(self, symbol: str) -> Asset | None:
        try:
            contract = await self._client.send(option_contracts.get(symbol))
        except RequestRefused as refusal:
            if refusal.status == _NOT_FOUND:
                return None
            raise
        return Asset(symbol=contract.symbol, name=contract.name or "", asset_class="us_option", tradable=contract.tradable)

    async def _of_each(self, symbols: Sequence[str], call: Callable[[Kind, Sequence[str], str | None], Call[Any]]) -> dict[str, Any]:
        """The values of all symbols, asked for kind by kind at once."""

        async def of_kind(kind: Kind, names: Sequence[str]) -> dict[str, Any]:
            found: dict[str, Any] = {}
            async for page in self._client.pages(lambda token: call(kind, names, token), lambda page: page.next_token):
                found |= page.found
            return found

        answers = await at_once(of_kind(kind, names) for kind, names in _by_kind(symbols).items())
        found = {symbol: value for answer in answers for symbol, value in answer.items()}
        self._listed.saw(found)
        await self._listed.check(symbols)
        return found


def _by_kind(symbols: Sequence[str]) -> dict[Kind, tuple[str, ...]]:
    """The symbols by what they stand for, in the order of the kinds' names."""
    kinds = sorted({kind_of(symbol) for symbol in symbols})
    return {kind: tuple(symbol for symbol in symbols if kind_of(symbol) is kind) for kind in kinds}


def _resumed(token: str, groups: Mapping[Kind, Sequence[str]]) -> _Place:
    try:
        place = _Place.parse(token)
    except ValueError:
        place = None
    if place is None or place.kind not in groups:
        raise RequestRefused(f"alpaca: the page token {token[:40]!r} does not belong to this query")
    return place

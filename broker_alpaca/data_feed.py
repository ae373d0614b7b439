"""The market data sockets as feeds: stocks, crypto, options and news, one connection each.

The core connects only those of which something is wanted, and reconnects them; nothing here waits, except for the broker.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import Any, Final

import attrs

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.silence import Latest, Silence
from broker_alpaca.transport import Socket, Sockets
from broker_alpaca.wire.data_stream import Codec, Credentials, DataConversation
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.symbols import Kind, kind_of
from broker_core.errors import RateLimited
from broker_core.models import Channel, News, StreamItem, Wish
from broker_core.secret import Secret

STOCK_CHANNELS: Final = frozenset(
    {
        Channel.TRADES,
        Channel.QUOTES,
        Channel.BARS,
        Channel.DAILY_BARS,
        Channel.UPDATED_BARS,
        Channel.STATUSES,
        Channel.LULDS,
        Channel.CORRECTIONS,
        Channel.CANCEL_ERRORS,
        Channel.IMBALANCES,
    }
)
CRYPTO_CHANNELS: Final = frozenset(
    {Channel.TRADES, Channel.QUOTES, Channel.BARS, Channel.DAILY_BARS, Channel.UPDATED_BARS, Channel.ORDERBOOKS}
)
OPTION_CHANNELS: Final = frozenset({Channel.TRADES, Channel.QUOTES})
NEWS_CHANNELS: Final = frozenset({Channel.NEWS})

CONNECTION_WAITS: Final = (30.0, 60.0, 90.0, 180.0, 300.0)
"""Seconds to stay away each time that another connection is open. A connection that broke off may count for about 90 s."""

_OVERNIGHT_FEEDS = ("boats", "overnight")


class DataFeed:
    """One socket of market data, as the core sees it: of one kind of symbol, or of all where ``kind`` is None."""

    def __init__(
        self,
        name: str,
        url: str,
        channels: frozenset[Channel],
        kind: Kind | None,
        *,
        star_channels: frozenset[Channel],
        codec: Codec,
        credentials: Credentials,
        sockets: Sockets,
        drift: Drift,
        silence: Silence | None = None,
    ) -> None:
        self.name = name
        self.channels = channels
        self.star_channels = star_channels
        self._url = url
        self._kind = kind
        self._codec = codec
        self._credentials = credentials
        self._sockets = sockets
        self._drift = drift
        self._wish: dict[Channel, frozenset[str]] = {}
        self._socket: Socket | None = None
        self._conversation: DataConversation | None = None
        self._turned_away = 0
        self._silence = silence
        self._frames = 0

    def accepts(self, symbol: str) -> bool:
        """Whether this is the socket to ask for a symbol, by the symbol's form."""
        return self._kind is None or kind_of(symbol) is self._kind

    def want(self, wish: Wish) -> Awaitable[None] | None:
        """Take the whole wish; while connected, what has changed is sent."""
        self._wish = {channel: symbols for channel, symbols in wish.symbols.items() if channel in self.channels}
        if self._socket is None or self._conversation is None:
            return None
        self._conversation.want(self._wish)
        return self._send(self._socket, self._conversation)

    async def connect(self) -> AsyncGenerator[Sequence[StreamItem], None]:
        """Open the connection and yield what each frame brings. Raises AuthError, RateLimited, Unavailable, WireError."""
        async with self._sockets.open(self._url, {"Content-Type": self._codec.content_type}) as socket:
            conversation = DataConversation(
                f"alpaca {self.name} stream",
                self._credentials,
                codec=self._codec,
                drift=self._drift,
                connection_wait=CONNECTION_WAITS[min(self._turned_away, len(CONNECTION_WAITS) - 1)],
            )
            conversation.want(self._wish)
            self._socket, self._conversation = socket, conversation
            try:
                while True:
                    items = conversation.receive(await socket.receive())
                    self._frames += 1
                    if conversation.has_to_speak:
                        await self._send(socket, conversation)
                    if self._turned_away and conversation.is_signed_in:
                        self._turned_away = 0
                    yield items
            except RateLimited:
                self._turned_away += 1
                raise
            finally:
                self._socket = self._conversation = None

    async def probe(self) -> bool:
        """Whether there is a connection, its other side answers a ping, and it does not keep from us what the REST host tells."""
        if self._socket is None or not await self._socket.is_alive():
            return False
        return self._silence is None or await self._silence.is_the_markets(self._frames, self._wish)

    async def _send(self, socket: Socket, conversation: DataConversation) -> None:
        for message in conversation.outgoing():
            await socket.send(message)


class NewsFeed(DataFeed):
    """Articles. Alpaca writes pairs without their slash here; who wants news of ``BTC/USD`` gets it under that name."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._names: dict[str, tuple[str, ...]] = {}

    def want(self, wish: Wish) -> Awaitable[None] | None:
        """Take the whole wish, in Alpaca's spelling."""
        self._names = {}
        for symbol in sorted(wish.symbols.get(Channel.NEWS, ())):
            spelled = symbol.replace("/", "")
            self._names[spelled] = (*self._names.get(spelled, ()), symbol)
        return super().want(Wish({Channel.NEWS: frozenset(self._names)}))

    async def connect(self) -> AsyncGenerator[Sequence[StreamItem], None]:
        """Open the connection and yield what each frame brings. Raises like every feed."""
        async with aclosing(super().connect()) as batches:
            async for batch in batches:
                yield [self._named(item) if isinstance(item, News) else item for item in batch]

    def _named(self, news: News) -> News:
        names = dict.fromkeys(name for symbol in news.symbols for name in self._names.get(symbol, (symbol,)))
        return news if tuple(names) == news.symbols else attrs.evolve(news, symbols=tuple(names))


def data_feeds(
    settings: AlpacaSettings, sockets: Sockets, drift: Drift, *, quotes: Latest | None = None, trades: Latest | None = None
) -> tuple[DataFeed, ...]:
    """The market data sockets of an account. Stocks come first: they are what ``*`` means where several offer it.

    ``quotes`` and ``trades`` ask the REST host for the latest, so that a mute socket can be told from a quiet market.
    """
    if settings.oauth_token is not None:
        credentials = Credentials(Secret("oauth"), settings.oauth_token)
    else:
        credentials = Credentials(settings.key, settings.secret)
    codec = Codec(settings.codec)
    stock_path = f"/v1beta1/{settings.feed}" if settings.feed in _OVERNIGHT_FEEDS else f"/v2/{settings.feed}"

    def feed(
        name: str,
        path: str,
        channels: frozenset[Channel],
        kind: Kind | None,
        *,
        stars: frozenset[Channel] | None = None,
        codec: Codec = codec,
        make: type[DataFeed] = DataFeed,
    ) -> DataFeed:
        return make(
            name,
            f"{settings.stream_url}{path}",
            channels,
            kind,
            star_channels=channels if stars is None else stars,
            codec=codec,
            credentials=credentials,
            sockets=sockets,
            drift=drift,
            silence=None if quotes is None or trades is None else Silence(quotes, trades),
        )

    return (
        feed("stocks", stock_path, STOCK_CHANNELS, Kind.STOCK),
        feed("crypto", f"/v1beta3/crypto/{settings.crypto_location}", CRYPTO_CHANNELS, Kind.CRYPTO),
        # Options are sent in MessagePack only, and not every quote of theirs can be asked for at once.
        feed(
            "options",
            f"/v1beta1/{settings.options_feed}",
            OPTION_CHANNELS,
            Kind.OPTION,
            stars=frozenset({Channel.TRADES}),
            codec=Codec.MSGPACK,
        ),
        feed("news", "/v1beta1/news", NEWS_CHANNELS, None, make=NewsFeed),
    )

"""What a broker's plugin offers: small objects, one a family, each a plain protocol.

A plugin knows one broker's wire and nothing else. It never reconnects, never retries an order, never chooses. Whatever goes wrong it
raises as one of the errors of ``broker_core.errors``; the docstrings say which. Each method is marked MUST or MAY: a broker that
cannot do a MAY leaves the method out, or raises ``NotSupported``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from broker_core.models import (
    Account,
    Asset,
    BarPage,
    BarQuery,
    Capabilities,
    Channel,
    Environment,
    MarketClock,
    MarketHours,
    Position,
    Quote,
    Snapshot,
    StreamItem,
    Trade,
    Wish,
)
from broker_core.orders import Order, OrderChange, OrderEvent, ReplaceTerms

HOOK_API = 1
"""The version of these protocols and of the hooks. It grows when a plugin written for the old one would no longer work."""


@runtime_checkable
class Client(Protocol):
    """The account at one broker, not yet opened. Chosen once per session; the other families are asked for by it.

    MAY have, besides what follows: ``notes``, a sequence of one-line texts about where its settings come from, shown by
    ``broker doctor``; ``drift``, a mapping of what the broker said that the plugin does not know to how often, shown with the account's
    state; ``watchlists``, the account's lists of symbols (``broker_core.watchlists.Watchlists``).
    """

    name: str
    """The broker's name: what ``connect(name)`` asks for. MUST equal the name of the plugin's entry point."""
    mode: str
    """How it is reached: ``sdk``, ``http``, ``demo``, or the plugin's own word."""
    environment: Environment
    hook_api: int
    """The ``HOOK_API`` it was written for."""
    capabilities: Capabilities

    async def open(self) -> Account:
        """MUST prove the credentials and return the account. Raises AuthError, Unavailable."""

    async def close(self) -> None:
        """MUST let go of everything it holds; called once, also after an ``open`` that raised."""


@runtime_checkable
class Orders(Protocol):
    """Sending orders and asking after them.

    Answers are ``OrderEvent`` snapshots with ``Source.ANSWER`` for what was asked to be done and ``Source.LOOKUP`` or
    ``Source.LISTING`` for what was asked after. Every call MUST have a deadline of its own.
    """

    async def submit(self, order: Order) -> OrderEvent:
        """MUST send ``order.request`` exactly once with ``order.local_id`` as the client order id.

        Raises RequestRefused (understood and refused), DuplicateOrder (the id exists there already), RateLimited and Unavailable
        (nothing was done). InDoubt, and every error not named here, mean that it may have been done.
        """

    async def cancel(self, order: Order) -> None:
        """MUST ask for the order's end; returning says only that the wish was taken. Raises RequestRefused, Unavailable, InDoubt."""

    async def find(self, client_order_id: str) -> OrderEvent | None:
        """MUST look an order up by our id; None is the broker's own word that it holds none. Raises Unavailable when not answered."""

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        """MUST list all open orders and, with ``since``, every order sent or ended after it: complete, or raise Unavailable."""

    async def fills(self, since: datetime) -> Sequence[OrderEvent]:
        """MAY list executions after ``since`` (kind FILL, source ACTIVITY), oldest first. Raises NotSupported, Unavailable."""

    async def replace(self, order: Order, terms: ReplaceTerms, client_order_id: str) -> OrderEvent:
        """MAY change a working order. The answer names the new broker id, and the old one in ``replaces``.

        Raises NotSupported, RequestRefused, Unavailable, InDoubt.
        """


@runtime_checkable
class Feed(Protocol):
    """One socket: its channels, the wish it was told last, and its connections.

    MAY have ``star_channels: frozenset[Channel]``, those of its channels on which ``EVERY_SYMBOL`` can be wanted; and
    ``accepts(symbol: str) -> bool``, whether it is the one to ask for this symbol. A feed without ``accepts`` takes every symbol.
    """

    name: str
    channels: frozenset[Channel]

    def want(self, wish: Wish) -> Awaitable[None] | None:
        """MUST take the whole wish, replacing the former one; the part that is not for its channels is ignored.

        Works before, during and between connections. While connected it makes the broker send just that.
        """

    def connect(self) -> AsyncIterator[Sequence[StreamItem]]:
        """MUST open one connection and yield a batch for every frame; the first batch is ``[SignedIn()]``.

        Order news carries ``Source.STREAM``. Ending means a clean close. Raises AuthError (sign-in refused), RateLimited (come back
        later), Unavailable. MUST close the socket when the iterator is closed.
        """

    async def probe(self) -> bool:
        """MAY say whether a connection that has gone quiet is alive, cheaply."""


@runtime_checkable
class Stream(Protocol):
    """News without asking."""

    feeds: Sequence[Feed]
    """One for each socket the broker has.

    Where several carry a channel, a symbol goes to the first of them that accepts it; so all but the last MUST have ``accepts``.
    """


@runtime_checkable
class Sync(Protocol):
    """The three reads of the account. Each raises Unavailable, RateLimited or AuthError."""

    async def account(self) -> Account:
        """MUST read the account."""

    async def positions(self) -> Sequence[Position]:
        """MUST read all positions; an empty answer means flat."""

    async def open_orders(self) -> Sequence[OrderEvent]:
        """MUST list every order the broker still works on, held ones included (kind SNAPSHOT, source LISTING)."""


@runtime_checkable
class MarketDataSource(Protocol):
    """Prices, past and present. Unknown symbols raise RequestRefused naming them, unless said otherwise."""

    async def bars(self, query: BarQuery, token: str | None) -> BarPage:
        """MUST serve one page, the first when ``token`` is None. Pages over several symbols go symbol by symbol."""

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """MUST serve the latest quotes; symbols without one are left out."""

    async def trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """MUST serve the latest trades; symbols without one are left out."""

    async def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Snapshot]:
        """MUST serve what is known of each symbol now."""

    async def clock(self) -> MarketClock:
        """MUST say whether the market is open."""

    async def hours(self, start: date, end: date) -> Sequence[MarketHours]:
        """MUST list the trading days from ``start`` to ``end``, both included."""

    async def asset(self, symbol: str) -> Asset | None:
        """MUST describe what is traded under this symbol; None when there is no such thing."""

    async def assets(self) -> Sequence[Asset]:
        """MAY list everything that can be traded. Raises NotSupported."""


@runtime_checkable
class Journal(Protocol):
    """Where a session writes down what must survive it. Not a broker's family: the records plugin offers it."""

    async def append(self, changes: Sequence[OrderChange]) -> None:
        """MUST return only when all of it is committed. Raises StorageError when it cannot be."""

    async def unfinished(self) -> Sequence[Sequence[OrderChange]]:
        """MUST give, for every order of this account that may still change, all its changes, oldest first."""

    async def history(self, local_id: str) -> Sequence[OrderChange]:
        """MUST give every change of one order, oldest first; empty for an unknown id."""

    async def close(self) -> None:
        """MUST commit what is under way and let go of the database."""

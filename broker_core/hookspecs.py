"""The hooks: the one page an author of a broker must read.

A plugin is any object (a module will do) whose functions carry these names and the marker ``hookimpl``; its distribution names it in
the entry-point group ``broker_core``::

    # pyproject.toml
    [project.entry-points.broker_core]
    acme = "broker_acme"

    # broker_acme.py
    from broker_core import hookimpl

    @hookimpl
    def broker_client(environ):
        key = environ.get("ACME_KEY")
        return AcmeClient(key) if key else None

Hooks are questions answered at once: plain functions that do no I/O. The objects they return (``broker_core.families``) are awaited.
A function may leave out arguments it does not need. Vetoes and observers, and only they, may be ``async def``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from broker_core.families import Client, Journal, MarketDataSource, Orders, Stream, Sync
    from broker_core.models import Account, Connection, Gap
    from broker_core.orders import OrderChange
    from broker_core.requests import OrderRequest
    from broker_core.session import Session

NAME = "broker_core"
"""The project's name to pluggy, the marker's name and the entry-point group: one word, so that they cannot drift apart."""

hookspec = pluggy.HookspecMarker(NAME)
hookimpl = pluggy.HookimplMarker(NAME)


@hookspec
def broker_configure(environ: Mapping[str, str], register: Callable[[object], None]) -> None:
    """Called first, once per session. ``register(plugin)`` adds another plugin for this session only."""


@hookspec
def broker_client(environ: Mapping[str, str]) -> Client | None:
    """Offer an account at your broker. None means: no credentials here. No I/O, no check of the credentials.

    Every plugin is asked. Credentials that are present but wrong are still an offer: opening it raises AuthError. Settings that make no
    sense raise ConfigError.
    """


@hookspec(firstresult=True)
def broker_orders(client: Client) -> Orders | None:
    """Offer the orders of this client. Answer only for your own client; None leaves the question to the next plugin."""


@hookspec(firstresult=True)
def broker_stream(client: Client) -> Stream | None:
    """Offer the stream of this client. Answer only for your own client; None leaves the question to the next plugin."""


@hookspec(firstresult=True)
def broker_sync(client: Client) -> Sync | None:
    """Offer the account reads of this client. Answer only for your own client; None leaves the question to the next plugin."""


@hookspec(firstresult=True)
def broker_market_data(client: Client) -> MarketDataSource | None:
    """Offer market data: for your own client, or, as a data plugin marked ``tryfirst``, for any."""


@hookspec(firstresult=True)
def broker_record_models(client: Client) -> object | None:
    """Offer the record types of this client's tables (see ``broker_core.records``); None leaves it to types named after the broker."""


@hookspec(firstresult=True)
def broker_journal(client: Client, connection: Connection, environ: Mapping[str, str], models: object | None) -> Journal | None:
    """Offer the place where order changes are committed before they are acted upon or told.

    ``models`` is what ``broker_record_models`` answered. None from everybody means: nothing is kept.
    """


@hookspec
def broker_veto_order(session: Session, request: OrderRequest) -> str | Awaitable[str | None] | None:
    """Refuse an order before anything is sent: return the reason. None lets it pass; an exception refuses it. May be ``async def``.

    Every plugin is asked and every reason is kept. Cancelling is never asked about: a way out is never blocked.
    """


@hookspec
def broker_connected(connection: Connection) -> Any:
    """Told when a session is open. Observers may be ``async def``; what they return is ignored and what they raise is logged."""


@hookspec
def broker_disconnected(connection: Connection, error: str | None) -> Any:
    """Told when a session has closed; ``error`` says why, where it was not wanted."""


@hookspec
def broker_order_changed(connection: Connection, change: OrderChange) -> Any:
    """Told of every accepted piece of news about an order, after it was committed, in order for each order."""


@hookspec
def broker_synced(connection: Connection, account: Account, positions: Any) -> Any:
    """Told after the account and its positions (a sequence of ``Position``) were read."""


@hookspec
def broker_stream_changed(connection: Connection, feed: str, state: str, reason: str | None) -> Any:
    """Told when a feed is ``connecting``, ``connected``, ``waiting`` to connect again, ``idle`` (nobody wants it) or ``stopped``."""


@hookspec
def broker_gap(connection: Connection, gap: Gap) -> Any:
    """Told after a stream came back: what was missed, what was recovered, what could not be."""

"""How ``broker demo`` looks: lines of JSON for programs, tables and text for people at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeAlias

from broker_core.cli.items import (
    POSITION_COLUMNS,
    QUOTE_COLUMNS,
    Item,
    account_item,
    connection_item,
    event_item,
    order_item,
    position_item,
)
from broker_core.cli.output import Output, number, table
from broker_core.models import Account, Connection, Position, Quote
from broker_core.orders import Order

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.live import Live


_RECORD_COLUMNS = {
    "connections": ("account_id", "status", "equity", "position_count", "last_sync"),
    "order_log": ("symbol", "side", "qty", "order_type", "status", "filled_qty", "filled_avg_price"),
    "position_snapshots": ("symbol", "qty", "avg_entry_price", "market_value", "unrealized_pnl"),
}
"""What a table has room for; a line of JSON holds the whole row."""


class JsonFace:
    """One line of JSON an item, each with its ``kind``."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def connection(self, connection: Connection, account: Account) -> None:
        """One line each for the connection and the account."""
        self._output.item(connection_item(connection))
        self._output.item(account_item(account, connection, connection.opened_at))

    def live(self) -> AbstractContextManager[object]:
        """Nothing to keep in place."""
        return nullcontext()

    def quotes(self, quotes: Mapping[str, Quote]) -> None:
        """One line for each symbol."""
        for quote in quotes.values():
            self._output.item(event_item(quote))

    def order(self, order: Order) -> None:
        """The order after a piece of news."""
        self._output.item(order_item(order))

    def positions(self, positions: Sequence[Position], connection: Connection) -> None:
        """One line for each holding."""
        for position in positions:
            self._output.item(position_item(position, connection, None))

    def bars(self, symbol: str, timeframe: str, frame: DataFrame) -> None:
        """The end of a frame, in one line."""
        self._output.item({"kind": "bars", "symbol": symbol, "timeframe": timeframe, "bars": _rows(frame)})

    def record(self, name: str, kind: str, count: int, newest: Sequence[Item]) -> None:  # noqa: ARG002  # the other face needs the kind
        """What was written to one table, and its newest rows."""
        self._output.item({"kind": "record", "table": name, "rows": count, "newest": newest})

    def summary(self, item: Item) -> None:
        """The run in one line."""
        self._output.item(item)


class TextFace:
    """Text for people at a terminal; the quotes are one table that changes in place."""

    def __init__(self, output: Output) -> None:
        self._console = output.console()
        self._live: Live | None = None

    def connection(self, connection: Connection, account: Account) -> None:
        """Say which broker it is and why, and what the account begins with."""
        self._console.print(
            f"[bold]{connection.broker}[/bold] ({connection.environment}, by {connection.mode}): {connection.why}", soft_wrap=True
        )
        money = f"{account.currency} {number(account.equity)}"
        self._console.print(f"account {account.account_id}: equity {money}, buying power {number(account.buying_power)}\n", soft_wrap=True)

    def live(self) -> AbstractContextManager[object]:
        """Entered while quotes and orders come in."""
        from rich.live import Live

        self._live = live = Live(console=self._console, auto_refresh=False)
        return live

    def quotes(self, quotes: Mapping[str, Quote]) -> None:
        """Show the latest quotes, in place."""
        if self._live is not None:
            items = [event_item(quote) for quote in quotes.values()]
            self._live.update(table(items, columns=QUOTE_COLUMNS), refresh=True)

    def order(self, order: Order) -> None:
        """One line for the order after a piece of news."""
        self._console.print(f"order   {_sentence(order)}", soft_wrap=True, markup=False)

    def positions(self, positions: Sequence[Position], connection: Connection) -> None:
        """A table of what is held in the end."""
        items = [position_item(position, connection, None) for position in positions]
        self._console.print(table(items, title="positions", columns=POSITION_COLUMNS) if items else "no positions")

    def bars(self, symbol: str, timeframe: str, frame: DataFrame) -> None:
        """A table of the end of a frame."""
        self._console.print(table(_rows(frame), title=f"{symbol} {timeframe}") if len(frame) else f"no {timeframe} bars of {symbol}")

    def record(self, name: str, kind: str, count: int, newest: Sequence[Item]) -> None:
        """The newest rows of one table."""
        title = f"{name}: {count} rows of this run"
        self._console.print(table(newest, title=title, columns=_RECORD_COLUMNS.get(kind, ())) if newest else title)

    def summary(self, item: Item) -> None:
        """The run in one line."""
        self._console.print(
            f"{item['orders']} orders, {item['fills']} fills, {item['canceled']} cancelled, {item['rows']} rows in {item['database']}; "
            f"equity {number(item['equity'])}, P&L {number(item['pnl'])}; {item['seconds']:.1f} s",
            soft_wrap=True,
            markup=False,
        )


Face: TypeAlias = JsonFace | TextFace


def _rows(frame: DataFrame) -> list[Item]:
    columns = [frame[name].tolist() for name in frame.columns]
    return [
        {"timestamp": timestamp.to_pydatetime(warn=False), **dict(zip(frame.columns, values, strict=True))}
        for timestamp, *values in zip(frame.index, *columns, strict=True)
    ]


def _sentence(order: Order) -> str:
    request = order.request
    price = request.limit_price or request.stop_price
    what = f"{request.side} {request.qty:f} {request.symbol} {request.order_type}" + (f" {number(price)}" if price else "")
    state = str(order.state).replace("_", " ") + (", cancel asked for" if order.cancel_requested_at and not order.is_terminal else "")
    if order.filled_avg_price is not None:
        state += f", {number(order.filled_qty)} at {number(order.filled_avg_price)}"
    return f"{order.local_id[-6:]}  {'exit: ' if order.parent_id else ''}{what:<34} {state}"

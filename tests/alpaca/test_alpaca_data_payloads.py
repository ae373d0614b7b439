"""Every published body of the data host, as it is and with everything that can be wrong in it.

A mutation drops a member, nulls it, gives it another type, another word, or company it does not know. Reading must end in a value or in
WireError, and the neighbours of a mutated row must come out as they went in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import attrs
import pytest
from conftest import PAYLOADS
from mutations import OTHERS, mutants

from broker_alpaca.wire import (
    assets,
    auctions,
    bars,
    clock,
    corporate_actions,
    forex,
    news,
    order_books,
    perpetuals,
    quotes,
    screener,
    snapshots,
    trades,
)
from broker_alpaca.wire.call import Call
from broker_alpaca.wire.drift import Drift
from broker_core.errors import WireError
from broker_core.models import BarColumns

Payload = Callable[[str], bytes]

_SYMBOLS = ["X"]

HISTORIES: dict[str, Call[Any]] = {
    "crypto_bars.json": bars.crypto(_SYMBOLS, "1Day"),
    "crypto_trades_page1.json": trades.crypto(_SYMBOLS),
    "option_bars.json": bars.options(_SYMBOLS, "1Hour"),
    "stock_auctions_multi.json": auctions.stocks(_SYMBOLS),
    "stock_bars_multi.json": bars.stocks(_SYMBOLS, "1Min"),
    "stock_bars_desc.json": bars.stocks(_SYMBOLS, "1Day"),
    "stock_quotes_page1.json": quotes.stocks(_SYMBOLS),
    "stock_trades_currency.json": trades.stocks(_SYMBOLS),
    "stock_trades_multi.json": trades.stocks(_SYMBOLS),
    "stock_trades_update_flag.json": trades.stocks(_SYMBOLS),
}
LATEST: dict[str, Call[Any]] = {
    "crypto_latest_orderbooks.json": order_books.latest_crypto(_SYMBOLS),
    "crypto_latest_quotes.json": quotes.latest_crypto(_SYMBOLS),
    "crypto_perp_pricing.json": perpetuals.pricing(_SYMBOLS),
    "crypto_snapshots.json": snapshots.crypto(_SYMBOLS),
    "forex_latest.json": forex.latest(_SYMBOLS),
    "option_chain.json": snapshots.chain("AAPL"),
    "option_latest_quotes.json": quotes.latest_options(_SYMBOLS),
    "option_snapshots.json": snapshots.options(_SYMBOLS),
    "stock_snapshots_multi.json": snapshots.stocks(_SYMBOLS),
}
SINGLES: dict[str, Call[Any]] = {
    "stock_bars_single.json": bars.stock("X", "1Min"),
    "stock_latest_bar_single.json": bars.latest_stock("X"),
    "stock_quotes_single.json": quotes.stock("X"),
    "stock_snapshot_single.json": snapshots.stock("X"),
}
EMPTY: dict[str, Call[Any]] = {
    "crypto_trades_page4_empty.json": trades.crypto(_SYMBOLS),
    "stock_bars_empty.json": bars.stocks(_SYMBOLS, "1Day"),
    "stock_latest_trades_not_found.json": trades.latest_stocks(_SYMBOLS),
}
TWINS: dict[str, Call[Any]] = {
    "crypto_trades_page2.json": trades.crypto(_SYMBOLS),
    "crypto_trades_page3.json": trades.crypto(_SYMBOLS),
    "option_snapshot_quote_only.json": snapshots.options(_SYMBOLS),
    "stock_quotes_page2.json": quotes.stocks(_SYMBOLS),
    "stock_snapshots_missing_parts.json": snapshots.stocks(_SYMBOLS),
}
RECORDS: dict[str, Call[Any]] = {
    "corporate_actions.json": corporate_actions.page(),
    "most_actives.json": screener.most_actives(),
    "movers.json": screener.movers(),
    "news.json": news.page(),
}
TRADING: dict[str, Call[Any]] = {
    "asset_crypto_2022.json": assets.get("X"),
    "asset_spec.json": assets.get("X"),
    "calendar.json": clock.calendar(),
    "clock.json": clock.get(),
}
DATA = {**HISTORIES, **LATEST, **SINGLES, **EMPTY, **TWINS, **RECORDS}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of warnings would only be slow."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def outcome(read: Callable[[], Any]) -> Any:
    """What reading came to: its value, or the only error that it may end in."""
    try:
        return read()
    except WireError as error:
        failure = error
    assert "\n" not in str(failure)
    return failure


def as_rows(values: Any) -> list[Any]:
    """What was read of one symbol, row by row."""
    if not isinstance(values, BarColumns):
        return list(values)
    return list(zip(*(list(column) for column in attrs.astuple(values, recurse=False)), strict=True))


def symbols_of(body: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The member that holds the map of symbols, and the map; stocks' snapshots are bare."""
    for member, value in body.items():
        if isinstance(value, dict) and member in ("bars", "trades", "quotes", "snapshots", "auctions", "orderbooks", "pricing", "rates"):
            return member, value
    return None, dict(body)


@pytest.mark.parametrize("name", DATA)
def test_published_body_is_read_without_surprise(payload: Payload, name: str):
    """A published body is read whole: nothing in it is unknown, and nothing is left out."""
    drift = Drift()

    found = DATA[name].read(payload(f"data/{name}"), drift)

    assert not drift.counts
    assert getattr(found, "unreadable", 0) == 0
    assert name in RECORDS or bool(found.found) is (name not in EMPTY)


@pytest.mark.parametrize("name", TRADING)
def test_published_body_of_the_market_is_read_without_surprise(payload: Payload, name: str):
    """So are those of assets, clock and calendar, which the trading host has."""
    drift = Drift()

    assert TRADING[name].read(payload(f"trading/{name}"), drift)
    assert not drift.counts


def test_every_published_body_has_its_reader():
    """No body of the data host is left without a test here."""
    if not PAYLOADS.is_dir():
        pytest.skip("the published payloads are not beside the project")
    assert {file.name for file in (PAYLOADS / "data").iterdir()} == set(DATA)


def test_every_row_of_a_published_body_is_found(payload: Payload):
    """As many rows come out as there are in the body, of the same symbols in the same order."""
    for name, call in HISTORIES.items():
        _, rows = symbols_of(json.loads(payload(f"data/{name}")))

        found = call.read(payload(f"data/{name}"), Drift()).found

        assert {symbol: len(of_one) for symbol, of_one in rows.items()} == {symbol: len(as_rows(value)) for symbol, value in found.items()}


def test_no_mutation_of_a_row_costs_its_neighbours(payload: Payload):
    """Whatever is wrong with one row of a history, those before and after it, and those of another symbol, come out as they went in."""
    count = 0
    for name, call in HISTORIES.items():
        body = json.loads(payload(f"data/{name}"))
        member, by_symbol = symbols_of(body)
        symbol, rows = next(iter(by_symbol.items()))
        few = rows[:2]
        whole = as_rows(call.read(json.dumps({member: {symbol: few}}).encode(), Drift()).found[symbol])
        for mutant in [*mutants(few[-1]), None, *OTHERS]:
            page = call.read(json.dumps({member: {symbol: [*few, mutant, *few], "OTHER": few}, "next_page_token": "t"}).encode(), Drift())
            found = as_rows(page.found[symbol])
            assert found[: len(few)] == whole
            assert found[-len(few) :] == whole
            assert len(found) + page.unreadable >= 2 * len(few) + 1
            assert len(found) <= 2 * len(few) + 1
            assert len(as_rows(page.found["OTHER"])) == len(few)
            assert page.next_token == "t"
            count += 1
    assert count > 1000


def test_no_mutation_of_a_latest_value_costs_its_neighbours(payload: Payload):
    """Whatever is wrong with the latest value of one symbol, those of the others come out as they went in."""
    count = 0
    for name, call in LATEST.items():
        member, rows = symbols_of(json.loads(payload(f"data/{name}")))
        symbol, row = next(iter(rows.items()))
        rows = {"A": row, **rows, "Z": row}
        whole = call.read(json.dumps({member: rows} if member else rows).encode(), Drift()).found
        others = whole.keys() - {symbol}
        for mutant in [*mutants(row), None, *OTHERS]:
            mixed = rows | {symbol: mutant}
            found = call.read(json.dumps({member: mixed} if member else mixed).encode(), Drift()).found
            assert {other: found.get(other) for other in others} == {other: whole[other] for other in others}
            count += 1
    assert count > 1500


def test_no_mutation_of_a_part_costs_the_other_parts(payload: Payload):
    """Whatever is wrong with one part of a snapshot, the other parts are there."""
    for name, call in LATEST.items():
        if "snapshots" not in name:
            continue
        member, rows = symbols_of(json.loads(payload(f"data/{name}")))
        row = next(iter(rows.values()))
        whole = attrs.asdict(
            call.read(json.dumps({member: {"A": row}} if member else {"A": row}).encode(), Drift()).found["A"], recurse=False
        )
        for part in row:
            for mutant in [*mutants(row[part]), None, *OTHERS]:
                body = {"A": row | {part: mutant}}
                found = attrs.asdict(call.read(json.dumps({member: body} if member else body).encode(), Drift()).found["A"], recurse=False)
                assert sum(found[name] != value for name, value in whole.items()) <= 1


def test_no_mutation_of_a_body_breaks_its_reader(payload: Payload):
    """Whatever is wrong in a body, reading it ends in a value or in WireError."""
    count = 0
    bodies = {f"data/{name}": call for name, call in {**SINGLES, **RECORDS, **EMPTY, **TWINS}.items()}
    for name, call in {**bodies, **{f"trading/{name}": call for name, call in TRADING.items()}}.items():
        # Corporate actions have the most members by far, and what is wrong with one is wrong with the next.
        for mutant in islice(mutants(json.loads(payload(name))), 0, None, 5 if "corporate" in name else 1):
            body = json.dumps(mutant).encode()
            outcome(lambda call=call, body=body: call.read(body, Drift()))
            count += 1
    assert count > 2000


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b"7", b'"x"', b"<html>", b"\xff", b"[" * 100_000, b'{"x":' * 100_000, b'{"bars": {"A": [' * 3]
)
def test_what_is_no_object_is_a_wire_error(body: bytes):
    """Half an answer, a page, or something else than an object raises WireError, in one line, from every reader."""
    for name, call in DATA.items():
        with pytest.raises(WireError) as caught:
            call.read(body, Drift())
        assert "\n" not in str(caught.value), name

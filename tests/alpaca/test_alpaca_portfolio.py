"""The account's worth over time: columns that stay beside each other, whatever is missing in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from broker_alpaca.wire import portfolio
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.portfolio import PortfolioHistory, ProfitReset, Reporting

Payload = Callable[[str], bytes]

BODY: dict[str, Any] = {
    "timestamp": [1772463600, 1772467200],
    "equity": [100000.5, 100010.25],
    "profit_loss": [0.5, 9.75],
    "profit_loss_pct": [0.000005, 0.0000975],
    "base_value": 100000,
    "base_value_asof": "2026-03-01",
    "timeframe": "1H",
    "cashflow": {},
}


def read(value: object, drift: Drift | None = None) -> PortfolioHistory:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return portfolio.history().read(body, drift or Drift())


def test_history_is_columns_under_moments():
    """Epoch seconds become aware UTC, numbers become exact with the digits that the wire had."""
    history = read(BODY)

    assert history.at == (datetime(2026, 3, 2, 15, tzinfo=UTC), datetime(2026, 3, 2, 16, tzinfo=UTC))
    assert history.equity == (Decimal("100000.5"), Decimal("100010.25"))
    assert history.profit_loss_pct == (Decimal("0.000005"), Decimal("0.0000975"))
    assert (history.timeframe, history.base_value, history.base_value_asof) == ("1H", Decimal(100000), date(2026, 3, 1))
    assert len(history) == 2


def test_null_is_an_empty_place():
    """A figure that the broker does not know is None, and its neighbours keep their places."""
    history = read(BODY | {"equity": [None, 5], "profit_loss_pct": [None, None]})

    assert history.equity == (None, Decimal(5))
    assert history.profit_loss_pct == (None, None)


@pytest.mark.parametrize("odd", ["much", [], {}, True, "NaN"])
def test_figure_that_cannot_be_read_is_an_empty_place(odd: object):
    """It is counted, and the columns stay beside each other."""
    drift = Drift()
    history = read(BODY | {"equity": [odd, 5]}, drift)

    assert history.equity == (None, Decimal(5))
    assert sum(drift.counts.values()) == 1


def test_moment_that_cannot_be_read_takes_its_row_along():
    """A figure without a moment says nothing: its row is left out of every column."""
    drift = Drift()
    history = read(BODY | {"timestamp": ["once", 1772467200], "cashflow": {"CSD": [1, 2]}}, drift)

    assert len(history) == 1
    assert history.equity == (Decimal("100010.25"),)
    assert history.cashflow == {"CSD": (Decimal(2),)}
    assert dict(drift.counts) == {"portfolio history.timestamp (left out): once": 1}


def test_missing_column_is_empty_in_every_place():
    """A column that is not there, or is no list, is None throughout."""
    drift = Drift()
    history = read({name: value for name, value in BODY.items() if name != "equity"} | {"profit_loss": "?"}, drift)

    assert history.equity == history.profit_loss == (None, None)


def test_columns_of_different_length_are_not_guessed_at():
    """Which figure belongs to which moment cannot be known then: such a column is empty, and counted; the others stay."""
    drift = Drift()
    history = read(BODY | {"equity": [1]}, drift)

    assert history.equity == (None, None)
    assert history.profit_loss == (Decimal("0.5"), Decimal("9.75"))
    assert dict(drift.counts) == {"portfolio history.equity (left out): 1 figures for 2 moments": 1}


def test_new_account_has_no_history():
    """Empty columns make an empty history."""
    history = read({"timestamp": [], "equity": [], "profit_loss": [], "profit_loss_pct": [], "base_value": None, "timeframe": "1D"})

    assert (len(history), history.equity, history.base_value, history.base_value_asof) == (0, (), None, None)


@pytest.mark.parametrize(("number", "length", "cashflow"), [(1, 4, {"CSD", "DIV"}), (2, 27, {"CSD"}), (3, 5, {"CSD"})])
def test_published_histories(payload: Payload, number: int, length: int, cashflow: set[str]):
    """The published bodies are read whole: every column, the money that came and went included, has a figure for each moment."""
    drift = Drift()
    history = read(payload(f"trading/portfolio_history_{number}.json"), drift)

    columns = [history.at, history.equity, history.profit_loss, history.profit_loss_pct, *history.cashflow.values()]
    assert {len(column) for column in columns} == {length}
    assert set(history.cashflow) == cashflow
    assert all(figure is not None for column in columns for figure in column)
    assert not drift.counts


def test_filters_are_said_as_the_wire_wants_them():
    """Period, windows and what counts are words; moments are RFC 3339; types of money are a list with commas."""
    call = portfolio.history(
        timeframe="15Min",
        period="1W",
        end=datetime(2026, 3, 2, 21, tzinfo=UTC),
        intraday_reporting=Reporting.CONTINUOUS,
        pnl_reset=ProfitReset.NO_RESET,
        cashflow_types=["CSD", "CSW"],
    )

    assert (call.method, call.path) == ("GET", "/v2/account/portfolio/history")
    assert dict(call.query) == {
        "period": "1W",
        "timeframe": "15Min",
        "end": "2026-03-02T21:00:00Z",
        "intraday_reporting": "continuous",
        "pnl_reset": "no_reset",
        "cashflow_types": "CSD,CSW",
    }
    assert dict(portfolio.history().query) == {}
    assert dict(portfolio.history(cashflow_types="ALL").query) == {"cashflow_types": "ALL"}


def test_start_end_and_period_exclude_each_other():
    """Two of the three say everything; the third is refused before anything is sent."""
    moment = datetime(2026, 3, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="at most two"):
        portfolio.history(period="1M", start=moment, end=moment)

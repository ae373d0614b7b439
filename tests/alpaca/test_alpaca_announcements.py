"""Corporate actions as the trading host announces them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest

from broker_alpaca.wire import announcements
from broker_alpaca.wire.announcements import DateType, Kind
from broker_alpaca.wire.drift import Drift

Payload = Callable[[str], bytes]
DAY = date(2026, 3, 2)


def test_published_announcements(payload: Payload):
    """Both generations of bodies are read: days are days, amounts exact, and either name of the action's id is kept."""
    drift = Drift()
    older, newer = announcements.list_between(DAY, DAY).read(payload("trading/corporate_announcements.json"), drift)

    assert (older.ca_type, older.cash, older.payable_date) == ("Dividend", Decimal("0.018"), date(2021, 1, 14))
    assert (older.corporate_actions_id, newer.corporate_action_id) == ("F58684224_XY37", "48251W104_AD21")
    assert newer.ex_date == date(2021, 11, 12)
    assert not drift.counts


def test_filters_are_said_as_the_wire_wants_them():
    """All kinds are asked for unless some are named; one announcement is asked for by its id."""
    every = announcements.list_between(DAY, DAY)
    some = announcements.list_between(DAY, DAY + timedelta(90), kinds=[Kind.SPLIT], symbol="KKR", cusip="G52830109", date_type=DateType.EX)

    assert dict(every.query) == {"ca_types": "Dividend,Merger,Spinoff,Split", "since": "2026-03-02", "until": "2026-03-02"}
    assert dict(some.query) == {
        "ca_types": "Split",
        "since": "2026-03-02",
        "until": "2026-05-31",
        "symbol": "KKR",
        "cusip": "G52830109",
        "date_type": "ex_date",
    }
    assert announcements.get("a/b").path == "/v2/corporate_actions/announcements/a%2Fb"


@pytest.mark.parametrize("days", [-1, 91])
def test_range_has_at_most_90_days(days: int):
    """A range that the broker would refuse is refused here."""
    with pytest.raises(ValueError, match="not a range of at most 90 days"):
        announcements.list_between(DAY, DAY + timedelta(days))

"""What every record of the wire keeps to: moments in UTC, amounts that are numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import attrs
import msgspec
import pytest

from broker_alpaca.wire import reading
from broker_alpaca.wire.drift import Drift
from broker_alpaca.wire.reading import Moment, Record
from broker_core.errors import WireError

OFFSET, ZULU = "2026-03-02T10:00:00.5-05:00", "2026-03-02T15:00:00.5Z"


@attrs.frozen(kw_only=True)
class One(Record):
    """A record with one moment and one amount."""

    at: Moment
    qty: Decimal


@attrs.frozen(kw_only=True)
class Several(Record):
    """A record with several of each, which may be missing."""

    begun: Moment | None = None
    ended: Moment | None = None
    qty: Decimal | None = None
    price: Decimal | None = None


def read(kind: type, **members: str | None) -> object:
    """The record of a body with these members."""
    return reading.one(kind, "record")(msgspec.json.encode(members), Drift())


@pytest.mark.parametrize("text", [OFFSET, ZULU])
def test_moments_are_in_utc_whatever_the_offset(text: str):
    """The same moment, and the same zone, for a record of one moment and for one of several, of which some are missing."""
    moments = [read(One, at=text, qty="1").at, read(Several, begun=ZULU, ended=text).ended, read(Several, ended=text).ended]

    assert moments == [datetime(2026, 3, 2, 15, 0, 0, 500_000, tzinfo=UTC)] * 3
    assert {moment.tzinfo for moment in moments} == {UTC}


def test_one_moment_in_utc_does_not_hide_another_that_is_not():
    """Every moment counts, also behind one that needs nothing."""
    record = read(Several, begun=ZULU, ended=OFFSET)

    assert (record.begun.tzinfo, record.ended.tzinfo) == (UTC, UTC)


@pytest.mark.parametrize("word", ["NaN", "nan", "NAN", "sNaN", "-NaN7", "Infinity", "-infinity", "INF", "+inf"])
def test_an_amount_is_a_number_however_none_is_spelled(word: str):
    """What may be missing is, and counted; what may not costs the record."""
    drift = Drift()
    record = reading.one(Several, "record")(msgspec.json.encode({"qty": word, "price": "1.50"}), drift)

    assert (record.qty, record.price) == (None, Decimal("1.50"))
    assert drift.counts == {f"record.qty: {word}": 1}
    with pytest.raises(WireError, match="cannot be read"):
        read(One, at=ZULU, qty=word)
    with pytest.raises(ValueError, match="is not a finite number"):
        One(at=datetime(2026, 3, 2, tzinfo=UTC), qty=Decimal(word))

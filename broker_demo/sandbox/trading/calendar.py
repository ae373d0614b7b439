"""When the market is open (alpaca-api: Clock and calendar), in New York's time.

The days are those of the demo exchange's own hours. Before and after each the sessions of Alpaca are told: from four in the morning at
the latest, until four hours after the close. A day that lasts until midnight ends at 23:59, the last minute that these texts can name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import attrs

from broker_core.clock import to_ns
from broker_core.errors import ConfigError
from broker_core.models import MarketHours
from broker_core.timeframe import exchange_zone
from broker_demo.sandbox.answers import Answer, Refused, found
from broker_demo.sandbox.call import Call
from broker_demo.sandbox.desk import Desk
from broker_demo.sandbox.moments import new_york_text
from broker_demo.sandbox.route import Route
from broker_demo.trading_hours import TradingHours, new_york_day

_FIRST, _LAST = date(1970, 1, 1), date(2029, 12, 31)
"""What Alpaca's calendar holds."""
_EARLY = time(4)
_LATE = timedelta(hours=4)
_WEEK = timedelta(days=7)
_LONGEST_GAP = timedelta(days=14)
"""No two trading days are further apart."""
_MARKETS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "NYSE": ("XNYS", "New York Stock Exchange"),
        "NASDAQ": ("XNAS", "National Association of Securities Dealers Automated Quotations"),
        "IEX": ("IEXG", "Investors Exchange"),
        "OTC": ("OTCM", "OTC Markets"),
        "OPRA": ("OPRA", "Options Price Reporting Authority"),
    }
)
"""The markets whose hours the demo exchange's stand for, by acronym: their codes and names."""
_ACRONYMS: Mapping[str, str] = MappingProxyType({name: acronym for acronym, (code, _) in _MARKETS.items() for name in (acronym, code)})


@attrs.frozen(kw_only=True)
class TradingDay:
    """One day of trading. All moments carry New York's offset."""

    day: date
    pre_start: datetime
    core_start: datetime
    core_end: datetime
    post_end: datetime
    settlement: date

    def phase(self, at: datetime) -> tuple[str, datetime] | None:
        """What of the day holds this moment, and until when; None where nothing does."""
        for name, start, end in (
            ("pre", self.pre_start, self.core_start),
            ("core", self.core_start, self.core_end),
            ("post", self.core_end, self.post_end),
        ):
            if start <= at < end:
                return name, end
        return None


def trading_days(hours: TradingHours, start: date, end: date) -> Iterator[TradingDay]:
    """The trading days from ``start`` to ``end``, both included, of those the hours know. A trade settles on the next one."""
    first, last = hours.known()
    start, end = max(start, first), min(end, last)
    if start > end:
        return
    days = hours.days(start, min(end + _LONGEST_GAP, last))
    for today, following in pairwise([*days, None]):
        if today is not None and today.day <= end:
            yield _trading_day(today, _next_weekday(today.day) if following is None else following.day)


def last_trading_day(hours: TradingHours, at: date) -> date:
    """The last trading day that is not after this day; the day itself where none is known."""
    return max((day.day for day in trading_days(hours, at - _LONGEST_GAP, at)), default=at)


def _trading_day(hours: MarketHours, settlement: date) -> TradingDay:
    zone = exchange_zone()
    start, end = hours.open.astimezone(zone), hours.close.astimezone(zone)
    return TradingDay(
        day=hours.day,
        pre_start=min(start, datetime.combine(hours.day, _EARLY, zone)),
        core_start=start,
        core_end=end,
        post_end=max(end, min((hours.close + _LATE).astimezone(zone), _midnight_after(hours.day))),
        settlement=settlement,
    )


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), exchange_zone())


def _next_weekday(day: date) -> date:
    """Behind the end of what is known."""
    return day + timedelta(days=3 if day.weekday() == 4 else 2 if day.weekday() == 5 else 1)  # Friday and Saturday


def get_clock(desk: Desk, call: Call) -> Answer:  # noqa: ARG001  # every address is answered by a function of both
    """``GET /v2/clock``."""
    now_ns, hours = desk.now_ns(), desk.prices.hours
    return found(
        {
            "timestamp": new_york_text(now_ns),
            "is_open": hours.is_open(now_ns),
            "next_open": new_york_text(hours.next_open(now_ns)),
            "next_close": new_york_text(hours.next_close(now_ns)),
        }
    )


def get_calendar(desk: Desk, call: Call) -> Answer:
    """``GET /v2/calendar``: without bounds all that is known of the years 1970 to 2029."""
    start, end = call.day("start") or _FIRST, call.day("end") or _LAST
    if call.word("date_type", ("TRADING", "SETTLEMENT"), "TRADING") == "TRADING":
        days = trading_days(desk.prices.hours, start, end)
    else:
        earlier = start - _LONGEST_GAP if start >= _FIRST else start
        days = (day for day in trading_days(desk.prices.hours, earlier, end) if start <= day.settlement <= end)
    return found([_calendar_record(day) for day in days])


def _calendar_record(day: TradingDay) -> dict[str, str]:
    return {
        "date": day.day.isoformat(),
        "open": _wall(day.day, day.core_start, ":"),
        "close": _wall(day.day, day.core_end, ":"),
        "session_open": _wall(day.day, day.pre_start, ""),
        "session_close": _wall(day.day, day.post_end, ""),
        "settlement_date": day.settlement.isoformat(),
    }


def _wall(day: date, moment: datetime, colon: str) -> str:
    """The time on New York's clocks on this day, from its first minute to its last."""
    if moment.date() != day:
        return f"00{colon}00" if moment.date() < day else f"23{colon}59"
    return f"{moment:%H}{colon}{moment:%M}"


def get_clocks(desk: Desk, call: Call) -> Answer:
    """``GET /v3/clock``: the same clock for each market, now or at another ``time``."""
    told_ns = call.moment("time")
    at_ns = desk.now_ns() if told_ns is None else told_ns
    acronyms = dict.fromkeys(map(_acronym, call.listed("markets") or ["NYSE"]))
    try:
        clock = _clock(desk.prices.hours, at_ns)
    except ConfigError as error:
        raise call.bad(f"invalid time: {error}") from None
    return found({"clocks": [{"market": _market(acronym), **clock} for acronym in acronyms]})


def _clock(hours: TradingHours, at_ns: int) -> dict[str, Any]:
    today = new_york_day(at_ns)
    at = datetime.fromisoformat(new_york_text(at_ns)[:19]).replace(tzinfo=exchange_zone())
    days = list(trading_days(hours, today, today + _LONGEST_GAP))
    phase, until = next((found for day in days if (found := day.phase(at))), ("closed", None))
    if until is None:
        until = next((day.pre_start for day in days if day.pre_start > at), None)
    return {
        "timestamp": new_york_text(at_ns),
        "is_market_day": bool(days) and days[0].day == today,
        "next_market_open": new_york_text(hours.next_open(at_ns)),
        "next_market_close": new_york_text(hours.next_close(at_ns)),
        "phase": phase,
        "phase_until": new_york_text(hours.next_open(at_ns) if until is None else to_ns(until.astimezone(UTC))),
    }


def get_market_calendar(desk: Desk, call: Call) -> Answer:
    """``GET /v3/calendar/{market}``: a week from today unless other days are asked for."""
    acronym = _acronym(call.parts["market"])
    start = call.day("start") or new_york_day(desk.now_ns())
    end = call.day("end") or min(start, _LAST) + _WEEK
    in_utc = call.word("timezone", ("UTC",), "") == "UTC"
    days = trading_days(desk.prices.hours, max(start, _FIRST), min(end, _LAST))
    return found({"market": _market(acronym), "calendar": [_market_day(day, in_utc=in_utc) for day in days]})


def _market_day(day: TradingDay, *, in_utc: bool) -> dict[str, str]:
    moments = {
        "pre_start": day.pre_start,
        "pre_end": day.core_start,
        "core_start": day.core_start,
        "core_end": day.core_end,
        "post_start": day.core_end,
        "post_end": day.post_end,
    }
    if day.pre_start == day.core_start:
        del moments["pre_start"], moments["pre_end"]
    if day.core_end == day.post_end:
        del moments["post_start"], moments["post_end"]
    told = {name: (moment.astimezone(UTC) if in_utc else moment).isoformat() for name, moment in moments.items()}
    return {"date": day.day.isoformat(), **told, "settlement_date": day.settlement.isoformat()}


def _acronym(name: str) -> str:
    if name not in _ACRONYMS:
        raise Refused(400, f"invalid market: {name}", code=40010001)
    return _ACRONYMS[name]


def _market(acronym: str) -> dict[str, str]:
    code, name = _MARKETS[acronym]
    return {"acronym": acronym, "mic": code, "name": name, "timezone": "America/New_York"}


ROUTES: Sequence[Route] = (
    Route("GET", "/v2/clock", get_clock),
    Route("GET", "/v2/calendar", get_calendar, is_slow=True),
    Route("GET", "/v3/clock", get_clocks),
    Route("GET", "/v3/calendar/{market}", get_market_calendar, is_slow=True),
)

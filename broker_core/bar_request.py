"""What a caller wants of bars, in the one spelling that all its spellings come down to, and how far back that reaches.

Everything here is a plain function of its arguments. A ``BarRequest`` is the key under which its answer is cached: two requests are
equal when, and only when, the same answer serves both.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import attrs

from broker_core.clock import from_ns, to_ns
from broker_core.models import MarketHours
from broker_core.timeframe import Timeframe, Unit, exchange_zone

Moment: TypeAlias = datetime | date | str
"""An aware datetime, a date (its midnight in New York), or either as ISO 8601 text."""

DEFAULT_LIMIT = 100
"""How many bars a request means that names neither a start nor a number."""

DAY_NS = 86_400_000_000_000
_SETTLING_NS = 5_000_000_000
_UNIT_NS = {Unit.MINUTE: DAY_NS // 1440, Unit.HOUR: DAY_NS // 24, Unit.DAY: DAY_NS, Unit.WEEK: 7 * DAY_NS, Unit.MONTH: 31 * DAY_NS}
_REGULAR_SESSION_NS = 23_400_000_000_000
_DAYS_A_SESSION = 365 / 248  # 251 sessions in most years, fewer in the worst ones
_MOST_SESSIONS = 1260  # five years: further back a guess costs less than asking a calendar for it
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1901, 2261  # after the earliest bar there may be, and within what 64 bits of nanoseconds can tell


@attrs.frozen(kw_only=True)
class BarRequest:
    """Bars of ``symbols`` (sorted, none twice) from ``start`` to ``end``, or up to the present; None is no bound.

    ``days`` counts trading days back from the end, ``limit`` bars of each symbol.
    """

    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: datetime | None
    end: datetime | None
    days: int | None
    limit: int | None


def bar_request(
    symbols: str | Iterable[str],
    timeframe: Timeframe | str,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    days: int | None = None,
    limit: int | None = None,
) -> BarRequest:
    """Check and normalise what a caller wrote. Raises ValueError, one line, for what makes no sense."""
    wanted = as_symbols(symbols)
    length = Timeframe.parse(timeframe)
    first = None if start is None else as_moment("start", start)
    last = None if end is None else as_moment("end", end)
    if first is not None and last is not None and first >= last:
        raise ValueError(f"start: {first.isoformat()} is not before end {last.isoformat()}")
    if days is not None and first is not None:
        raise ValueError(f"days: {days} beside start {first.isoformat()}: give one of the two")
    days, limit = _count("days", days), _count("limit", limit)
    if days is not None and length.unit is Unit.DAY:
        limit = min(days, limit or days)
        days = None
    if first is None and days is None and limit is None:
        limit = DEFAULT_LIMIT
    return BarRequest(symbols=wanted, timeframe=length, start=first, end=last, days=days, limit=limit)


def as_symbols(symbols: str | Iterable[str]) -> tuple[str, ...]:
    """One symbol or several, sorted and none twice. Raises ValueError for none at all and for a text that cannot be one."""
    wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    if not wanted:
        raise ValueError("symbols: none given; name at least one")
    for symbol in wanted:
        if not isinstance(symbol, str) or not symbol or not symbol.isprintable() or " " in symbol or "," in symbol:
            raise ValueError(f"symbols: {symbol!r} is not a symbol; give one text, or a list of them")
    return tuple(sorted(set(wanted)))


def as_moment(field: str, value: Moment) -> datetime:
    """The aware UTC moment, in whole microseconds, that a caller wrote. Raises ValueError naming ``field``."""
    moment = _from_text(field, value) if isinstance(value, str) else value
    if not isinstance(moment, date):
        raise ValueError(f"{field}: {value!r} is not a datetime, a date or an ISO 8601 text")  # noqa: TRY004  # all that makes no sense is one kind
    if not isinstance(moment, datetime):
        moment = _midnight(moment)
    if moment.tzinfo is None:
        raise ValueError(f"{field}: {moment.isoformat()} has no time zone; give an aware datetime, or a date")
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"{field}: {value} is outside the years {_FIRST_YEAR} to {_LAST_YEAR}")
    # By way of an integer, so that subclasses of datetime and every time zone end as the same plain value.
    return from_ns(to_ns(moment))


def as_day(field: str, value: date | str) -> date:
    """The calendar date that a caller wrote. Raises ValueError naming ``field``, also for a moment, which may be two dates."""
    day = _from_text(field, value) if isinstance(value, str) else value
    if isinstance(day, datetime) or not isinstance(day, date):
        raise ValueError(f"{field}: {value!r} is not a date")  # noqa: TRY004  # all that makes no sense is one kind
    return day


def end_edge(request: BarRequest, now_ns: int) -> int:
    """Where the request ends, excluded, in nanoseconds: without an end, where the running bar does.

    Raises ValueError when the request begins after that.
    """
    if request.end is not None:
        return to_ns(request.end)
    end_ns = _next_edge(request.timeframe, now_ns)
    if request.start is not None and to_ns(request.start) >= end_ns:
        raise ValueError(f"start: {request.start.isoformat()} is in the future")
    return end_ns


def fresh_until(request: BarRequest, now_ns: int) -> int | None:
    """When an answer asked for now goes out of date, in nanoseconds; None when it holds no running bar, so that it does not.

    That is the end of the running bar. Right after an edge it is a few seconds past the edge, because brokers take that long to
    publish the bar that has just ended.
    """
    edge = request.timeframe.floor(now_ns)
    if request.end is not None and to_ns(request.end) <= edge:
        return None
    settled = edge + _SETTLING_NS
    return settled if now_ns < settled else request.timeframe.following(edge)


def sessions_needed(request: BarRequest) -> int:
    """How many of the last trading sessions must be known to tell where the request begins; 0 for none."""
    if request.days is not None:
        return request.days
    if request.limit is None or request.timeframe.unit in (Unit.WEEK, Unit.MONTH):
        return 0
    if request.timeframe.unit is Unit.DAY:
        return min(request.limit, _MOST_SESSIONS)
    # One more for the session under way, one more for a session cut short by a holiday.
    return min(math.ceil(request.limit * bar_length(request.timeframe) / _REGULAR_SESSION_NS) + 2, _MOST_SESSIONS)


def days_to_search(count: int, end_ns: int, now_ns: int) -> tuple[date, date]:
    """Calendar days, both included, that hold the last ``count`` sessions before the earlier of the two moments."""
    last_ns = min(end_ns, now_ns)
    last = from_ns(last_ns).astimezone(exchange_zone()).date()
    days = min(math.ceil(count * _DAYS_A_SESSION) + 10, (last_ns - _horizon(last_ns)) // DAY_NS)
    return last - timedelta(days=days), last


def earliest_edge(request: BarRequest, end_ns: int, sessions: Sequence[MarketHours]) -> int:
    """Before which moment, in nanoseconds, no bar may lie that answers the request.

    ``sessions`` are those that have begun, the last ``sessions_needed`` of them, oldest first.
    """
    if request.start is not None:
        return to_ns(request.start)
    if request.days is None:
        return _horizon(end_ns)
    # A market without sessions trades every day.
    start_ns = (to_ns(_midnight(sessions[0].day)) if sessions else end_ns) - (request.days - len(sessions)) * DAY_NS
    start_ns = max(start_ns, _horizon(end_ns))
    return start_ns if request.timeframe.is_intraday else request.timeframe.floor(start_ns)


def likely_edge(timeframe: Timeframe, limit: int, end_ns: int, sessions: Sequence[MarketHours]) -> int:
    """From which moment, in nanoseconds, ``limit`` bars lie before ``end_ns`` if no bar of a trading session is missing.

    Where ``sessions`` (those that have begun, oldest first) do not reach far enough, this is a guess.
    """
    if timeframe.unit in (Unit.WEEK, Unit.MONTH):
        return timeframe.floor(max(end_ns - limit * bar_length(timeframe), to_ns(_EARLIEST)))
    length, missing, left = bar_length(timeframe), limit, end_ns
    for session in reversed(sessions):
        if timeframe.is_intraday:
            left, right = timeframe.floor(to_ns(session.open)), _next_edge(timeframe, min(to_ns(session.close), end_ns) - 1)
        else:
            left = to_ns(_midnight(session.day))
            right = left + length
        held = math.ceil((right - left) / length)
        if held >= missing:
            return timeframe.floor(right - missing * length)
        missing -= held
    share = _DAYS_A_SESSION * (DAY_NS / _REGULAR_SESSION_NS if timeframe.is_intraday else 1)
    return left - math.ceil(missing * length * share)


def bar_length(timeframe: Timeframe) -> int:
    """The nanoseconds of a bar; days count 24 hours and months 31 days."""
    return timeframe.amount * _UNIT_NS[timeframe.unit]


def _horizon(ns: int) -> int:
    # Few brokers take a moment before 1970 as a start, so none is sent unless the request itself lies there.
    return 0 if ns > 0 else to_ns(_EARLIEST)


def _next_edge(timeframe: Timeframe, ns: int) -> int:
    return timeframe.following(timeframe.floor(ns))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=exchange_zone()).astimezone(UTC)


def _from_text(field: str, text: str) -> date:
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    raise ValueError(f"{field}: {text!r} is not an ISO 8601 date or moment, like 2026-03-02 or 2026-03-02T14:30:00Z")


def _count(field: str, value: int | None) -> int | None:
    if value is None:
        return None
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{field}: {value!r} is not a whole number") from None
    if isinstance(value, bool) or number <= 0:
        raise ValueError(f"{field}: {value} is not a number above zero")
    return number

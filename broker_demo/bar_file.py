"""Reading the user's own bars from a CSV or Parquet file, and refusing what cannot be true.

The columns are ``timestamp open high low close volume`` and, where the file holds several symbols, ``symbol``; their names in any case
and order, others ignored. A timestamp is ISO 8601 text, UTC where it names no zone; or a whole number of seconds, milli-, micro- or
nanoseconds since the Unix epoch, told apart by its size; or a timestamp or date of Parquet's.

Where all timestamps are midnight UTC and a symbol's are at least a day apart, they are taken as trading days, which begin at midnight
in New York. Volumes are rounded to whole units.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from broker_core.clock import from_ns, to_ns
from broker_core.errors import ConfigError
from broker_core.timeframe import exchange_zone
from broker_demo.assets import check_symbol
from broker_demo.trading_hours import NEVER_NS

_MINUTE_NS = 60_000_000_000
_DAY_NS = 1440 * _MINUTE_NS
# Within these, prices and volumes have room in 64 bits, also when they are counted in billionths.
_LOWEST, _HIGHEST, _MOST = 1e-8, 1e9, 10**12
_NUMBERS = ("open", "high", "low", "close", "volume")
# From this size on a whole number counts the next smaller unit: 100 thousand million seconds are the year 5138.
_EPOCH_UNITS = ((10**11, 1_000_000_000), (10**14, 1_000_000), (10**17, 1_000))

_Row: TypeAlias = tuple[str, int, str | None, Sequence[Any]]
"""Where it stands in the file, the moment, the symbol (None without a column for it), and open, high, low, close and volume as found."""


@attrs.define
class FileBar:
    """One bar of a file, and where it stands there."""

    where: str
    timestamp_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: int


@attrs.frozen
class BarFile:
    """The bars of a file by symbol, each symbol's oldest first, and the length of a bar: the least distance of two."""

    bars: Mapping[str, Sequence[FileBar]]
    length_ns: int


def read_bar_file(path: Path, symbol: str | None = None) -> BarFile:
    """Read a file; ``symbol`` names what is in a file without a column ``symbol`` (else the file's name without its suffix, upper-cased).

    Raises ConfigError naming the file, the line or row, and the rule that it breaks.
    """
    try:
        rows = _parquet_rows(path) if path.suffix.lower() in (".parquet", ".pq") else _csv_rows(path)
        bars = _by_symbol(path, rows, symbol)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or _first_line(error)}") from error
    if not bars:
        raise ConfigError(f"{path}: holds no bars")
    for series in bars.values():
        series.sort(key=attrgetter("timestamp_ns"))
        for earlier, later in pairwise(series):
            if earlier.timestamp_ns == later.timestamp_ns:
                raise ConfigError(
                    f"{later.where}: repeats the timestamp of {earlier.where.removeprefix(f'{path} ')}; a symbol has one bar each"
                )
    return _with_length(bars)


def _by_symbol(path: Path, rows: Iterable[_Row], symbol: str | None) -> dict[str, list[FileBar]]:
    default = (symbol or path.stem).upper()
    bars: dict[str, list[FileBar]] = {}
    for where, timestamp_ns, named, fields in rows:
        name = default if named is None else named
        if name not in bars:
            bars[check_symbol(name, where if named is not None else f"{path} without a column 'symbol'")] = []
        bars[name].append(_bar(where, timestamp_ns, fields))
    return bars


def _with_length(bars: dict[str, list[FileBar]]) -> BarFile:
    everything = [bar for series in bars.values() for bar in series]
    length_ns = _least_distance(bars)
    if all(bar.timestamp_ns % _DAY_NS == 0 for bar in everything) and (length_ns is None or length_ns >= _DAY_NS):
        for bar in everything:
            bar.timestamp_ns = to_ns(from_ns(bar.timestamp_ns).replace(tzinfo=exchange_zone()).astimezone(UTC))
        return BarFile(bars, _least_distance(bars) or _DAY_NS)
    return BarFile(bars, length_ns or _MINUTE_NS)


def _least_distance(bars: Mapping[str, Sequence[FileBar]]) -> int | None:
    distances = (later.timestamp_ns - earlier.timestamp_ns for series in bars.values() for earlier, later in pairwise(series))
    return min(distances, default=None)


def _csv_rows(path: Path) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise ConfigError(f"{path}: is empty")
            places = _places(path, header)
            for fields in reader:
                where = f"{path} line {reader.line_num}"
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise ConfigError(f"{where}: has {len(fields)} fields where the header has {len(header)}; is the line complete?")
                named = fields[places["symbol"]] if "symbol" in places else None
                yield where, _moment(where, fields[places["timestamp"]]), _symbol(named), [fields[places[name]] for name in _NUMBERS]
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not text in UTF-8: {error.reason} at a byte {error.object[error.start]:#x}") from error
        except csv.Error as error:
            raise ConfigError(f"{path} line {reader.line_num}: is not CSV: {error}") from error


def _parquet_rows(path: Path) -> Iterator[_Row]:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet files need pyarrow, which is missing; install broker-core[parquet]") from error

    try:
        with path.open("rb") as file, ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            places = _places(path, names)
            table = parquet.read(columns=[names[place] for place in places.values()])
        columns = dict(zip(places, table.columns, strict=True))
        stamps = columns["timestamp"]
        has_type = pa.types.is_temporal(stamps.type)
        if has_type:
            # A date becomes its midnight; what has a zone is stored in UTC.
            columns["timestamp"] = stamps.cast(pa.timestamp("ns", tz=getattr(stamps.type, "tz", None))).cast(pa.int64())
        found = {name: column.to_pylist() for name, column in columns.items()}
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not Parquet that holds bars: {_first_line(error)}") from error
    symbols = [name or "" for name in found["symbol"]] if "symbol" in found else [None] * len(table)
    for place, (stamp, symbol, *fields) in enumerate(zip(found["timestamp"], symbols, *(found[name] for name in _NUMBERS), strict=True)):
        where = f"{path} row {place + 1}"
        moment = stamp if has_type and stamp is not None else _moment(where, str(stamp))
        yield where, moment, _symbol(symbol), fields


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _places(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Where each column stands; ``symbol`` may be missing."""
    names = [name.strip().lower() for name in header]
    places = {}
    for name in ("timestamp", *_NUMBERS, "symbol"):
        if name in names:
            places[name] = names.index(name)
        elif name != "symbol":
            raise ConfigError(f"{path}: has no column {name!r}; bars need timestamp, open, high, low, close and volume")
        if names.count(name) > 1:
            raise ConfigError(f"{path}: has more than one column {name!r}")
    return places


def _symbol(named: object) -> str | None:
    return None if named is None else str(named).strip().upper()


def _moment(where: str, text: str) -> int:
    """Nanoseconds since the Unix epoch."""
    text = text.strip()
    # Eight digits are a date of ISO's basic form.
    if text.removeprefix("-").isdecimal() and len(text) > 8:
        number = int(text)
        moment_ns = number * next((unit for end, unit in _EPOCH_UNITS if abs(number) < end), 1)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError(f"{where}: timestamp {text!r} is neither ISO 8601 text nor a whole number since 1970") from None
        moment_ns = to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if not -NEVER_NS < moment_ns < NEVER_NS:
        raise ConfigError(f"{where}: timestamp {text!r} is outside the years 1678 to 2261, which 64 bits of nanoseconds can tell")
    return moment_ns


def _bar(where: str, timestamp_ns: int, fields: Sequence[Any]) -> FileBar:
    try:
        opening, high, low, close, volume = map(float, fields)
    except (TypeError, ValueError):
        raise _complaint(where, fields) from None
    # One comparison for the many good bars, false also for what is not a number; a bad one is looked at again.
    if not (_LOWEST <= low <= opening <= high <= _HIGHEST and low <= close <= high and 0 <= volume <= _MOST):
        raise _complaint(where, fields)
    return FileBar(where, timestamp_ns, opening, high, low, close, round(volume))


def _complaint(where: str, fields: Sequence[Any]) -> ConfigError:
    """The first rule that the numbers of a bar break."""
    numbers = []
    for name, field in zip(_NUMBERS, fields, strict=True):
        try:
            numbers.append(float(field))
        except (TypeError, ValueError):
            return ConfigError(f"{where}: {name} {field!r} is not a number")
        if not math.isfinite(numbers[-1]):
            return ConfigError(f"{where}: {name} {field!r} is not a finite number")
    opening, high, low, close, volume = numbers
    if not 0 <= volume <= _MOST:
        return ConfigError(f"{where}: volume {volume:g} is not from 0 to {_MOST:g}")
    if high < low:
        return ConfigError(f"{where}: high {high} is below low {low}")
    for name, price in (("low", low), ("high", high)):
        if not _LOWEST <= price <= _HIGHEST:
            return ConfigError(f"{where}: {name} {price} is not a price from {_LOWEST:g} to {_HIGHEST:g}")
    name, price = ("close", close) if low <= opening <= high else ("open", opening)
    return ConfigError(f"{where}: {name} {price} is outside low {low} to high {high}")

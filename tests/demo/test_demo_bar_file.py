"""Reading the user's own bars from files."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from broker_core.clock import to_ns
from broker_core.errors import ConfigError
from broker_demo.bar_file import BarFile, read_bar_file

HEADER = "timestamp,open,high,low,close,volume"
NOON = to_ns(datetime(2026, 3, 2, 12, tzinfo=UTC))
MINUTE_NS = 60 * 10**9


def csv_file(folder: Path, *lines: str, header: str = HEADER, name: str = "acme.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def stamped(folder: Path, *stamps: str) -> list[int]:
    """The moments that a CSV file with these timestamps holds."""
    file = read_bar_file(csv_file(folder, *(f"{stamp},10,11,9,10.5,100" for stamp in stamps)))
    return [bar.timestamp_ns for bar in file.bars["ACME"]]


def parquet_file(folder: Path, stamps: pa.Array | list[object], name: str = "acme.parquet", **columns: list[object]) -> Path:
    count = len(stamps)
    filled = {"open": [10.0], "high": [11.0], "low": [9.0], "close": [10.5], "volume": [100]}
    table = {name: values * count for name, values in filled.items()} | columns
    path = folder / name
    pq.write_table(pa.table({"timestamp": stamps, **table}), path)
    return path


def refusal(path: Path, symbol: str | None = None) -> str:
    """What is said of a file, without its folder; always one line."""
    with pytest.raises(ConfigError) as caught:
        read_bar_file(path, symbol)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text.removeprefix(str(path))


def test_a_csv_file_is_read(tmp_path: Path) -> None:
    """Columns may stand in any order and case, others are ignored, and the file's name is the symbol."""
    path = csv_file(tmp_path, "x,100,10.5,9,11,10,2026-03-02T12:00:00Z", "", header="note,Volume,CLOSE,low, High ,open,TimeStamp")
    file = read_bar_file(path)
    (bar,) = file.bars["ACME"]
    assert (bar.timestamp_ns, bar.open, bar.high, bar.low, bar.close, bar.volume) == (NOON, 10.0, 11.0, 9.0, 10.5, 100)


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-03-02T12:00:00Z",
        "2026-03-02 12:00",
        "2026-03-02T07:00:00-05:00",
        "20260302T120000",
        " 2026-03-02T12:00:00.000000+00:00 ",
        str(NOON // 10**9),
        str(NOON // 10**6),
        str(NOON // 10**3),
        str(NOON),
    ],
)
def test_a_timestamp_may_be_written_in_many_ways(tmp_path: Path, stamp: str) -> None:
    """ISO text with a zone or in UTC, and whole seconds, milli-, micro- and nanoseconds since 1970 mean the same moment."""
    assert stamped(tmp_path, stamp) == [NOON]


@pytest.mark.parametrize("stamps", [("2026-03-06", "2026-03-09", "2026-03-10"), ("20260306", "20260309", "20260310")])
def test_dates_are_trading_days(tmp_path: Path, stamps: tuple[str, ...]) -> None:
    """Days that begin at midnight UTC and nothing else are dates, which begin at midnight in New York."""
    new_york = [datetime(2026, 3, 6, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 3, 10, 4, tzinfo=UTC)]
    assert stamped(tmp_path, *stamps) == [to_ns(moment) for moment in new_york]


def test_a_midnight_among_minutes_is_a_moment(tmp_path: Path) -> None:
    """Minute bars that begin at midnight UTC stay where they are."""
    midnight = to_ns(datetime(2026, 3, 3, tzinfo=UTC))
    assert stamped(tmp_path, "2026-03-03T00:00Z", "2026-03-03T00:01Z") == [midnight, midnight + MINUTE_NS]


@pytest.mark.parametrize(
    ("stamps", "length"),
    [
        (["2026-03-02T12:00Z"], timedelta(minutes=1)),
        (["2026-03-02"], timedelta(days=1)),
        (["2026-03-02T12:00Z", "2026-03-02T12:15Z", "2026-03-02T12:05Z"], timedelta(minutes=5)),
        (["2026-03-02", "2026-03-03", "2026-03-06"], timedelta(days=1)),
        (["2026-03-07", "2026-03-08", "2026-03-09"], timedelta(hours=23)),
    ],
)
def test_the_length_of_a_bar_is_the_least_distance(tmp_path: Path, stamps: list[str], length: timedelta) -> None:
    """A single bar is a minute long, a single date a day; a day on which clocks go forward has 23 hours."""
    assert (
        read_bar_file(csv_file(tmp_path, *(f"{stamp},10,11,9,10.5,100" for stamp in stamps))).length_ns
        == length / timedelta(microseconds=1) * 1000
    )


def test_unsorted_bars_are_sorted(tmp_path: Path) -> None:
    """Newest first is as good as oldest first."""
    assert stamped(tmp_path, "2026-03-02T12:01Z", "2026-03-02T12:00Z") == [NOON, NOON + MINUTE_NS]


def test_a_file_may_hold_several_symbols(tmp_path: Path) -> None:
    """Then two of them may have a bar at the same time, and the length is the least distance within one symbol."""
    lines = (
        "BBB,2026-03-02T12:00Z,1,1,1,1,1",
        " aaa ,2026-03-02T12:00Z,2,2,2,2,2",
        "BBB,2026-03-02T12:05Z,3,3,3,3,3",
        "CCC,2026-03-02T12:01Z,4,4,4,4,4",
    )
    file = read_bar_file(csv_file(tmp_path, *lines, header=f"Symbol,{HEADER}"), symbol="ignored")
    assert {symbol: [bar.open for bar in bars] for symbol, bars in file.bars.items()} == {"BBB": [1, 3], "AAA": [2], "CCC": [4]}
    assert file.length_ns == 5 * MINUTE_NS


def test_the_symbol_may_be_given(tmp_path: Path) -> None:
    """It stands in for the file's name."""
    path = csv_file(tmp_path, "2026-03-02T12:00Z,1,1,1,1,1", name="my bars.csv")
    assert set(read_bar_file(path, "btc/usd").bars) == {"BTC/USD"}
    assert "my bars.csv without a column 'symbol': symbol 'MY BARS' is not" in str(path) + refusal(path)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    """Files saved by spreadsheets are read."""
    path = tmp_path / "acme.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n2026-03-02T12:00Z,1,1,1,1,1".encode())
    assert len(read_bar_file(path).bars["ACME"]) == 1


def test_volumes_are_rounded(tmp_path: Path) -> None:
    """Sizes are whole units."""
    (bar,) = read_bar_file(csv_file(tmp_path, "2026-03-02T12:00Z,1,1,1,1,99.7")).bars["ACME"]
    assert bar.volume == 100


GOOD = "2026-03-02T12:00Z,10,11,9,10.5,100"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("2026-03-02T12:01Z,10,11,9", " line 3: has 4 fields where the header has 6; is the line complete?"),
        ("2026-03-02T12:01Z,10,11,9,10.5,100,7", " line 3: has 7 fields where the header has 6; is the line complete?"),
        ("2026-03-02T12:01Z,10,11,9,10.5,", " line 3: volume '' is not a number"),
        ("2026-03-02T12:01Z,ten,11,9,10.5,100", " line 3: open 'ten' is not a number"),
        ("2026-03-02T12:01Z,10,nan,9,10.5,100", " line 3: high 'nan' is not a finite number"),
        ("2026-03-02T12:01Z,10,11,9,10.5,inf", " line 3: volume 'inf' is not a finite number"),
        ("2026-03-02T12:01Z,10,9,11,10,100", " line 3: high 9.0 is below low 11.0"),
        ("2026-03-02T12:01Z,8,11,9,10,100", " line 3: open 8.0 is outside low 9.0 to high 11.0"),
        ("2026-03-02T12:01Z,10,11,9,12,100", " line 3: close 12.0 is outside low 9.0 to high 11.0"),
        ("2026-03-02T12:01Z,10,11,0,10,100", " line 3: low 0.0 is not a price from 1e-08 to 1e+09"),
        ("2026-03-02T12:01Z,10,1e300,9,10,100", " line 3: high 1e+300 is not a price from 1e-08 to 1e+09"),
        ("2026-03-02T12:01Z,10,11,9,10,-1", " line 3: volume -1 is not from 0 to 1e+12"),
        ("2026-03-02T12:01Z,10,11,9,10,1e30", " line 3: volume 1e+30 is not from 0 to 1e+12"),
        ("2026-03-02T12:00:00+00:00,1,1,1,1,1", " line 3: repeats the timestamp of line 2; a symbol has one bar each"),
        ("yesterday,10,11,9,10.5,100", " line 3: timestamp 'yesterday' is neither ISO 8601 text nor a whole number since 1970"),
        (",10,11,9,10.5,100", " line 3: timestamp '' is neither ISO 8601 text nor a whole number since 1970"),
        (
            "9999-01-01,10,11,9,10.5,100",
            " line 3: timestamp '9999-01-01' is outside the years 1678 to 2261, which 64 bits of nanoseconds can tell",
        ),
        ('2026-03-02T12:01Z,10,11,9,10.5,"10', " line 3: is not CSV: unexpected end of data"),
    ],
)
def test_a_bad_line_is_named_with_its_rule(tmp_path: Path, line: str, complaint: str) -> None:
    """Whatever is wrong with a line, the error says which line and why; nothing is left out in silence."""
    assert refusal(csv_file(tmp_path, GOOD, line)) == complaint


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    """Blank lines and the header count."""
    assert refusal(csv_file(tmp_path, "", GOOD, "", "x,1,1,1,1,1")).startswith(" line 5: timestamp 'x'")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """Each column but the symbol is needed, and none may be there twice."""
    for name in HEADER.split(","):
        path = csv_file(tmp_path, header=HEADER.replace(name, "other"))
        assert refusal(path) == f": has no column {name!r}; bars need timestamp, open, high, low, close and volume"
    assert refusal(csv_file(tmp_path, header=f"{HEADER},Close")) == ": has more than one column 'close'"


def test_an_empty_symbol_is_refused(tmp_path: Path) -> None:
    """A line that names no symbol is not taken for the file's."""
    assert refusal(csv_file(tmp_path, f",{GOOD}", header=f"symbol,{HEADER}")).startswith(" line 2: symbol '' is not")
    assert refusal(parquet_file(tmp_path, [NOON], symbol=[None])).startswith(" row 1: symbol '' is not")


def test_a_file_without_bars_is_refused(tmp_path: Path) -> None:
    """Nothing at all, and nothing below the header, in either format."""
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    assert refusal(empty) == ": is empty"
    assert refusal(csv_file(tmp_path)) == ": holds no bars"
    assert refusal(parquet_file(tmp_path, pa.array([], pa.timestamp("ns")))) == ": holds no bars"
    nothing = tmp_path / "empty.parquet"
    nothing.write_bytes(b"")
    assert refusal(nothing).startswith(": is not Parquet that holds bars: ")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, suffix: str) -> None:
    """A file that is not there, a folder, and bytes that are neither text nor Parquet."""
    assert refusal(tmp_path / f"nowhere.{suffix}") == ": cannot be read: No such file or directory"
    folder = tmp_path / f"folder.{suffix}"
    folder.mkdir()
    assert refusal(folder).startswith(": cannot be read: ")
    noise = tmp_path / f"noise.{suffix}"
    noise.write_bytes(b"PAR1\xff\xfe\x00\x01" * 10)
    assert refusal(noise).startswith((": is not text in UTF-8: ", ": is not Parquet that holds bars: "))


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array([NOON], pa.timestamp("ns")),
        pa.array([NOON // 1000], pa.timestamp("us", "UTC")),
        pa.array([NOON // 10**9], pa.timestamp("s", "America/New_York")),
        pa.array([NOON // 10**9], pa.int64()),
        pa.array([NOON], pa.int64()),
        pa.array(["2026-03-02T12:00:00Z"], pa.string()),
    ],
)
def test_a_parquet_file_is_read(tmp_path: Path, stamps: pa.Array) -> None:
    """Timestamps of any unit, in UTC where they have no zone, whole numbers and text."""
    (bar,) = read_bar_file(parquet_file(tmp_path, stamps)).bars["ACME"]
    assert (bar.timestamp_ns, bar.open, bar.high, bar.low, bar.close, bar.volume) == (NOON, 10.0, 11.0, 9.0, 10.5, 100)


def test_a_parquet_file_may_hold_dates_decimals_and_symbols(tmp_path: Path) -> None:
    """Dates are trading days, decimals are numbers, and extra columns are left alone."""
    days = pa.array([date(2026, 3, 2), date(2026, 3, 2), date(2026, 3, 3)], pa.date32())
    opens = [Decimal("10.25")] * 3
    file = read_bar_file(parquet_file(tmp_path, days, open=opens, symbol=["A", "b", "A"], note=[None] * 3))
    assert {symbol: len(bars) for symbol, bars in file.bars.items()} == {"A": 2, "B": 1}
    assert file.bars["A"][0].open == 10.25
    assert file.bars["A"][0].timestamp_ns == to_ns(datetime(2026, 3, 2, 5, tzinfo=UTC))


@pytest.mark.parametrize(
    ("stamps", "columns", "complaint"),
    [
        (pa.array([NOON, None], pa.timestamp("ns")), {}, " row 2: timestamp 'None' is neither ISO 8601 text nor a whole number since 1970"),
        ([NOON, NOON], {}, " row 2: repeats the timestamp of row 1; a symbol has one bar each"),
        ([NOON, NOON + MINUTE_NS], {"close": [10.0, None]}, " row 2: close None is not a number"),
        ([NOON, NOON + MINUTE_NS], {"close": [10.0, float("nan")]}, " row 2: close nan is not a finite number"),
        ([NOON, NOON + MINUTE_NS], {"low": [10.0, 30.0]}, " row 2: high 11.0 is below low 30.0"),
    ],
)
def test_a_bad_row_is_named_with_its_rule(
    tmp_path: Path, stamps: pa.Array | list[object], columns: dict[str, list[object]], complaint: str
) -> None:
    """Parquet's rows are counted from one."""
    assert refusal(parquet_file(tmp_path, stamps, **columns)) == complaint


def test_a_parquet_file_without_a_column_is_refused(tmp_path: Path) -> None:
    """By the same rule as in CSV; a timestamp of a wrong kind and one too far away are refused, too."""
    path = tmp_path / "acme.parquet"
    pq.write_table(pa.table({"timestamp": [NOON], "open": [1.0]}), path)
    assert refusal(path) == ": has no column 'high'; bars need timestamp, open, high, low, close and volume"
    assert refusal(parquet_file(tmp_path, pa.array([1], pa.duration("s")))).startswith(": is not Parquet that holds bars: ")
    assert refusal(parquet_file(tmp_path, pa.array([10**12], pa.timestamp("s")))).startswith(": is not Parquet that holds bars: ")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path) -> None:
    """Where pyarrow is missing the error says how to get it, and CSV files are read all the same."""
    parquet, text = parquet_file(tmp_path, [NOON]), csv_file(tmp_path, GOOD)
    program = f"""
import sys
sys.modules["pyarrow"] = None
from pathlib import Path
from broker_demo.bar_file import read_bar_file
assert len(read_bar_file(Path({str(text)!r})).bars) == 1
assert not {{"pandas", "numpy"}} & set(sys.modules)
try:
    read_bar_file(Path({str(parquet)!r}))
except Exception as error:
    print(type(error).__name__, error)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == f"ConfigError {parquet}: Parquet files need pyarrow, which is missing; install broker-core[parquet]\n"


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    """The same bars in CSV and in Parquet are the same."""

    def comparable(file: BarFile) -> list[tuple[object, ...]]:
        return [(bar.timestamp_ns, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in file.bars["ACME"]]

    stamps = [NOON + minute * MINUTE_NS for minute in range(5)]
    text = read_bar_file(csv_file(tmp_path, *(f"{stamp},10,11,9,10.5,100" for stamp in stamps)))
    assert comparable(text) == comparable(read_bar_file(parquet_file(tmp_path, list(stamps))))

"""``broker demo``: the whole job in one command, with its three faces."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from broker_core.cli import demo as demo_module
from broker_core.cli import main, replay_file
from broker_core.cli.exits import Exit
from broker_core.cli.replay_file import look

ROOT = Path(__file__).parents[2]
BROKER = [sys.executable, "-m", "broker_core.cli"]
Items = list[dict[str, Any]]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Items]:
    """Run the demo in this process, without the pauses that let a person look at quotes; its items."""
    monkeypatch.setenv("BROKER_DATABASE", str(tmp_path / "broker.sqlite3"))
    monkeypatch.setattr(demo_module, "_REFRESH", 0.0)

    def run(*arguments: str) -> Items:
        stream = StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            assert main(["demo", "--json", *arguments]) == Exit.DONE
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return run


def of_kind(items: Items, kind: str) -> Items:
    return [item for item in items if item["kind"] == kind]


def orders(items: Items) -> dict[str, Items]:
    """The items of each order, by its id, in the order they came."""
    found: dict[str, Items] = {}
    for item in of_kind(items, "order"):
        found.setdefault(item["local_id"], []).append(item)
    return found


def bars(symbols: list[str], count: int, frequency: str, start: str) -> pd.DataFrame:
    moments = pd.date_range(start, periods=count, freq=frequency, tz="UTC")
    frames = []
    for number, symbol in enumerate(symbols):
        cents = [5000 * (number + 1) + (place % 7) * 10 for place in range(count)]
        prices = {name: [(cent + more) / 100 for cent in cents] for name, more in (("open", 0), ("high", 30), ("low", -30), ("close", 0))}
        frames.append(pd.DataFrame({"symbol": symbol, "timestamp": moments, **prices, "volume": 40_000}))
    return pd.concat(frames)


def test_demo_does_the_main_job(demo: Callable[..., Items]):
    """
    One run connects, quotes, trades three orders to their ends, shows holdings, bars and rows, and sums up.

    One order is filled in parts, one is cancelled, and the exits of the bracket end as well.
    """
    items = demo("--seed", "7")

    (connection,) = of_kind(items, "connection")
    assert connection["environment"] == "demo"
    assert len(of_kind(items, "account")) == 1
    assert {item["symbol"] for item in of_kind(items, "quote")} == {"AAPL", "MSFT", "SPY"}
    lives = orders(items)
    entries = [life for life in lives.values() if life[0]["parent_id"] is None]
    assert [life[0]["order_class"] for life in entries] == ["simple", "simple", "bracket"]
    assert [life[0]["order_type"] for life in entries] == ["market", "limit", "market"]
    market, limit, bracket = entries
    assert "partial_fill" in [item["state"] for item in market]
    assert [life[-1]["state"] for life in entries] == ["filled", "canceled", "filled"]
    exits = [life[-1] for life in lives.values() if life[0]["parent_id"] == bracket[0]["local_id"]]
    assert sorted(item["state"] for item in exits) in (["canceled", "filled"], ["canceled", "canceled"])
    assert market[0]["symbol"] in {item["symbol"] for item in of_kind(items, "position")}
    (tail,) = of_kind(items, "bars")
    assert [set(bar) for bar in tail["bars"]] == [{"timestamp", "open", "high", "low", "close", "volume"}] * 5
    assert limit[-1]["filled_qty"] == "0"
    assert items[-1]["kind"] == "summary"


def test_demo_reads_back_what_it_wrote(demo: Callable[..., Items], tmp_path: Path):
    """The rows of the run are found in the database, one for each piece of news of each order."""
    items = demo("--seed", "7")
    again = demo("--seed", "8")

    for run in (items, again):
        rows = {item["table"]: item["rows"] for item in of_kind(run, "record")}
        assert rows["demo_order_log"] == len(of_kind(run, "order"))
        assert rows["demo_connections"] == 1
        assert rows["demo_position_snapshots"] >= 1
        summary = run[-1]
        assert summary["rows"] == sum(rows.values())
        assert summary["database"] == str(tmp_path / "broker.sqlite3")
        # Three, and the bracket again where the price had run away from it.
        entries = {item["local_id"] for item in of_kind(run, "order") if item["parent_id"] is None}
        assert len(entries) >= 3
        assert (summary["orders"], summary["canceled"]) == (len(entries), 1)


@pytest.mark.usefixtures("real_money")
def test_demo_never_asks_a_real_broker(demo: Callable[..., Items]):
    """A broker with real money is not used by the demo, although it has credentials and the settings name it."""
    (connection,) = of_kind(demo("--seed", "7"), "connection")

    assert (connection["broker"], connection["environment"]) == ("demo", "demo")


def test_demo_leaves_the_users_own_account_alone(demo: Callable[..., Items], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The account of the other commands is neither used nor made."""
    monkeypatch.setenv("BROKER_STATE_DIR", str(tmp_path / "state"))
    demo("--seed", "7")

    assert not (tmp_path / "state").exists()


def test_demo_keeps_no_rows_where_none_are_wanted(demo: Callable[..., Items], monkeypatch: pytest.MonkeyPatch):
    """With records switched off the run is the same, and says that nothing was kept."""
    monkeypatch.setenv("BROKER_DATABASE", "off")
    items = demo()

    assert of_kind(items, "record") == []
    assert (items[-1]["rows"], items[-1]["database"]) == (0, "no database")


@pytest.mark.parametrize(
    ("symbols", "count", "frequency", "start", "name", "timeframe", "filled"),
    [
        (["ACME"], 60, "1min", "2026-03-02T15:00", "acme.csv", "1Min", 2),
        (["ONE", "TWO"], 40, "1D", "2026-01-05", "pair.parquet", "1Day", 2),
        # Twelve prices: a slow machine sees the last of them before the bracket is placed.
        (["ONE"], 3, "1min", "2026-03-02T15:00", "short.csv", "1Min", 1),
        (["A", "B", "C", "D"], 30, "1h", "2026-03-02T09:00", "hours.csv", "1Hour", 2),
    ],
)
def test_demo_replays_the_users_bars(
    demo: Callable[..., Items],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    symbols: list[str],
    count: int,
    frequency: str,
    start: str,
    name: str,
    timeframe: str,
    filled: int,
):
    """With a file of bars, symbols and prices are the file's, and the run still comes to its end."""
    monkeypatch.setattr(replay_file, "_TICKS_A_SECOND", 10.0)
    monkeypatch.setattr(replay_file, "_LASTS", 5.0)
    frame, path = bars(symbols, count, frequency, start), tmp_path / name
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    items = demo("--replay", str(path))

    quoted = {item["symbol"] for item in of_kind(items, "quote")}
    assert quoted <= set(symbols)
    assert {item["symbol"] for item in of_kind(items, "order")} <= set(symbols)
    assert all(frame["low"].min() - 1 < item["bid_price"] < frame["high"].max() + 1 for item in of_kind(items, "quote"))
    assert of_kind(items, "bars")[0]["timeframe"] == timeframe
    ends = [life[-1]["state"] for life in orders(items).values()]
    assert set(ends) <= {"filled", "canceled", "rejected"}
    assert ends.count("filled") >= filled


def test_replay_may_stand_in_the_settings(demo: Callable[..., Items], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file named in the settings of the paper broker is replayed as if the option had named it."""
    monkeypatch.setattr(replay_file, "_TICKS_A_SECOND", 10.0)
    bars(["ACME"], 60, "1min", "2026-03-02T15:00").to_csv(tmp_path / "x.csv", index=False)
    monkeypatch.setenv("BROKER_CONFIG", str(tmp_path / "broker.toml"))
    (tmp_path / "broker.toml").write_text(f'[demo]\nreplay = "{tmp_path / "x.csv"}"\n')

    assert {item["symbol"] for item in of_kind(demo(), "quote")} == {"ACME"}


def test_file_without_symbols_is_named_after_itself(tmp_path: Path):
    """A file without a column for symbols holds the symbol that its name says."""
    path = tmp_path / "xyz.csv"
    bars(["?"], 5, "1min", "2026-03-02T15:00").drop(columns="symbol").to_csv(path, index=False)

    assert look(path).symbols == ("XYZ",)


@pytest.mark.parametrize(("unit", "size"), [("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)])
def test_whole_numbers_are_moments(tmp_path: Path, unit: str, size: int):
    """Timestamps may be whole numbers of any of four units, and give the same speed as text."""
    path = tmp_path / f"{unit}.csv"
    frame = bars(["A"], 10, "15min", "2026-03-02T15:00")
    frame["timestamp"] = [moment.value // size for moment in frame["timestamp"]]
    frame.to_csv(path, index=False)

    found = look(path)
    assert (found.timeframe, found.speed) == ("15Min", pytest.approx(9000 / 15))


def test_file_that_is_no_file_of_bars_is_refused_by_its_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What cannot be replayed ends the command with one line that names the file."""
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")

    assert main(["demo", "--replay", str(path)]) == Exit.USAGE
    assert str(path) in capsys.readouterr().err


def environ(tmp_path: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**inherited, "BROKER_DATABASE": str(tmp_path / "broker.sqlite3"), "COLUMNS": "120", "TERM": "xterm", "PYTHONWARNINGS": "error"}


def in_terminal(arguments: list[str], tmp_path: Path) -> tuple[str, int]:
    """Run the command in a terminal of its own; what it showed, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*BROKER, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environ(tmp_path))
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    return shown.decode(), process.wait()


def test_terminal_shows_tables_that_change_in_place(tmp_path: Path):
    """On a terminal the quotes are one table drawn again and again, and everything else is text and tables."""
    shown, code = in_terminal(["demo", "--seed", "7"], tmp_path)

    assert code == 0
    assert shown.count("bid price") >= 5
    assert "\x1b[1A" in shown
    assert "partial fill" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert "3 orders" in plain.splitlines()[-1]
    assert '{"kind"' not in plain


def test_terminal_shows_json_when_asked(tmp_path: Path):
    """``--json`` counts on a terminal too, without a single escape sequence."""
    shown, code = in_terminal(["demo", "--json", "--seed", "7"], tmp_path)

    assert code == 0
    assert "\x1b" not in shown
    assert json.loads(shown.splitlines()[-1])["kind"] == "summary"


def test_pipe_shows_json(tmp_path: Path):
    """In a pipe every line is JSON, the summary last, and nothing is on standard error."""
    done = subprocess.run([*BROKER, "demo", "--seed", "7"], capture_output=True, text=True, cwd=ROOT, env=environ(tmp_path), check=False)

    assert (done.returncode, done.stderr) == (0, "")
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert items[-1]["kind"] == "summary"
    assert str(tmp_path / "broker.sqlite3") in items[-1]["database"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)])
def test_signal_closes_the_session_in_order(tmp_path: Path, signum: signal.Signals, code: Exit):
    """A signal in the middle ends the demo with its code, and the database says that the session was closed."""
    process = subprocess.Popen(
        [*BROKER, "demo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ(tmp_path)
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["kind"] == "quote":
            break
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, stderr) == (code, "")
    from broker_core.records import tail

    (row,) = tail({"BROKER_DATABASE": str(tmp_path / "broker.sqlite3")}, "demo_connections")
    assert row["status"] == "disconnected"


def test_reader_that_leaves_ends_the_demo_quietly(tmp_path: Path):
    """When the reader of the output goes, the session is closed in order and nobody complains."""
    process = subprocess.Popen(
        [*BROKER, "demo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ(tmp_path)
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(timeout=60)

    assert (process.returncode, stderr) == (Exit.PIPE, "")

"""The commands, run against the paper broker that comes with the project."""

from __future__ import annotations

import json
import logging
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import pandas as pd
import pytest

from broker_core.cli import main
from broker_core.cli.exits import Exit
from broker_core.cli.invocation import Invocation
from broker_core.cli.quotes import Countdown
from broker_core.models import Channel


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@attrs.frozen
class Result:
    code: int
    items: list[dict[str, Any]]
    text: str
    error: str

    @property
    def item(self) -> dict[str, Any]:
        (item,) = self.items
        return item


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command as if from a pipe, or from a terminal; all commands of a test share one account and one database."""
    monkeypatch.setenv("BROKER", "demo")
    monkeypatch.setenv("BROKER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("BROKER_DATABASE", str(tmp_path / "broker.sqlite3"))
    monkeypatch.setenv("BROKER_DEMO_SEED", "7")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, terminal: bool = False) -> Result:
        stream = Terminal() if terminal else StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            code = main(arguments)
        text = stream.getvalue()
        items = [] if terminal else [json.loads(line) for line in text.splitlines()]
        return Result(int(code), items, text, capsys.readouterr().err)

    return call


def test_account_persists_between_commands(run: Run):
    """Every command finds the paper account that the first one made."""
    first, second = run("account").item, run("account").item

    assert first["kind"] == "account"
    assert (first["broker"], first["environment"], first["cash"]) == ("demo", "demo", "100000")
    assert first["account_id"] == second["account_id"]


def test_commands_take_the_users_data_folder_for_the_account(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a state folder in the settings, the account is kept in the user's data folder."""
    monkeypatch.delenv("BROKER_STATE_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path / "data" / "broker-core")

    run("account")

    assert list((tmp_path / "data" / "broker-core").iterdir())


def test_order_is_followed_to_its_end(run: Run):
    """``submit`` shows each state of the order as it comes, and the position is there afterwards."""
    done = run("orders", "submit", "AAPL", "buy", "10", "--strategy", "s1", "--signal-id", "n7")

    assert done.code == Exit.DONE
    assert [item["state"] for item in done.items] == ["pending", "submitted", "accepted", "filled"]
    last = done.items[-1]
    assert (last["filled_qty"], last["strategy"], last["signal_id"]) == ("10", "s1", "n7")
    position = run("positions").item
    assert (position["symbol"], position["qty"], position["side"]) == ("AAPL", "10", "long")


def test_why_tells_source_evidence_and_rule_of_each_change(run: Run):
    """``orders why`` gives the whole history from the database, also of an order of an earlier process."""
    order = run("orders", "submit", "AAPL", "buy", "1").items[-1]
    done = run("orders", "why", order["local_id"])

    assert [item["event"] for item in done.items][:2] == ["created", "submitted"]
    assert done.items[-1]["state"] == "filled"
    assert done.items[-1]["booked_qty"] == "1"
    assert all(item["source"] and item["evidence"] and item["rule"] for item in done.items)
    text = run("orders", "why", order["local_id"], terminal=True).text
    assert "filled, 1 at" in text
    assert "evidence" in text


def test_unknown_order_is_misuse(run: Run):
    """An id that no order has is refused with the code for misuse, by ``why`` and by ``cancel``."""
    for command in ("why", "cancel"):
        done = run("orders", command, "NOPE")
        assert (done.code, done.items) == (Exit.USAGE, [])
        assert "there is no order NOPE" in done.error


def test_working_order_is_listed_and_cancelled(run: Run):
    """An order submitted without waiting works on; ``list`` shows it, ``cancel`` ends it."""
    order = run("orders", "submit", "MSFT", "buy", "5", "--limit-price", "10", "--no-wait").item
    assert (order["state"], order["order_type"], order["limit_price"]) == ("accepted", "limit", "10")

    assert [item["local_id"] for item in run("orders", "list").items] == [order["local_id"]]
    cancelled = run("orders", "cancel", order["local_id"])

    assert (cancelled.code, cancelled.item["state"]) == (Exit.DONE, "canceled")
    assert run("orders", "list").items == []


def test_cancel_all_ends_every_order(run: Run):
    """``cancel --all`` ends whatever is open, and says so when nothing is."""
    for price in ("10", "11"):
        run("orders", "submit", "MSFT", "buy", "5", "--limit-price", price, "--no-wait")

    assert [item["state"] for item in run("orders", "cancel", "--all").items] == ["canceled", "canceled"]
    assert run("orders", "cancel", "--all", terminal=True).text == "no open orders\n"


def test_waiting_ends_with_the_code_for_unknown(run: Run):
    """An order that has not ended within the timeout goes on working, and the exit code says that its end is not known."""
    done = run("orders", "submit", "MSFT", "buy", "5", "--limit-price", "10", "--timeout", "0.01")

    assert (done.code, done.items[-1]["state"]) == (Exit.UNKNOWN, "accepted")
    assert len(run("orders", "list").items) == 1


def test_refused_order_is_shown_and_has_its_code(run: Run):
    """An order that the broker refuses is shown as rejected, with the reason on standard error and the code for refusals."""
    done = run("orders", "submit", "DEMO.REFUSE", "buy", "1")

    assert (done.code, done.items[-1]["state"]) == (Exit.REFUSED, "rejected")
    assert done.error.startswith("broker: error: ")


def test_order_rejected_later_has_the_same_code(run: Run):
    """An order that is accepted and rejected afterwards ends with the code for refusals as well."""
    done = run("orders", "submit", "DEMO.REJECT", "buy", "1")

    assert (done.code, done.items[-1]["state"]) == (Exit.REFUSED, "rejected")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["AAPL", "buy", "0"], "qty: 0 is not above zero"),
        (["AAPL", "buy", "many"], "qty: 'many' is not a number"),
        (["AAPL", "buy"], "give one of the two"),
        (["AAPL", "buy", "1", "--notional", "5"], "give one of the two"),
        (["AAPL", "hold", "1"], "'hold' is not one of 'buy', 'sell'"),
        (["AAPL", "buy", "1", "--type", "market", "--limit-price", "3"], "limit_price: 3 has no place in a market order"),
        (["AAPL", "buy", "1", "--class", "bracket"], "without both take_profit and stop_loss"),
        (["AAPL", "buy", "1", "--stop-loss-limit", "5"], "--stop-loss-limit stands beside --stop-loss"),
        (["AAPL", "buy", "1", "--timeout", "0"], "--timeout"),
    ],
)
def test_order_that_makes_no_sense_is_refused_before_anything_opens(run: Run, tmp_path: Path, arguments: list[str], words: str):
    """A senseless order is one line and the code for misuse; no session was opened for it."""
    done = run("orders", "submit", *arguments)

    assert (done.code, done.items) == (Exit.USAGE, [])
    assert words in done.error
    assert done.error.count("\n") == 1
    assert not (tmp_path / "broker.sqlite3").exists()


@pytest.mark.parametrize(
    ("options", "order_type", "order_class"),
    [
        ([], "market", "simple"),
        (["--limit-price", "10"], "limit", "simple"),
        (["--stop-price", "10000"], "stop", "simple"),
        (["--stop-price", "10000", "--limit-price", "10001"], "stop_limit", "simple"),
        (["--trail-percent", "50"], "trailing_stop", "simple"),
        (["--trail-price", "900"], "trailing_stop", "simple"),
        (["--limit-price", "10", "--take-profit", "11"], "limit", "oto"),
        (["--limit-price", "10", "--take-profit", "11", "--stop-loss", "9", "--stop-loss-limit", "8.5"], "limit", "bracket"),
    ],
)
def test_given_prices_imply_type_and_class(run: Run, options: list[str], order_type: str, order_class: str):
    """Without ``--type`` and ``--class`` an order is what its prices make it."""
    order = run("orders", "submit", "AAPL", "buy", "1", "--no-wait", *options).item

    assert (order["order_type"], order["order_class"]) == (order_type, order_class)


def test_quotes_come_in_the_order_asked_for(run: Run):
    """``quote`` gives one item a symbol; an unknown symbol is refused."""
    done = run("quote", "MSFT", "AAPL")

    assert [item["symbol"] for item in done.items] == ["MSFT", "AAPL"]
    assert all(0 < item["bid_price"] < item["ask_price"] for item in done.items)
    assert "bid price" in run("quote", "AAPL", terminal=True).text


def test_stream_stops_after_count(run: Run):
    """``stream --count`` gives exactly that many items, of all kinds together."""
    done = run("stream", "AAPL", "MSFT", "--quotes", "--trades", "--count", "3")

    assert done.code == Exit.DONE
    assert len(done.items) == 3
    assert {item["kind"] for item in done.items} <= {"quote", "trade"}


def test_count_is_shared_by_all_kinds():
    """Where two kinds come in at once, the one that is late shows nothing more."""
    left = Countdown(2)

    assert [left.take(), left.take(), left.take()] == [True, True, False]
    assert left.is_over
    assert Countdown(None).take()


def test_stream_stops_after_seconds(run: Run):
    """``stream --seconds`` ends by itself."""
    assert run("stream", "AAPL", "--bars", "--seconds", "0.01").code == Exit.DONE


def test_stream_for_people_is_lines(run: Run):
    """On a terminal each item is one line that names its kind."""
    assert " AAPL     quote  bid " in run("stream", "AAPL", "--count", "1", terminal=True).text


def test_what_the_broker_does_not_stream_is_refused(run: Run):
    """``stream`` of a channel that the broker does not carry says what it carries."""
    done = run("stream", "AAPL", "--quotes", "--cancel-errors")

    assert done.code == Exit.USAGE
    assert "cancel_errors: the broker's stream carries bars, orders, quotes, trades" in done.error


def test_stream_can_ask_for_every_channel(run: Run):
    """Every channel of market data is an option of ``stream``."""
    words = run("stream", "--help", terminal=True).text.split()

    assert {f"--{channel.replace('_', '-')}" for channel in Channel if channel is not Channel.ORDERS} <= set(words)


def test_bars_are_items(run: Run):
    """``bars`` gives an item a bar, oldest first within each symbol."""
    done = run("bars", "AAPL", "MSFT", "--limit", "3")

    assert [item["symbol"] for item in done.items] == ["AAPL"] * 3 + ["MSFT"] * 3
    assert [item["timestamp"] for item in done.items[:3]] == sorted(item["timestamp"] for item in done.items[:3])
    assert set(done.items[0]) == {"kind", "symbol", "timestamp", "open", "high", "low", "close", "volume", "trade_count", "vwap"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_bars_are_saved(run: Run, tmp_path: Path, suffix: str):
    """``bars --out`` writes the same bars to a file, every digit of them."""
    items = run("bars", "AAPL", "--start", "2026-03-02", "--end", "2026-03-10").items
    path = tmp_path / f"bars.{suffix}"
    done = run("bars", "AAPL", "--start", "2026-03-02", "--end", "2026-03-10", "--out", str(path))

    assert done.item == {"kind": "file", "path": str(path), "rows": len(items), "symbols": ["AAPL"]}
    frame = pd.read_csv(path, parse_dates=["timestamp"]) if suffix == "csv" else pd.read_parquet(path)
    assert frame["close"].tolist() == [item["close"] for item in items]
    assert [moment.isoformat() for moment in frame["timestamp"]] == [item["timestamp"] for item in items]


@pytest.mark.parametrize(("name", "words"), [("x.txt", "must end in .csv or .parquet"), ("no/x.csv", "there is no folder")])
def test_bars_cannot_be_saved_anywhere(run: Run, tmp_path: Path, name: str, words: str):
    """A file that cannot be written is refused before anything is downloaded."""
    done = run("bars", "AAPL", "--out", str(tmp_path / name))

    assert done.code == Exit.USAGE
    assert words in done.error
    assert not (tmp_path / "broker.sqlite3").exists()


def test_database_goes_up_and_down(run: Run, tmp_path: Path):
    """``db`` shows the schema, takes it back and applies it again; without ``--yes`` it drops nothing."""
    assert run("db", "status").items == []
    run("account")
    status = run("db", "status").item
    assert (status["broker"], status["pending"], status["rows"]["connections"]) == ("demo", [], 1)

    refused = run("db", "downgrade")
    assert refused.code == Exit.USAGE
    assert run("db", "status").item == status

    migration = status["version"]
    assert run("db", "downgrade", "--yes").item == {"kind": "reverted", "broker": "demo", "migration": migration}
    assert all(item["version"] is None for item in run("db", "status").items)
    assert run("db", "upgrade", "--broker", "demo").item == {"kind": "applied", "broker": "demo", "migration": migration}
    assert run("db", "upgrade", terminal=True).text == "nothing to do\n"
    assert "demo" in run("db", "status", terminal=True).text


def test_downgrade_wants_to_know_whose_tables(run: Run):
    """Without tables there is nothing to choose from, and the error says so."""
    done = run("db", "downgrade", "--yes")

    assert done.code == Exit.USAGE
    assert "--broker" in done.error


def test_storage_that_cannot_be_used_has_its_code(run: Run, tmp_path: Path):
    """A database that is no database ends every command with the code for storage."""
    (tmp_path / "broken.sqlite3").write_bytes(b"this is no database, and never was one" * 100)

    for command in (["account"], ["db", "status"]):
        done = run(*command, "--database", str(tmp_path / "broken.sqlite3"))
        assert (done.code, done.items) == (Exit.STORAGE, [])
        assert "broken.sqlite3" in done.error


@pytest.mark.parametrize("command", [["doctor"], ["plugins"], ["db", "status"], ["account"]])
def test_no_command_shows_a_secret(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]):
    """Neither credentials nor the password of the database appear anywhere, not even with ``--debug`` and an error."""
    file = tmp_path / "broker.toml"
    file.write_text('[acme]\nsecret_key = "swordfish"\n')
    monkeypatch.setenv("BROKER_CONFIG", str(file))
    monkeypatch.setenv("ACME_API_SECRET_KEY", "swordfish")
    monkeypatch.setenv("BROKER_ACME_TOKEN", "swordfish")
    monkeypatch.setenv("BROKER_DATABASE", "postgresql://me:swordfish@127.0.0.1:1/nowhere")

    for arguments in (command, [*command, "--debug"], ["--debug", *command]):
        done = run(*arguments)
        assert "swordfish" not in done.text + done.error


def test_plugins_are_listed(run: Run):
    """``plugins`` names each plugin, what it offers, and its hooks; a disabled one with the reason."""
    reports = {item["name"]: item for item in run("plugins").items}

    assert reports["demo"]["state"] == "offers"
    assert "broker_client" in reports["demo"]["hooks"]
    assert "market" in reports["demo"]["capabilities"]["order_types"]
    assert reports["records"]["state"] == "observes"
    assert "order types" in run("plugins", terminal=True).text


def test_disabled_plugin_is_named(run: Run, monkeypatch: pytest.MonkeyPatch):
    """A plugin that the settings disable is listed as such."""
    monkeypatch.setenv("BROKER_DISABLE", "records")

    assert {item["name"]: item["state"] for item in run("plugins").items}["records"] == "disabled"


def test_doctor_finds_nothing_wrong(run: Run):
    """On a sound installation every check passes."""
    done = run("doctor")

    assert done.code == Exit.DONE
    assert {item["state"] for item in done.items} == {"ok"}
    assert {"installation", "settings", "broker", "database", "plugin demo", "plugin records"} <= {item["name"] for item in done.items}


@pytest.mark.parametrize(
    ("environ", "name", "words"),
    [
        ({"BROKER_SYNC_ACCOUNT_INTERVAL": "x"}, "settings", "BROKER_SYNC_ACCOUNT_INTERVAL"),
        ({"BROKER": "nobody"}, "broker", "nobody"),
        ({"BROKER_DEMO_SEED": "x"}, "broker", "BROKER_DEMO_SEED"),
        ({"BROKER_DISABLE": "demo", "BROKER": ""}, "broker", "no broker can answer"),
        ({"BROKER_DATABASE": "mysql://x"}, "database", "BROKER_DATABASE"),
    ],
)
def test_doctor_names_each_problem(run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str, words: str):
    """What is wrong is a problem of its name with its reason, and the exit code says that there is one."""
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    done = run("doctor")

    problems = {item["name"]: item["detail"] for item in done.items if item["state"] == "problem"}
    assert done.code == Exit.BROKER
    assert words in problems[name]


def test_doctor_warns_of_what_means_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A table or a name in the settings that belongs to no plugin is a warning, not a problem."""
    file = tmp_path / "broker.toml"
    file.write_text('disable = ["nobody"]\n[stranger]\nx = 1\n')
    monkeypatch.setenv("BROKER_CONFIG", str(file))
    done = run("doctor")

    warnings = {item["name"] for item in done.items if item["state"] == "warning"}
    assert (done.code, warnings) == (Exit.DONE, {"table [stranger]", "disable nobody"})


def test_falling_back_is_told_once(run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Without a broker of one's own the paper broker answers, with one warning that says why."""
    monkeypatch.delenv("BROKER")
    assert run("account").item["broker"] == "demo"

    assert [record.levelname for record in caplog.records if record.name.startswith("broker_core")] == ["WARNING"]


def test_log_records_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """What is logged appears on standard error in the commands' own voice, an exception without its traceback."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    Invocation(environ={}).settings  # noqa: B018  # reading the settings begins the log
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("broker_core.test").exception("it went %s", "wrong")

    assert capsys.readouterr().err == "broker: error: it went wrong: RuntimeError: boom\n"


@pytest.fixture
def real_account(run: Run, real_money: None) -> str:
    """The number of an account that counts as real money; commands use it."""
    item = run("account").item
    assert item["environment"] == "live"
    return str(item["account_id"])


@pytest.mark.parametrize("options", [[], ["--yes-live", "ANOTHER"]])
def test_real_money_needs_the_accounts_number(run: Run, real_account: str, options: list[str]):
    """Without the number of the account, or with another's, an order with real money is not sent."""
    done = run("orders", "submit", "AAPL", "buy", "1", *options)

    assert (done.code, done.items) == (Exit.USAGE, [])
    assert f"--yes-live {real_account}" in done.error
    assert run("db", "status").item["rows"]["order_log"] == 0


def test_real_money_is_confirmed_by_option(run: Run, real_account: str):
    """With the number of the account the order is sent."""
    assert run("orders", "submit", "AAPL", "buy", "1", "--yes-live", real_account).items[-1]["state"] == "filled"


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal in the place of standard input; the end on which to type."""
    ours, theirs = pty.openpty()
    with monkeypatch.context() as patch, os.fdopen(theirs) as terminal:
        patch.setattr(sys, "stdin", terminal)
        yield ours
    os.close(ours)


@pytest.mark.parametrize(("typed", "code", "versions"), [("yes", Exit.DONE, []), ("y", Exit.USAGE, ["0001_initial"])])
def test_downgrade_is_confirmed_at_the_terminal(run: Run, keyboard: int, typed: str, code: Exit, versions: list[str]):
    """A person is asked before rows are dropped, and only a whole yes drops them."""
    run("account")
    os.write(keyboard, f"{typed}\n".encode())

    assert run("db", "downgrade").code == code
    assert [item["version"] for item in run("db", "status").items if item["version"]] == versions


@pytest.mark.parametrize("typed", ["right", "wrong"])
def test_real_money_is_confirmed_at_the_terminal(run: Run, real_account: str, keyboard: int, typed: str):
    """A person is asked for the number of the account, and only the right one sends the order."""
    os.write(keyboard, f"{real_account if typed == 'right' else 'yes'}\n".encode())
    done = run("orders", "submit", "AAPL", "buy", "1")

    assert f"REAL MONEY: buy 1 AAPL in account {real_account}" in done.error
    assert done.code == (Exit.DONE if typed == "right" else Exit.USAGE)


def test_question_can_be_interrupted(real_account: str):
    """Ctrl-C at the question ends the command, with the session closed in order and nothing sent."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "broker_core.cli", "orders", "submit", "AAPL", "buy", "1"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    os.close(theirs)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("REAL MONEY")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    os.close(ours)

    assert (process.returncode, stdout) == (Exit.INTERRUPTED, "")
    assert "did not close" not in stderr


def test_way_out_is_never_blocked(run: Run, real_account: str):
    """Cancelling asks for no confirmation, not even with real money."""
    run("orders", "submit", "AAPL", "buy", "1", "--limit-price", "10", "--no-wait", "--yes-live", real_account)

    assert run("orders", "cancel", "--all").item["state"] == "canceled"


def test_progress_is_for_the_person_at_the_terminal(run: Run):
    """A download draws its progress on standard error, where that is a terminal, and leaves standard output to the bars."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "broker_core.cli", "bars", "AAPL", "--timeframe", "1Min", "--days", "2"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environ)
    os.close(theirs)
    stdout, _ = process.communicate(timeout=60)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)

    assert process.returncode == 0
    assert {json.loads(line)["kind"] for line in stdout.splitlines()} == {"bar"}
    assert " bars " in drawn
    assert "\x1b[" in drawn

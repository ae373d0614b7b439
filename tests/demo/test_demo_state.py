"""The account's file."""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
import pytest

from broker_core.errors import ConfigError, StorageError
from broker_core.requests import ForeignOrder, LimitOrder, MarketOrder, OrderType, StopLoss, TakeProfit, TrailingStopOrder
from broker_demo.ledger import Ledger
from broker_demo.state import FORMAT, VERSION, StateFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "account.json"


@pytest.fixture
def file(path):
    file = StateFile(path)
    file.lock()
    yield file
    file.release()


@pytest.fixture
def busy(market):
    """A market with a bit of everything in its account."""
    market.submit(
        MarketOrder(
            "ABC", "buy", qty=10, order_class="bracket", take_profit=TakeProfit("110"), stop_loss=StopLoss("90", "89.50"), strategy="s"
        )
    )
    market.tick(111, size=4)
    market.submit(TrailingStopOrder("XYZ", "buy", qty=1, trail_percent="0.5", time_in_force="gtc"))
    market.submit(MarketOrder("XYZ", "buy", notional="10.50"))
    market.tick(100)
    market.exchange.bust(market.state.ledger.fills[-1].execution_id, market.exchange.now_ns)
    market.exchange.advance(market.exchange.now_ns + 86_400_000_000_000)
    market.submit(LimitOrder("ABC", "buy", qty="0.5", limit_price="90"))
    return market


def plain(state):
    """All that an account knows, comparable."""
    ledger = state.ledger
    return (
        state.account_id,
        state.ids,
        state.now_ns,
        (ledger.opening_cash, ledger.cash, ledger.fills, ledger.busts, ledger.positions),
        [attrs.astuple(order, recurse=False) for order in state.orders],
        state.unmatched,
        state.depths,
        state.closes,
    )


def test_account_comes_back_as_it_was(file, busy):
    """What is saved is loaded again to the last digit, id and watermark."""
    file.save(busy.state)

    assert plain(StateFile(file.path).load()) == plain(busy.state)
    assert busy.state.ledger.busts
    assert busy.state.closes


def test_saving_again_writes_what_has_changed(file, busy):
    """A second save with the same file object has later changes too, also of orders that had ended."""
    file.save(busy.state)
    busy.exchange.bust(busy.state.ledger.fills[0].execution_id, busy.exchange.now_ns)
    busy.cancel(busy.state.orders[-1])
    file.save(busy.state)

    assert plain(StateFile(file.path).load()) == plain(busy.state)


def test_no_file_is_no_account(file):
    """Where there is no file yet, there is no account, and that is no error."""
    assert file.load() is None


def test_terms_of_every_kind_survive(file, market):
    """An order's request is kept with all its terms, those that no constructor here would make included."""
    order = market.submit(MarketOrder("ABC", "buy", qty=1, strategy="mean", signal_id="s-1"))
    order.request = ForeignOrder("ABC", "buy", qty=1, order_type=OrderType.STOP, stop_price="5", strategy="mean")
    file.save(market.state)

    assert file.load().orders[0].request == order.request


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[:20], "its format is unknown"),
        (lambda text: text[: text.index("\n") + 1], "it ends after its first line"),
        (lambda text: text.replace('"fills"', '"fills'), ""),
        (lambda text: "", "its format is unknown"),
        (lambda text: "[]\n", "its format is unknown"),
        (lambda text: "{}\n[]\n", "its format is unknown"),
        (lambda text: text + "[]\n", "[] is not a dict"),
        (lambda text: text.replace(FORMAT, "something else"), "its format is unknown"),
        (lambda text: text.replace('"now_ns"', '"then_ns"', 1), "now_ns is missing"),
        (lambda text: text.replace('"opening_cash": "100000"', '"opening_cash": 100000'), "100000 is not a str"),
        (lambda text: text.replace('"opening_cash": "100000"', '"opening_cash": "lots"'), "'lots' is not a number"),
        (lambda text: text.replace('"status": "filled"', '"status": "eaten"', 1), "'eaten' is not a valid Status"),
        (lambda text: text.replace('"side": "buy"', '"side": "steal"', 1), "steal"),
        (lambda text: text.replace('"order_type": "market"', '"order_type": "guess"', 1), "guess"),
        (lambda text: text.replace('"updated_ns": 1', '"updated_ns": true, "x": 1', 1), "True is not a int"),
        (lambda text: text.replace('"closes"', '"doors"'), "closes is missing"),
    ],
)
def test_damaged_file_is_named(file, busy, damage, reason):
    """A damaged file raises a ConfigError of one line with its path, the reason and what to do; it is not overwritten."""
    file.save(busy.state)
    text = damage(file.path.read_text())
    file.path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        file.load()

    message = str(caught.value)
    assert message.startswith(f"{file.path}: the demo account is damaged (")
    assert reason in message
    assert "restore the file, or remove it" in message
    assert "\n" not in message
    assert file.path.read_text() == text


def test_newer_file_is_left_alone(file, busy):
    """A file of a later version is refused with both versions named."""
    file.save(busy.state)
    file.path.write_text(file.path.read_text().replace(f'"version": {VERSION}', f'"version": {VERSION + 1}'))

    with pytest.raises(ConfigError, match=rf"newer release \(version {VERSION + 1}, this one reads {VERSION}\)"):
        file.load()


def test_account_in_use_is_refused_until_it_is_let_go(file):
    """Two sessions cannot share an account, in one process or in two; after a release the other may have it."""
    other = StateFile(file.path)
    with pytest.raises(ConfigError, match="in use by another session"):
        other.lock()

    file.release()

    other.lock()
    other.release()


def test_killed_process_lets_go_of_its_account(path):
    """The lock of a process that is killed does not outlive it."""
    program = (
        "import sys, pathlib; from broker_demo.state import StateFile; file = StateFile(pathlib.Path(sys.argv[1])); file.lock(); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        file = StateFile(path)
        with pytest.raises(ConfigError, match="in use"):
            file.lock()
        process.kill()
        process.wait()

    file.lock()
    file.release()


def test_line_without_an_end_does_not_count(file, busy):
    """What a process wrote when it died in the middle of a save is left out; the account is as of the save before."""
    file.save(busy.state)
    before = plain(file.load())
    busy.cancel(busy.state.orders[-1])
    file.save(busy.state)
    last = file.path.read_bytes().splitlines()[-1]
    file.path.write_bytes(file.path.read_bytes()[: -len(last) // 2])

    assert plain(file.load()) == before


def test_new_session_writes_the_account_afresh(file, busy):
    """The first save of a session replaces what earlier ones appended by a single line; the account is the same."""
    file.save(busy.state)
    busy.cancel(busy.state.orders[-1])
    file.save(busy.state)
    assert len(file.path.read_text().splitlines()) == 3
    file.release()

    later = StateFile(file.path)
    later.lock()
    later.save(later.load())
    later.release()

    assert len(file.path.read_text().splitlines()) == 2
    assert plain(file.load()) == plain(busy.state)


def test_save_costs_what_has_changed(file, busy):
    """A line of the journal holds the orders that changed and none of the others."""
    file.save(busy.state)
    order = busy.state.orders[-1]
    busy.cancel(order)
    file.save(busy.state)
    file.save(busy.state)

    *_, change, nothing = map(json.loads, file.path.read_text().splitlines())
    assert [changed["order_id"] for changed in change["orders"]] == [order.order_id]
    assert (nothing["orders"], nothing["fills"], nothing["depths"]) == ([], [], {})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to the size of a process's files")
@pytest.mark.parametrize("has_journal", [True, False])
def test_failed_save_leaves_the_former_account(file, busy, has_journal):
    """When the disk takes no more, StorageError says so, the former account stays whole without litter, and the next save makes it good."""
    import resource

    file.save(busy.state)
    before = plain(file.load())
    if not has_journal:
        file._leave_journal()
    busy.cancel(busy.state.orders[-1])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.path.stat().st_size + 10 if has_journal else 10, hard))
    try:
        with pytest.raises(StorageError, match="the demo account cannot be written: File too large"):
            file.save(busy.state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert plain(file.load()) == before
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["account.json", "account.json.lock"]
    file.save(busy.state)
    assert plain(file.load()) == plain(busy.state)
    assert len(file.path.read_text().splitlines()) == 2, "nothing may follow a line that is there in part"


def test_folder_that_cannot_be_used_is_a_config_error(tmp_path):
    """A path below a file, or a folder in the file's place, is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept here"):
        StateFile(tmp_path / "file" / "account.json").lock()
    (tmp_path / "account.json").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        StateFile(tmp_path / "account.json").load()


def test_empty_account_is_saved_too(file, market):
    """An account without orders makes a file that loads."""
    market.state.ledger = Ledger(market.state.ledger.opening_cash)
    file.save(market.state)

    assert plain(file.load()) == plain(market.state)

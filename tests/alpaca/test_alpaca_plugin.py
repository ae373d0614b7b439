"""The plugin's answers: which client it offers, by which way, and when it leaves the question to others."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from broker_alpaca import sdk
from broker_alpaca.client import AlpacaClient
from broker_alpaca.config import AlpacaSettings, Mode
from broker_alpaca.plugin import AlpacaPlugin, broker_client
from broker_core.errors import AmbiguousBroker, ConfigError, NotConfigured
from broker_core.models import Channel, Environment
from broker_core.plugins import Plugins, survey

PAIR = {"APCA_API_KEY_ID": "PKTEST", "APCA_API_SECRET_KEY": "s3cr3t"}
needs_sdk = pytest.mark.skipif(
    find_spec("alpaca") is None, reason="alpaca-py is not installed; the environment with the sdk extra runs this"
)


def test_without_credentials_the_demo_answers():
    """Absent keys are no error, and the reason is told."""
    choice = Plugins.load().choose({})

    assert (choice.client.name, choice.fell_back) == ("demo", True)
    assert "alpaca: no credentials" in choice.why


def test_asked_for_by_name_it_never_becomes_the_demo():
    """No keys, no session."""
    with pytest.raises(NotConfigured, match="alpaca has no credentials"):
        Plugins.load().choose({}, "alpaca")


def test_with_credentials_it_is_the_one_real_broker():
    """Its environment is paper."""
    choice = Plugins.load().choose(PAIR)

    assert (choice.client.name, choice.fell_back, choice.client.environment) == ("alpaca", False, Environment.PAPER)


def test_settings_that_make_no_sense_are_no_reason_to_trade_elsewhere():
    """Not even on paper."""
    with pytest.raises(ConfigError, match="trades real money"):
        Plugins.load().choose(PAIR | {"APCA_API_BASE_URL": "https://api.alpaca.markets"})


@pytest.mark.parametrize("name", [None, "alpaca"])
def test_an_account_given_as_arguments_goes_before_the_environments(name: str | None):
    """The host's own plugin takes the place of the installed one, so no other account can answer."""
    own = AlpacaPlugin(AlpacaSettings(key="PKOWN", secret="s"))
    plugins = Plugins.load([own])
    client = plugins.choose(PAIR, name).client

    assert isinstance(client, AlpacaClient)
    assert client.settings.key.reveal() == "PKOWN"
    assert [(report.name, report.state) for report in plugins.reports() if report.name.startswith("alpaca")] == [
        ("alpaca", "offers"),
        ("alpaca (broker-core)", "disabled"),
    ]


def test_two_accounts_of_the_hosts_own_are_never_guessed_between():
    """One of them has to be left out."""
    plugins = Plugins.load([AlpacaPlugin(AlpacaSettings(key=key, secret="s")) for key in ("PKONE", "PKTWO")])
    for name in (None, "alpaca"):
        with pytest.raises(AmbiguousBroker):
            plugins.choose({}, name)


def test_the_mode_can_be_pinned():
    """HTTP needs nothing more."""
    client = broker_client(PAIR | {"ALPACA_MODE": "http"})

    assert client is not None
    assert client.mode == Mode.HTTP


@needs_sdk
def test_alpaca_py_is_taken_where_it_is_installed():
    """Without a word about the mode."""
    client = broker_client(PAIR)

    assert client is not None
    assert client.mode == Mode.SDK


def test_without_alpaca_py_calls_go_over_http(monkeypatch: pytest.MonkeyPatch):
    """And to pin what is not there is an error that says what to install."""
    monkeypatch.setattr(sdk, "find_spec", lambda _: None)
    client = broker_client(PAIR)

    assert client is not None
    assert client.mode == Mode.HTTP
    with pytest.raises(ConfigError, match=r"ALPACA_MODE: sdk needs alpaca-py.*broker-core\[sdk\]"):
        broker_client(PAIR | {"ALPACA_MODE": "sdk"})


def test_it_answers_for_its_own_clients_only():
    """Every family for them, none for anybody else's."""
    plugin = AlpacaPlugin()
    client = plugin.broker_client(PAIR)
    assert client is not None
    demo = Plugins.load().choose({}, "demo").client
    hooks = (plugin.broker_orders, plugin.broker_sync, plugin.broker_market_data, plugin.broker_stream, plugin.broker_record_models)

    assert [hook(demo) for hook in hooks] == [None] * 5
    assert None not in [hook(client) for hook in hooks]


def test_its_families_are_complete():
    """The core, which asks for every member that a family must have, takes them all."""
    plugins = Plugins.load()
    client = plugins.choose(PAIR).client
    families = [plugins.orders(client), plugins.sync(client), plugins.market_data(client), plugins.stream(client)]

    assert [type(family).__module__.partition(".")[0] for family in families] == ["broker_alpaca"] * 4


def test_its_feeds_carry_what_it_declares():
    """Every channel that the capabilities name has a feed, and no feed another."""
    plugin = AlpacaPlugin()
    client = plugin.broker_client(PAIR)
    assert client is not None
    stream = plugin.broker_stream(client)
    assert stream is not None

    assert frozenset[Channel]().union(*(feed.channels for feed in stream.feeds)) == client.capabilities.channels


def test_the_doctor_is_told_which_name_won():
    """And never what it holds."""
    reports, plugins = survey(PAIR | {"ALPACA_API_KEY": "PKLOSES", "ALPACA_SECRET_KEY": "loses"})
    client = plugins.choose(PAIR | {"ALPACA_API_KEY": "PKLOSES", "ALPACA_SECRET_KEY": "loses"}).client
    notes = "\n".join(client.notes)  # type: ignore[attr-defined]

    assert next(report for report in reports if report.name == "alpaca").state == "offers"
    assert "key from APCA_API_KEY_ID" in notes
    assert "s3cr3t" not in notes + repr(client) + repr(vars(client))
    assert "PKTEST" not in notes


@pytest.mark.parametrize(
    ("environ", "heavy"),
    [
        ({}, ["aiohttp", "pandas", "numpy", "peewee", "msgspec", "alpaca", "requests"]),
        (PAIR, ["pandas", "numpy", "peewee", "alpaca", "requests"]),
    ],
    ids=["without credentials", "with credentials"],
)
def test_asking_for_a_client_loads_nothing_that_is_not_needed(environ: dict[str, str], heavy: list[str]):
    """Every command asks; frames, records and alpaca-py are loaded by those who use them."""
    program = [
        "import sys",
        "from broker_alpaca.plugin import broker_client",
        f"broker_client({environ})",
        f"print(*[name for name in {heavy} if name in sys.modules])",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []

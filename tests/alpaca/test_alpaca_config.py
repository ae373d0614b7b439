"""Settings: which name wins, what is tolerated, and what is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from broker_alpaca import config
from broker_alpaca.config import DATA_URL, LIVE_URL, NAMES, PAPER_URL, AlpacaSettings, Mode, read
from broker_core.errors import ConfigError
from broker_core.models import Environment

PAIR = {"APCA_API_KEY_ID": "PKAPCA", "APCA_API_SECRET_KEY": "apca-secret"}
OTHER_PAIR = {"ALPACA_API_KEY": "PKOTHER", "ALPACA_SECRET_KEY": "other-secret"}


def found(environ: dict[str, str]) -> AlpacaSettings:
    """The settings of an environment that has some."""
    settings = read(environ)
    assert settings is not None
    return settings


def test_without_credentials_there_are_no_settings():
    """Nothing, empty values and addresses alone are no credentials."""
    assert read({}) is None
    assert read({"APCA_API_KEY_ID": "", "APCA_API_SECRET_KEY": "  "}) is None
    assert read({"APCA_API_BASE_URL": LIVE_URL, "ALPACA_PAPER_TRADE": "true"}) is None


def test_paper_is_the_default():
    """A pair of keys and nothing else leads to the paper account and the production data hosts."""
    settings = found(PAIR)

    assert settings.environment is Environment.PAPER
    assert (settings.trading_url, settings.data_url) == (PAPER_URL, DATA_URL)
    assert settings.trading_stream_url == "wss://paper-api.alpaca.markets/stream"
    assert settings.stream_url == "wss://stream.data.alpaca.markets"
    assert settings.headers == {"APCA-API-KEY-ID": "PKAPCA", "APCA-API-SECRET-KEY": "apca-secret"}


def test_the_stronger_name_wins_and_is_told():
    """APCA comes before ALPACA, and the project's own names before both."""
    both = found(OTHER_PAIR | PAIR)
    own = found(OTHER_PAIR | PAIR | {"BROKER_ALPACA_KEY": "PKOWN"})

    assert (both.key.reveal(), both.secret.reveal()) == ("PKAPCA", "apca-secret")
    assert both.origins["key"] == "APCA_API_KEY_ID"
    assert (own.key.reveal(), own.origins["key"], own.origins["secret"]) == ("PKOWN", "BROKER_ALPACA_KEY", "APCA_API_SECRET_KEY")
    assert found(OTHER_PAIR).origins == {"key": "ALPACA_API_KEY", "secret": "ALPACA_SECRET_KEY"}


@pytest.mark.parametrize("setting", sorted(NAMES))
def test_every_name_of_a_setting_is_read(setting: str):
    """Alone, each name sets its setting."""
    values = {
        "environment": "paper",
        "paper": "true",
        "mode": "http",
        "feed": "iex",
        "options_feed": "opra",
        "codec": "json",
        "rate_limit": "7",
        "data_rate_limit": "7",
        "deadline": "7",
        "stream_url": "wss://x.example",
        "trading_stream_url": "wss://x.example/stream",
    }
    value = values.get(setting, "https://x.example" if setting.endswith("_url") else "word")
    for name in NAMES[setting]:
        assert found({**PAIR, name: value}).origins[setting] in (name, "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
        assert found({**PAIR, name: value}).origins.keys() >= {setting, "key", "secret"}


@pytest.mark.parametrize(
    "url", ["https://paper-api.alpaca.markets/", "https://paper-api.alpaca.markets/v2", "https://paper-api.alpaca.markets/v2/"]
)
def test_what_people_leave_at_the_end_of_an_address_is_tolerated(url: str):
    """A slash, a version, or both."""
    assert found({**PAIR, "APCA_API_BASE_URL": url}).trading_url == PAPER_URL
    assert found({**PAIR, "APCA_API_DATA_URL": f"{DATA_URL}/v2/"}).data_url == DATA_URL
    assert found({**PAIR, "APCA_API_STREAM_URL": "wss://stream.data.alpaca.markets/v2/"}).stream_url == "wss://stream.data.alpaca.markets"


def test_live_when_it_is_asked_for_and_nothing_speaks_against_it():
    """Asked for by the environment's name or by the paper switch; key and address agree."""
    keys = {"APCA_API_KEY_ID": "AKLIVE", "APCA_API_SECRET_KEY": "s"}
    for asked in ({"BROKER_ALPACA_ENVIRONMENT": "live"}, {"ALPACA_PAPER_TRADE": "False"}, {"ALPACA_IS_PAPER": "0"}):
        settings = found(keys | asked)
        assert settings.environment is Environment.LIVE
        assert settings.trading_url == LIVE_URL
        assert settings.trading_stream_url == "wss://api.alpaca.markets/stream"
    assert found(keys | {"ALPACA_PAPER_TRADE": "false", "APCA_API_BASE_URL": LIVE_URL}).environment is Environment.LIVE


REFUSED: list[tuple[dict[str, str], str]] = [
    ({"APCA_API_BASE_URL": LIVE_URL}, "APCA_API_BASE_URL: https://api.alpaca.markets trades real money, but live was not asked for"),
    ({"ALPACA_PAPER_TRADE": "false"}, "APCA_API_KEY_ID: it begins with PK, like a paper key, but the environment is live"),
    ({"APCA_API_KEY_ID": "AKLIVE"}, "APCA_API_KEY_ID: it begins with AK, like a live key, but the environment is paper"),
    (
        {"APCA_API_KEY_ID": "CKEY", "ALPACA_PAPER_TRADE": "false", "APCA_API_BASE_URL": PAPER_URL},
        "APCA_API_BASE_URL: https://paper-api.alpaca.markets is the paper host, but live was asked for",
    ),
    (
        {"ALPACA_PAPER_TRADE": "true", "BROKER_ALPACA_ENVIRONMENT": "live"},
        "BROKER_ALPACA_ENVIRONMENT and ALPACA_PAPER_TRADE contradict each other",
    ),
    ({"ALPACA_PAPER_TRADE": "perhaps"}, "ALPACA_PAPER_TRADE: 'perhaps' is neither true nor false"),
    ({"BROKER_ALPACA_ENVIRONMENT": "demo"}, "BROKER_ALPACA_ENVIRONMENT: 'demo' is neither paper nor live"),
    ({"APCA_API_SECRET_KEY": ""}, "APCA_API_KEY_ID is set, but there is no secret; set BROKER_ALPACA_SECRET or APCA_API_SECRET_KEY"),
    ({"APCA_API_KEY_ID": ""}, "APCA_API_SECRET_KEY is set, but there is no key"),
    ({"ALPACA_MODE": "carrier pigeon"}, "ALPACA_MODE: 'carrier pigeon' is not one of http, sdk"),
    ({"ALPACA_FEED": "nasdaq"}, "ALPACA_FEED: 'nasdaq' is not one of iex, sip"),
    ({"BROKER_ALPACA_RATE_LIMIT": "fast"}, "BROKER_ALPACA_RATE_LIMIT: 'fast' is not a number above zero"),
    ({"BROKER_ALPACA_DEADLINE": "0"}, "BROKER_ALPACA_DEADLINE: '0' is not a number above zero"),
    ({"BROKER_ALPACA_SEKRET": "x"}, "BROKER_ALPACA_SEKRET is unknown; did you mean BROKER_ALPACA_SECRET?"),
    ({"BROKER_ALPACA_QQQ": "x"}, "BROKER_ALPACA_QQQ is unknown; known are BROKER_ALPACA_KEY"),
    ({"APCA_API_BASE_URL": "paper-api.alpaca.markets"}, "is not an address that begins with https://"),
    ({"APCA_API_BASE_URL": "http://paper-api.alpaca.markets"}, "would send the secret unencrypted"),
    ({"APCA_API_STREAM_URL": "https://stream.data.alpaca.markets"}, "is not an address that begins with wss://"),
    ({"APCA_API_BASE_URL": "https://me:pass@paper-api.alpaca.markets"}, "credentials have settings of their own"),
]


@pytest.mark.parametrize(("changes", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_makes_no_sense_is_refused_by_its_name(changes: dict[str, str], said: str):
    """One line that names the variable and the rule, and holds no secret."""
    with pytest.raises(ConfigError) as caught:
        read(PAIR | changes)

    assert said in str(caught.value)
    assert "apca-secret" not in str(caught.value)


def test_an_access_token_needs_no_pair():
    """It is sent as a bearer."""
    settings = found({"APCA_API_OAUTH_TOKEN": "t0ken"})

    assert settings.headers == {"Authorization": "Bearer t0ken"}
    assert "t0ken" not in repr(settings)


def test_settings_made_by_hand():
    """Texts become secrets; the same rules hold, by the settings' own names."""
    settings = AlpacaSettings(key="PKHAND", secret="by-hand", trading_url="http://127.0.0.1:8080/v2", mode=Mode.HTTP)

    assert settings.trading_url == "http://127.0.0.1:8080"
    assert settings.trading_stream_url == "ws://127.0.0.1:8080/stream"
    assert "by-hand" not in repr(settings) + str(settings)
    with pytest.raises(ConfigError, match="trades real money"):
        AlpacaSettings(key="k", secret="s", trading_url=LIVE_URL)
    with pytest.raises(ConfigError, match="environment: demo is neither paper nor live"):
        AlpacaSettings(key="k", secret="s", environment=Environment.DEMO)


def test_no_two_settings_share_a_name():
    """Else one variable would mean two things."""
    names: list[Any] = [name for names in config.NAMES.values() for name in names]

    assert len(names) == len(set(names))

"""The demo broker's settings."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from broker_core.clock import to_ns
from broker_core.errors import ConfigError
from broker_demo import config
from broker_demo.config import DemoSettings, read


def test_nothing_is_required():
    """An empty mapping gives the defaults; variables of others are none of its business."""
    assert read({}) == DemoSettings()
    assert read({"BROKER_DEMONSTRATION": "1", "PATH": "/bin", "BROKER_SYNC_ACCOUNT_INTERVAL": "3"}) == DemoSettings()


def test_every_setting_is_read():
    """Each variable becomes a typed value."""
    settings = read(
        {
            "BROKER_DEMO_SEED": "7",
            "BROKER_DEMO_CASH": "2500.50",
            "BROKER_DEMO_SPEED": "0.5",
            "BROKER_DEMO_CALENDAR": "XNYS",
            "BROKER_DEMO_SHORTING": "False",
            "BROKER_DEMO_SYMBOLS": "FOO, BAR/USD ,FOO",
            "BROKER_DEMO_STATE": "/tmp/account.json",  # noqa: S108  # only read
            "BROKER_DEMO_START": "2026-03-02T09:30:00-05:00",
        }
    )

    assert settings == DemoSettings(
        seed=7,
        cash=Decimal("2500.50"),
        speed=Fraction(1, 2),
        calendar="XNYS",
        shorting=False,
        symbols=("FOO", "BAR/USD"),
        state=Path("/tmp/account.json"),  # noqa: S108  # only read
        start_ns=to_ns(__import__("datetime").datetime.fromisoformat("2026-03-02T14:30:00Z")),
    )


def test_replay_and_its_symbol_are_read():
    """A replay names a file and the symbol its bars are of."""
    settings = read({"BROKER_DEMO_REPLAY": "bars.csv", "BROKER_DEMO_SYMBOL": "MINE"})

    assert (settings.replay, settings.symbol) == (Path("bars.csv"), "MINE")


def test_empty_value_is_no_value():
    """A variable set to nothing is as good as absent."""
    assert read({"BROKER_DEMO_SEED": "", "BROKER_DEMO_CASH": "  "}) == DemoSettings()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"BROKER_STATE_DIR": "/state"}, Path("/state/demo-account.json")),
        ({"BROKER_STATE_DIR": "/state", "BROKER_DEMO_STATE": "/mine.json"}, Path("/mine.json")),
        ({"BROKER_STATE_DIR": "/state", "BROKER_DEMO_STATE": "memory"}, None),
        ({"BROKER_DEMO_STATE": "memory"}, None),
        ({}, None),
    ],
)
def test_where_the_account_is_kept(environ, expected):
    """The demo's own file goes before the shared folder, and ``memory`` before both."""
    assert read(environ).state == expected


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("SEED", "-1", "is not a whole number"),
        ("SEED", "1.5", "is not a whole number"),
        ("SEED", "²", "is not a whole number"),
        ("CASH", "much", "is not a number"),
        ("CASH", "-5", "is not an amount"),
        ("CASH", "nan", "is not an amount"),
        ("CASH", "1.001", "at most two decimals"),
        ("SPEED", "0", "is not above zero"),
        ("SPEED", "fast", "is not a number"),
        ("SPEED", "1/0", "is not a number"),
        ("SPEED", "1e9", "is not above zero and at most 1000000"),
        ("SHORTING", "maybe", "is neither true nor false"),
        ("SYMBOLS", "A B", "is not a symbol"),
        ("START", "yesterday", "is not a moment like"),
        ("START", "2026-03-02T09:30:00", "has no time zone"),
    ],
)
def test_nonsense_is_an_error_that_names_key_value_and_rule(name, value, rule):
    """A value that makes no sense raises ConfigError with the variable, the value and the rule."""
    with pytest.raises(ConfigError) as caught:
        read({f"BROKER_DEMO_{name}": value})

    text = str(caught.value)
    assert text.startswith(f"BROKER_DEMO_{name}: {value!r}")
    assert rule in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"BROKER_DEMO_SEDE": "1"}, "BROKER_DEMO_SEDE is unknown; did you mean BROKER_DEMO_SEED?"),
        ({"BROKER_DEMO_COLOUR": "red"}, "BROKER_DEMO_COLOUR is unknown; known are BROKER_DEMO_SEED, "),
        ({"BROKER_DEMO_SYMBOL": "MINE"}, "BROKER_DEMO_SYMBOL: 'MINE' names the symbol of a replay"),
        ({"BROKER_DEMO_REPLAY": "a.csv", "BROKER_DEMO_SYMBOLS": "B"}, "BROKER_DEMO_SYMBOLS: has no place beside"),
        ({"BROKER_DEMO_REPLAY": "a.csv", "BROKER_DEMO_CALENDAR": "XNYS"}, "BROKER_DEMO_CALENDAR: has no place beside"),
    ],
)
def test_keys_that_do_not_fit_are_errors(environ, text):
    """An unknown key and keys that contradict each other raise ConfigError."""
    with pytest.raises(ConfigError) as caught:
        read(environ)

    assert str(caught.value).startswith(text)


def test_every_setting_is_documented():
    """The table in the module's docstring names every variable that is read."""
    for name in config._READERS:
        assert f"BROKER_DEMO_{name.upper()} " in config.__doc__

"""BROKER_DATABASE says where the records are kept."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from broker_core.errors import ConfigError
from broker_core.records import Location, database_location, locate
from broker_core.records.location import masked


@pytest.mark.parametrize(
    ("setting", "location"),
    [
        ("/var/lib/desk.sqlite3", Location("sqlite", "/var/lib/desk.sqlite3")),
        ("desk.sqlite3", Location("sqlite", str(Path("desk.sqlite3").absolute()))),
        (":memory:", Location("sqlite", ":memory:")),
        ("sqlite:///desk.sqlite3", Location("sqlite", str(Path("desk.sqlite3").absolute()))),
        ("sqlite:////var/lib/desk.sqlite3", Location("sqlite", "/var/lib/desk.sqlite3")),
        ("sqlite:///:memory:", Location("sqlite", ":memory:")),
        ("sqlite://", Location("sqlite", ":memory:")),
        ("sqlite:////d.db?synchronous=normal&timeout=0.5", Location("sqlite", "/d.db", synchronous="NORMAL", timeout=0.5)),
        ("postgresql://me@host/desk", Location("postgresql", "postgresql://me@host/desk")),
        (" postgres://me@host/desk ", Location("postgresql", "postgresql://me@host/desk")),
        ("off", None),
        ("OFF", None),
    ],
)
def test_each_form_of_the_setting(setting: str, location: Location | None) -> None:
    """A path, a URL of either kind, and ``off`` are all understood."""
    assert locate({"BROKER_DATABASE": setting}) == location


@pytest.mark.parametrize("environ", [{}, {"BROKER_DATABASE": ""}, {"BROKER_DATABASE": "  "}])
def test_the_default_is_the_users_own_folder(environ: dict[str, str]) -> None:
    """Without a setting the records are a file in the user's data folder."""
    expected = Path(platformdirs.user_data_dir("broker-core", appauthor=False)) / "broker.sqlite3"

    assert locate(environ) == Location("sqlite", str(expected))
    assert database_location(environ) == str(expected)


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with a tilde, in a URL too."""
    monkeypatch.setenv("HOME", "/home/ann")

    assert database_location({"BROKER_DATABASE": "~/desk.db"}) == "/home/ann/desk.db"
    assert database_location({"BROKER_DATABASE": "sqlite:///~/desk.db"}) == "/home/ann/desk.db"


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("mysql://host/desk", "not mysql://"),
        ("sqlite://desk.db", "write sqlite:///desk.db"),
        ("sqlite:///d.db?cache=shared", "cache is no option"),
        ("sqlite:///d.db?synchronous=off", "synchronous=off is not full or normal"),
        ("sqlite:///d.db?timeout=soon", "timeout=soon is not a number of seconds"),
        ("sqlite:///d.db?timeout=-1", "timeout=-1 is not"),
        ("sqlite:///d.db?timeout=nan", "timeout=nan is not"),
    ],
)
def test_a_setting_that_makes_no_sense(setting: str, complaint: str) -> None:
    """The error names the variable and what is wrong, in one line."""
    with pytest.raises(ConfigError, match=r"\ABROKER_DATABASE: .*\Z") as caught:
        locate({"BROKER_DATABASE": setting})

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [
        "postgresql://me:hunter2@host/desk",
        "postgresql://me:hunter2@with/slash@host/desk",
        "postgresql://me:with hunter2@host/desk",
        "postgresql://host/desk?user=me&password=hunter2&sslmode=require",
    ],
)
def test_no_password_is_shown(setting: str) -> None:
    """Neither the text for people nor the representation of a location holds its password."""
    location = locate({"BROKER_DATABASE": setting})

    assert "hunter2" not in database_location({"BROKER_DATABASE": setting})
    assert "hunter2" not in f"{location} {location!r}"
    assert database_location({"BROKER_DATABASE": setting}).startswith("postgresql://")


def test_masking_keeps_the_rest() -> None:
    """Only the password is hidden."""
    assert masked("postgresql://me:secret@host:5432/desk?sslmode=require") == "postgresql://me:***@host:5432/desk?sslmode=require"
    assert masked("redis://:secret@host/0") == "redis://:***@host/0"
    assert masked("/var/lib/desk.sqlite3") == "/var/lib/desk.sqlite3"


def test_off_is_said() -> None:
    """A host that keeps nothing is told so."""
    assert database_location({"BROKER_DATABASE": "Off"}) == "off"

"""Settings out of options, environment and file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core import config
from broker_core.config import KEYS, OrderSettings, Settings, SyncSettings, is_secret, load, variable, without_password
from broker_core.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broker.toml"


def named(file: Path) -> dict[str, str]:
    return {"BROKER_CONFIG": str(file)}


def test_nothing_said_gives_the_defaults():
    """An empty environment without a file gives the defaults that the classes state."""
    assert load({}) == Settings()


def test_environment_sets_every_kind_of_key():
    """Texts, lists, seconds and counts are read from variables."""
    settings = load(
        {
            "BROKER": "acme",
            "BROKER_DISABLE": "records, limits,",
            "BROKER_DATABASE": "x.sqlite3",
            "BROKER_SYNC_ACCOUNT_INTERVAL": "7.5",
            "BROKER_STREAM_QUEUE_SIZE": "12",
            "BROKER_MARKET_DATA_CACHE_SECONDS": "0",
        }
    )

    assert (settings.broker, settings.disable, settings.database) == ("acme", ("records", "limits"), "x.sqlite3")
    assert settings.sync == SyncSettings(account_interval=7.5)
    assert (settings.stream.queue_size, settings.market_data.cache_seconds) == (12, 0.0)


def test_file_sets_keys_and_is_remembered(file: Path):
    """A file named by the environment is read, its neighbours keep their defaults, and the settings know where they are from."""
    file.write_text('broker = "acme"\ndisable = ["records"]\n[orders]\nsend_deadline = 3\n')

    settings = load(named(file))

    assert (settings.broker, settings.disable, settings.file) == ("acme", ("records",), file)
    assert settings.orders == OrderSettings(send_deadline=3)


def test_options_outweigh_environment_and_environment_outweighs_file(file: Path):
    """Each source overrules the next for the keys it has, and only for these."""
    file.write_text('broker = "file"\ndatabase = "file"\nstate_dir = "file"\n')

    settings = load(named(file) | {"BROKER": "environ", "BROKER_DATABASE": "environ"}, {"broker": "option", "database": None})

    assert (settings.broker, settings.database, settings.state_dir) == ("option", "environ", "file")


def test_option_names_the_file(tmp_path: Path, file: Path):
    """The option ``config`` outweighs the variable of the same meaning."""
    file.write_text('broker = "option"\n')

    assert load({"BROKER_CONFIG": str(tmp_path / "absent.toml")}, {"config": file}).broker == "option"


def test_users_own_file_is_read_where_the_environment_names_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file in the user's configuration folder is found without being named; a mapping without a home has none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.platform", "linux")
    folder = tmp_path / "config" / "broker-core"
    folder.mkdir(parents=True)
    (folder / "broker.toml").write_text('broker = "mine"\n')

    assert load().broker == "mine"
    assert load({}).broker is None
    assert load(os.environ | {"BROKER_CONFIG": ""}).broker is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"BROKER_DATABSE": "x"}, ["BROKER_DATABSE", "unknown", "did you mean BROKER_DATABASE?"]),
        ({"BROKER_SYNC_ACOUNT_INTERVAL": "1"}, ["BROKER_SYNC_ACOUNT_INTERVAL", "did you mean BROKER_SYNC_ACCOUNT_INTERVAL?"]),
        ({"BROKER_DATABASE_URL": "x"}, ["BROKER_DATABASE_URL", "unknown"]),
        ({"BROKER_ZZZZZZ": "x"}, ["BROKER_ZZZZZZ", "known are BROKER, "]),
        ({"BROKER_SYNC_ORDERS_INTERVAL": "soon"}, ["BROKER_SYNC_ORDERS_INTERVAL", "'soon' is not a number"]),
        ({"BROKER_SYNC_ORDERS_INTERVAL": "0"}, ["BROKER_SYNC_ORDERS_INTERVAL", "above zero"]),
        ({"BROKER_SYNC_ORDERS_INTERVAL": "nan"}, ["above zero"]),
        ({"BROKER_STREAM_QUEUE_SIZE": "1.5"}, ["BROKER_STREAM_QUEUE_SIZE", "whole number"]),
        ({"BROKER_STREAM_QUEUE_SIZE": "inf"}, ["whole number"]),
        ({"BROKER_MARKET_DATA_CACHE_SECONDS": "-1"}, ["from zero up"]),
        ({"BROKER_CONFIG": "/nowhere/broker.toml"}, ["/nowhere/broker.toml", "cannot be read"]),
    ],
)
def test_environment_that_makes_no_sense_is_refused(environ: dict[str, str], words: list[str]):
    """An unknown variable or a senseless value is an error of one line that names the variable."""
    with pytest.raises(ConfigError) as caught:
        load(environ)

    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("brokr = 'x'", ["brokr is unknown", "did you mean broker?"]),
        ("[sync]\nacount_interval = 1", ["sync.acount_interval is unknown", "did you mean sync.account_interval?"]),
        ("[sync]\naccount_interval = true", ["sync.account_interval", "is not a number"]),
        ("[sync]\naccount_interval = 'x'", ["sync.account_interval", "'x' is not a number"]),
        ("sync = 3", ["sync", "is not a table"]),
        ("disable = 3", ["disable", "is not a list of names"]),
        ("disable = [3]", ["disable", "is not a list of names"]),
        ("[database]\nurl = 'x'", ["database", "is not a text"]),
        ("[market]\nx = 1", ["market is unknown"]),
        ("[demo.deep]\nx = 1", ["demo.deep", "is a table"]),
        ("broker = ", ["is not TOML", "end of document"]),
    ],
)
def test_file_that_makes_no_sense_is_refused(file: Path, text: str, words: list[str]):
    """An unknown key or a senseless value is an error of one line that names the file and the key."""
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(named(file))

    assert "\n" not in str(caught.value)
    for word in [str(file), *words]:
        assert word in str(caught.value)


def test_unknown_option_is_refused():
    """An option that is no key is an error that names it."""
    with pytest.raises(ConfigError, match=r"option sync\.acount_interval is unknown"):
        load({}, {"sync.acount_interval": 1})


def test_variables_of_plugins_pass():
    """A variable whose first word is no table of the core is left to the plugin of that name."""
    environ = {"BROKER_ACME_KEY": "k", "BROKER_TEST_X": "1", "ACME": "y"}

    assert load(environ).plugin_environ(environ) == environ


def test_plugin_finds_its_table_in_its_environ(file: Path):
    """A table that is not the core's becomes variables of the plugin, as text; the real environment outweighs them."""
    file.write_text('[my-demo]\nseed = 7\nfast = true\nsymbols = ["A", "B"]\nday = 2026-01-02\nspeed = 1.5\nname = "file"\n')
    environ = {**named(file), "BROKER_MY_DEMO_NAME": "environ"}

    merged = load(environ).plugin_environ(environ)

    assert {name.removeprefix("BROKER_MY_DEMO_"): merged[name] for name in merged if name.startswith("BROKER_MY_DEMO_")} == {
        "SEED": "7",
        "FAST": "true",
        "SYMBOLS": "A,B",
        "DAY": "2026-01-02",
        "SPEED": "1.5",
        "NAME": "environ",
    }


def test_plugins_share_the_database_that_an_option_named():
    """Database and state folder reach plugins from wherever they were set."""
    environ = {"BROKER_DATABASE": "environ", "PATH": "/bin"}

    merged = load(environ, {"database": "option", "state_dir": "/state"}).plugin_environ(environ)

    assert merged == {"BROKER_DATABASE": "option", "BROKER_STATE_DIR": "/state", "PATH": "/bin"}


def test_repr_keeps_secrets(file: Path):
    """Neither the password of a database nor the values of a plugin's table appear in the settings' text."""
    file.write_text('database = "postgresql://me:hunter2@host/db"\n[acme]\nsecret_key = "swordfish"\n')

    text = repr(load(named(file)))

    assert "hunter2" not in text
    assert "swordfish" not in text
    assert "postgresql://me:***@host/db" in text
    assert "secret_key" in text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:pw@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://host:5432/db", "postgresql://host:5432/db"),
        ("postgresql://me@host/db?password=pw&x=1", "postgresql://me@host/db?password=***&x=1"),
        ("host=h password=pw user=me", "host=h password=*** user=me"),
        ("host=h password = 'p w' user=me", "host=h password = *** user=me"),
        ("/home/me/broker.sqlite3", "/home/me/broker.sqlite3"),
        ("postgresql://me:p:w@/x@host/db", "postgresql://me:***@host/db"),
    ],
)
def test_password_of_an_address_is_masked(address: str, shown: str):
    """A database address is shown without its password and otherwise as it is."""
    assert without_password(address) == shown


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=3).filter(lambda text: text not in "postgresql://me:***@host/db")
)
def test_no_password_survives_masking(password: str):
    """Whatever the password, the shown address does not hold it."""
    assert without_password(f"postgresql://me:{password}@host/db") == "postgresql://me:***@host/db"


@pytest.mark.parametrize(("name", "secret"), [("APCA_API_SECRET_KEY", True), ("acme_token", True), ("PGPASSWORD", True), ("BROKER", False)])
def test_secret_names_are_known(name: str, secret: bool):
    """Names of keys, secrets, tokens and passwords are recognised in any case."""
    assert is_secret(name) is secret


def test_every_key_has_a_variable_of_its_own():
    """No two keys share a variable, and each can be set through it."""
    variables = [variable(key) for key in KEYS]
    values = dict.fromkeys(variables, "1")

    assert len(set(variables)) == len(KEYS)
    assert config.load(values).sync.positions_interval == 1.0

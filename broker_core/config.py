"""Settings: from options, the environment and one TOML file, in this order of weight.

The file is named by ``BROKER_CONFIG``, else it is ``broker.toml`` in the user's configuration folder. A key of a table is the variable
``BROKER_<TABLE>_<KEY>``::

    broker = "demo"             # BROKER, the one variable without a prefix
    disable = ["records"]       # BROKER_DISABLE=records

    [sync]
    account_interval = 30       # BROKER_SYNC_ACCOUNT_INTERVAL=30

    [demo]                      # not a table of the core: the plugin `demo` finds BROKER_DEMO_SEED=7 in its environ
    seed = 7

An unknown key of the core is an error that names the file or the variable; keys of a plugin's table are the plugin's to judge.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import date, time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from broker_core.errors import ConfigError

PREFIX = "BROKER_"
APPLICATION = "broker-core"
"""The name of the folders that belong to this program in the user's configuration and data."""

_FILE_VARIABLE = PREFIX + "CONFIG"
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD", re.IGNORECASE)
# Greedy on purpose: a password may hold unescaped marks, and hiding too much of an address is the lesser evil.
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@|((?:^|[?&\s])password\s*=\s*)('[^']*'|[^&\s]*)", re.IGNORECASE | re.DOTALL)


def is_secret(name: str) -> bool:
    """Whether the value of a variable or key of this name must never be shown."""
    return _SECRET.search(name) is not None


def without_password(address: str) -> str:
    """A database address fit to be shown: its password, if it holds one, is masked."""
    return _PASSWORD.sub(lambda found: f"{found[1]}:***@" if found[2] is None else f"{found[2]}***", address)


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TypeError("is not a text")
    return value


def _names(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise TypeError("is not a list of names")
    return tuple(name.strip() for name in names if name.strip())


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError("is not a number")
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a number") from None


def _seconds(value: object) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{value} is not a number of seconds above zero")
    return number


def _seconds_or_none_at_all(value: object) -> float:
    number = _number(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value} is not a number of seconds from zero up")
    return number


def _count(value: object) -> int:
    number = _number(value)
    if number < 1 or not number.is_integer():
        raise ValueError(f"{value} is not a whole number from one up")
    return int(number)


@attrs.frozen(kw_only=True)
class SyncSettings:
    """How often the account is read, in seconds."""

    account_interval: float = attrs.field(default=30.0, converter=_seconds)
    positions_interval: float = attrs.field(default=10.0, converter=_seconds)
    orders_interval: float = attrs.field(default=5.0, converter=_seconds)


@attrs.frozen(kw_only=True)
class OrderSettings:
    """How long an order may wait for others, in seconds."""

    veto_deadline: float = attrs.field(default=5.0, converter=_seconds)
    """For each plugin's veto; a veto that takes longer refuses the order."""
    send_deadline: float = attrs.field(default=30.0, converter=_seconds)
    """For the broker's answer; without one the order is in doubt."""


@attrs.frozen(kw_only=True)
class StreamSettings:
    """How much of a stream may wait for a slow consumer."""

    queue_size: int = attrs.field(default=1024, converter=_count)


@attrs.frozen(kw_only=True)
class MarketDataSettings:
    """How long an answer of the market data may be given again, in seconds; zero asks every time."""

    cache_seconds: float = attrs.field(default=60.0, converter=_seconds_or_none_at_all)


def _show_address(address: str | None) -> str:
    return repr(address and without_password(address))


def _show_keys(tables: Mapping[str, Mapping[str, str]]) -> str:
    return repr({table: sorted(keys) for table, keys in tables.items()})


@attrs.frozen(kw_only=True)
class Settings:
    """What a session may be told. ``load`` reads them; a host may as well make them itself."""

    broker: str | None = attrs.field(default=None, converter=_text)
    """The broker to use; None leaves the choice to what is configured."""
    disable: tuple[str, ...] = attrs.field(default=(), converter=_names)
    """Plugins that are not to be loaded, by name."""
    database: str | None = attrs.field(default=None, converter=_text, repr=_show_address)
    """Where the records go: a path or a URL; None is the default of the records plugin."""
    state_dir: str | None = attrs.field(default=None, converter=_text)
    """A folder in which plugins may keep what has to survive the process; None means that nothing has to."""
    sync: SyncSettings = SyncSettings()
    orders: OrderSettings = OrderSettings()
    stream: StreamSettings = StreamSettings()
    market_data: MarketDataSettings = MarketDataSettings()
    plugins: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict, repr=_show_keys)
    """The tables of the file that belong to plugins: each plugin's name, its keys in small letters, the values as text."""
    file: Path | None = None
    """The file that was read."""

    def plugin_environ(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """The mapping handed to plugins: ``environ``, below it their tables of the file, above it the settings that plugins share.

        Shared are ``BROKER_DATABASE`` and ``BROKER_STATE_DIR``, which options or the file may have set.
        """
        tables = {
            f"{PREFIX}{table}_{key}".upper().replace("-", "_"): value for table, keys in self.plugins.items() for key, value in keys.items()
        }
        shared = {f"{PREFIX}DATABASE": self.database, f"{PREFIX}STATE_DIR": self.state_dir}
        return MappingProxyType({**tables, **environ, **{name: value for name, value in shared.items() if value is not None}})


_TABLES: Mapping[str, type[attrs.AttrsInstance]] = MappingProxyType(
    {"sync": SyncSettings, "orders": OrderSettings, "stream": StreamSettings, "market_data": MarketDataSettings}
)
_FIELDS: Mapping[str, Any] = {
    **{name: getattr(attrs.fields(Settings), name) for name in ("broker", "disable", "database", "state_dir")},
    **{f"{table}.{field.name}": field for table, kind in _TABLES.items() for field in attrs.fields(kind)},
}
KEYS: tuple[str, ...] = tuple(_FIELDS)
"""Every key of the core; a key of a table is written ``table.key``."""
_RESERVED = frozenset(re.split(r"[._]", key)[0] for key in KEYS)
"""First words that cannot be a plugin's, so that a misspelt key of the core is never taken for a plugin's."""


def variable(key: str) -> str:
    """The environment variable of a key."""
    return "BROKER" if key == "broker" else PREFIX + key.replace(".", "_").upper()


def load(environ: Mapping[str, str] | None = None, options: Mapping[str, object] | None = None) -> Settings:
    """Read the settings out of ``options`` (by key; None counts as not given), ``environ`` and the file.

    ``environ`` is the process's own unless given. One that names no home folder has no file of the user's either, so a mapping made
    by hand is complete in itself. The option ``config`` and the variable ``BROKER_CONFIG`` name a file that has to exist; an empty
    text means no file at all. Raises ConfigError.
    """
    environ = os.environ if environ is None else environ
    given = {key: value for key, value in (options or {}).items() if value is not None}
    path = _find_file(environ, given.pop("config", None))
    content = {} if path is None else _read(path)
    tables = {
        name: content.pop(name) for name in list(content) if isinstance(content[name], dict) and name.partition("_")[0] not in _RESERVED
    }
    # The later one counts where several say something.
    settings = _settings(
        {
            **_checked(_flat(path, content), lambda key: f"{path}: {key}"),
            **_checked(_from_environ(environ), variable),
            **_checked(given, lambda key: f"option {key}"),
        }
    )
    plugins = {name: _plugin_table(f"{path}: {name}", table) for name, table in tables.items()}
    return attrs.evolve(settings, plugins=plugins, file=path)


def _settings(values: Mapping[str, Any]) -> Settings:
    own: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {name: {} for name in _TABLES}
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        (tables[table] if table else own)[name] = value
    return Settings(
        **own,
        sync=SyncSettings(**tables["sync"]),
        orders=OrderSettings(**tables["orders"]),
        stream=StreamSettings(**tables["stream"]),
        market_data=MarketDataSettings(**tables["market_data"]),
    )


def _checked(values: Mapping[str, object], shown: Callable[[str], str]) -> dict[str, Any]:
    """The values by key, each of its type. ``shown`` tells what to call a key in an error."""
    checked: dict[str, Any] = {}
    for key, value in values.items():
        field = _FIELDS.get(key)
        if field is None:
            raise ConfigError(f"{shown(key)} is unknown; {_advice(key, KEYS)}")
        try:
            checked[key] = field.converter(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{shown(key)}: {error}") from None
    return checked


def _advice(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.75)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _find_file(environ: Mapping[str, str], option: object) -> Path | None:
    named = environ.get(_FILE_VARIABLE) if option is None else str(option)
    if named is not None:
        return Path(named).expanduser() if named else None
    if not any(environ.get(name) for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME")):
        return None
    from platformdirs import user_config_path

    path = user_config_path(APPLICATION, appauthor=False) / "broker.toml"
    return path if path.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None


def _flat(path: Path | None, content: Mapping[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in content.items():
        if name not in _TABLES:
            flat[name] = value
        elif isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            raise ConfigError(f"{path}: {name}: is not a table; write [{name}] and its keys below")
    return flat


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    """The core's part of the environment; a variable ``BROKER_<NAME>_…`` of a table that is not the core's is a plugin's."""
    keys = {variable(key): key for key in KEYS}
    found: dict[str, object] = {}
    for name, value in environ.items():
        if name in keys:
            found[keys[name]] = value
        elif name.startswith(PREFIX) and name != _FILE_VARIABLE:
            word, _, rest = name.removeprefix(PREFIX).lower().partition("_")
            if not rest or word in _RESERVED:
                raise ConfigError(f"{name} is unknown; {_advice(name, keys)}")
    return found


def _plugin_table(where: str, table: Mapping[str, Any]) -> Mapping[str, str]:
    return MappingProxyType({key: _plain(f"{where}.{key}", value) for key, value in table.items()})


def _plain(where: str, value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case date() | time():
            return value.isoformat()
        case list():
            return ",".join(_plain(where, item) for item in value)
        case _:
            raise ConfigError(f"{where}: is a table; a plugin's settings are texts, numbers, true or false, times, and lists of them")

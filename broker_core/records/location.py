"""Where the records are kept: ``BROKER_DATABASE`` read into a value.

============================================  =========================================================
setting                                       meaning
============================================  =========================================================
not set                                       ``broker.sqlite3`` in the user's data folder
``/var/lib/desk.sqlite3``                     this file
``sqlite:///desk.sqlite3``                    this file; four slashes begin an absolute path
``sqlite:///:memory:``                        nothing outlives the session
``postgresql://user@host/name``               this database; everything after ``?`` is libpq's own
``off``                                       nothing is kept
============================================  =========================================================

A ``sqlite:`` URL takes ``synchronous`` (``full``, the default, survives a power cut; ``normal`` survives the death of the process, at
a fraction of the cost) and ``timeout``, the seconds to wait for another process's lock (5).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl

import attrs
import platformdirs

from broker_core.errors import ConfigError

VARIABLE = "BROKER_DATABASE"
OFF = "off"
MEMORY = ":memory:"

_FORMS = f"{VARIABLE}: use a path, sqlite:///path, postgresql://user@host/name or off"


@attrs.frozen
class Location:
    """One database. ``target`` is a path, ``:memory:``, or the whole URL of a PostgreSQL database, password included."""

    kind: Literal["sqlite", "postgresql"]
    target: str = attrs.field(repr=False)
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    timeout: float = 5.0
    """Seconds to wait for a lock that another process holds."""

    def __str__(self) -> str:
        """For people: the password masked."""
        return self.target if self.kind == "sqlite" else masked(self.target)

    @property
    def in_memory(self) -> bool:
        """Whether it ends with the connection."""
        return self.kind == "sqlite" and self.target == MEMORY


def masked(text: str) -> str:
    """The text with the passwords of the URLs in it hidden."""
    # Up to the last @: a password that was not escaped as it should be must not leak by it.
    text = re.sub(r"(://[^:/?#@\s]*):.*@", r"\1:***@", text)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", text)


def locate(environ: Mapping[str, str]) -> Location | None:
    """The database these settings name; None when it is switched off. Does no I/O. Raises ConfigError."""
    setting = environ.get(VARIABLE, "").strip()
    if not setting:
        return Location("sqlite", str(Path(platformdirs.user_data_dir("broker-core", appauthor=False)) / "broker.sqlite3"))
    if setting.lower() == OFF:
        return None
    scheme, separator, rest = setting.partition("://")
    if not separator:
        return Location("sqlite", _path(setting))
    if scheme in ("postgresql", "postgres"):
        return Location("postgresql", f"postgresql://{rest}")
    if scheme == "sqlite":
        return _sqlite(rest)
    raise ConfigError(f"{_FORMS}, not {scheme}://")


def database_location(environ: Mapping[str, str]) -> str:
    """Where the records are kept, for people: a path, a URL with its password masked, or ``off``. Raises ConfigError."""
    location = locate(environ)
    return OFF if location is None else str(location)


def _sqlite(rest: str) -> Location:
    address, _, query = rest.partition("?")
    if address and not address.startswith("/"):
        raise ConfigError(f"{VARIABLE}: sqlite://{address} has two slashes; write sqlite:///{address}")
    path = address[1:] or MEMORY
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full").upper()
    timeout = options.pop("timeout", "5")
    if options:
        raise ConfigError(f"{VARIABLE}: {', '.join(sorted(options))} is no option of a sqlite URL; there are synchronous and timeout")
    if synchronous not in ("FULL", "NORMAL"):
        raise ConfigError(f"{VARIABLE}: synchronous={synchronous.lower()} is not full or normal")
    return Location(
        "sqlite",
        _path(path),
        synchronous="FULL" if synchronous == "FULL" else "NORMAL",
        timeout=_seconds(timeout),
    )


def _path(text: str) -> str:
    # Absolute, because a host may change its folder while a session is open.
    return text if text == MEMORY else str(Path(text).expanduser().absolute())


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1_000_000:
        raise ConfigError(f"{VARIABLE}: timeout={text} is not a number of seconds")
    return seconds

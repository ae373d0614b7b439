"""The settings of the demo broker, out of a mapping such as the environment.

====================== ============================================================================================
BROKER_DEMO_SEED       Whole number that decides all prices and ids; chosen by chance where there is none.
BROKER_DEMO_CASH       What a new account begins with; 100000.
BROKER_DEMO_SPEED      How many seconds of the market pass in one second; 1.
BROKER_DEMO_CALENDAR   ``always`` open, or the trading hours of an exchange by its code, like ``XNYS``.
BROKER_DEMO_SYMBOLS    Further symbols to list, with commas between them.
BROKER_DEMO_REPLAY     File of bars whose prices are replayed, in place of invented ones.
BROKER_DEMO_SYMBOL     The symbol those bars are of, where the file does not say.
BROKER_DEMO_START      Moment at which the market's time begins; now, or at the first bar of a replay.
BROKER_DEMO_SHORTING   Whether more may be sold than is held; true.
BROKER_DEMO_STATE      File in which the account is kept, or ``memory``; ``demo-account.json`` in BROKER_STATE_DIR
                       where that is set, else memory.
====================== ============================================================================================
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from broker_core.clock import to_ns
from broker_core.errors import ConfigError

PREFIX = "BROKER_DEMO_"
ALWAYS = "always"
_MEMORY = "memory"
_STATE_DIR = "BROKER_STATE_DIR"
_FILE_NAME = "demo-account.json"
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@attrs.frozen(kw_only=True)
class DemoSettings:
    """What the demo broker may be told."""

    seed: int | None = None
    cash: Decimal = Decimal(100_000)
    speed: Fraction = Fraction(1)
    calendar: str = ALWAYS
    symbols: tuple[str, ...] = ()
    replay: Path | None = None
    symbol: str | None = None
    start_ns: int | None = None
    """Nanoseconds since the Unix epoch."""
    shorting: bool = True
    state: Path | None = None
    """None keeps the account in memory."""


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("is not a whole number from zero up")
    return int(text)


def _cash(text: str) -> Decimal:
    try:
        cash = Decimal(text)
    except ArithmeticError:
        raise ValueError("is not a number") from None
    if not cash.is_finite() or cash < 0 or cash > 10**12 or cash % Decimal("0.01"):
        raise ValueError("is not an amount from 0 to 1000000000000 with at most two decimals")
    return cash


def _speed(text: str) -> Fraction:
    try:
        speed = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError("is not a number") from None
    if not 0 < speed <= 1_000_000:
        raise ValueError("is not above zero and at most 1000000")
    return speed


def _symbol(text: str) -> str:
    if not text.isprintable() or " " in text or len(text) > 32:
        raise ValueError("is not a symbol of at most 32 printable characters without spaces")
    return text


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_symbol(name.strip()) for name in text.split(",") if name.strip()))


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a moment like 2026-03-02T14:30:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("has no time zone; write it like 2026-03-02T14:30:00Z")
    return to_ns(moment)


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError("is neither true nor false")
    return text.lower() in _TRUE


def _state(text: str) -> Path | None:
    return None if text == _MEMORY else Path(text).expanduser()


def _file(text: str) -> Path:
    return Path(text).expanduser()


_READERS: Mapping[str, Callable[[str], Any]] = {
    "seed": _seed,
    "cash": _cash,
    "speed": _speed,
    "calendar": str,
    "symbols": _symbols,
    "replay": _file,
    "symbol": _symbol,
    "start": _moment,
    "shorting": _switch,
    "state": _state,
}


def read(environ: Mapping[str, str]) -> DemoSettings:
    """Read the settings; empty values count as not given. Raises ConfigError naming the variable, its value and the rule."""
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in _READERS:
            raise ConfigError(f"{variable} is unknown; {_advice(name)}")
        if not text.strip():
            continue
        try:
            found[name] = _READERS[name](text.strip())
        except ValueError as error:
            raise ConfigError(f"{variable}: {text!r} {error}") from None
    if "state" not in found and environ.get(_STATE_DIR):
        found["state"] = Path(environ[_STATE_DIR]).expanduser() / _FILE_NAME
    if "start" in found:
        found["start_ns"] = found.pop("start")
    _check_replay(found)
    return DemoSettings(**found)


def _check_replay(found: Mapping[str, object]) -> None:
    if "symbol" in found and "replay" not in found:
        raise ConfigError(f"{PREFIX}SYMBOL: {found['symbol']!r} names the symbol of a replay; give its file in {PREFIX}REPLAY")
    for name in ("symbols", "calendar"):
        if name in found and "replay" in found:
            raise ConfigError(f"{PREFIX}{name.upper()}: has no place beside {PREFIX}REPLAY: a replay has the symbols and hours of its file")


def _advice(name: str) -> str:
    near = difflib.get_close_matches(name, _READERS, 1)
    known = [PREFIX + other.upper() for other in near or _READERS]
    return f"did you mean {known[0]}?" if near else f"known are {', '.join(known)}"

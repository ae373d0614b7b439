"""Two faces of one output: tables for people, and one line of JSON an item for programs.

Rows and items are written to standard output and nothing else is; notes, progress and errors go to standard error.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from rich.console import Console

Item = Mapping[str, Any]

_STATED_PLACES = 9
"""More decimals than this come out of a division, such as an average."""


def plain(value: object) -> Any:
    """A value as JSON has it: exact numbers as text, moments in ISO 8601, what is not a number as null."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(plain(key)): plain(inner) for key, inner in value.items()}
        case frozenset() | set():
            return sorted(map(plain, value))
        case Sequence():
            return [plain(inner) for inner in value]
        case _:
            kind = type(value)
            return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(kind)} if attrs.has(kind) else str(value)


def cell(value: object) -> str:
    """A value as a table has it: nothing for None, numbers with separators and without needless zeros, moments to the second."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal() | float() | int() if not isinstance(value, Enum):
            return number(value)
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
        case frozenset() | set() | list() | tuple():
            return ", ".join(cell(inner) for inner in (value if isinstance(value, (list, tuple)) else sorted(value)))
        case _:
            return str(plain(value))


def number(value: Decimal | float) -> str:
    """A number for people: thousands apart, at least two places where there are any, six of what no account states exactly."""
    if not math.isfinite(value):
        return str(value)
    is_stated = isinstance(value, Decimal) and int(value.as_tuple().exponent) >= -_STATED_PLACES
    text = f"{value:,f}" if is_stated or isinstance(value, int) else f"{value:,.6f}"
    whole, point, places = text.partition(".")
    places = places.rstrip("0")
    return f"{whole}.{places:0<2}" if point and places else whole


class Output:
    """Where a command writes. ``as_json`` is what ``--json`` says; without it standard output is asked whether a person reads it."""

    def __init__(self, as_json: bool = False) -> None:
        self.is_terminal = sys.stdout.isatty()
        self.as_json = as_json or not self.is_terminal

    def console(self) -> Console:
        """A rich console on standard output."""
        from rich.console import Console

        return Console(file=sys.stdout, highlight=False)

    def item(self, item: Item) -> None:
        """Write one line of JSON, at once."""
        sys.stdout.write(json.dumps(plain(item), ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()

    def line(self, text: str) -> None:
        """Write one line for people, at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def items(self, items: Sequence[Item], *, title: str = "", empty: str = "nothing to show", columns: Sequence[str] = ()) -> None:
        """Write items of one kind: a line of JSON each, or one table with these columns (by default the keys of the first item)."""
        if self.as_json:
            for item in items:
                self.item(item)
        elif items:
            self.console().print(table(items, title=title, columns=columns))
        else:
            self.line(empty)

    def facts(self, item: Item, *, title: str = "") -> None:
        """Write one item: a line of JSON, or a table of its names and values."""
        if self.as_json:
            self.item(item)
        else:
            shown = [
                {"name": name.replace("_", " "), "value": value} for name, value in item.items() if name != "kind" and value is not None
            ]
            self.console().print(table(shown, title=title, header=False))

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show on standard error what is being waited for, where a person looks at it, and take it away at the end."""
        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text):
            yield

    def note(self, text: str) -> None:
        """Say something to the person at the terminal that is no part of the result."""
        sys.stderr.write(f"broker: {text}\n")
        sys.stderr.flush()


def table(items: Sequence[Item], *, title: str = "", columns: Sequence[str] = (), header: bool = True) -> Any:
    """A rich table of items, numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = list(columns or items[0])
    grid = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD if header else None, show_header=header, pad_edge=False)
    for name in names:
        numeric = any(isinstance(item.get(name), (Decimal, float, int)) for item in items)
        grid.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for item in items:
        grid.add_row(*(Text(cell(item.get(name)), style=_style(name, item.get(name))) for name in names))
    return grid


_STATES = {"problem": "red", "broken": "red", "warning": "yellow", "rejected": "red", "failed": "red", "filled": "green"}


def _style(name: str, value: object) -> str:
    if name == "state":
        return _STATES.get(str(value), "")
    if name in ("unrealized_pnl", "change") and isinstance(value, (Decimal, float)) and value:
        return "green" if value > 0 else "red"
    return "bold" if name == "name" else ""

"""What commands write: items for programs, tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker_core.cli.output import Output, cell, number, plain
from broker_core.orders import State


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], StringIO]:
    """Put a terminal or a pipe in the place of standard output."""

    def replace(is_terminal: bool) -> StringIO:
        stream = Terminal() if is_terminal else StringIO()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", "120")
        return stream

    return replace


@attrs.frozen
class Pair:
    left: Decimal
    right: tuple[float, ...]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("185.500"), "185.500"),
        (Decimal("1E+3"), "1000"),
        (State.FILLED, "filled"),
        (datetime(2026, 3, 2, 15, tzinfo=UTC), "2026-03-02T15:00:00+00:00"),
        (date(2026, 3, 2), "2026-03-02"),
        (float("nan"), None),
        (1.5, 1.5),
        (True, True),
        (frozenset({State.FILLED, State.CANCELED}), ["canceled", "filled"]),
        (Pair(Decimal("0.1"), (1.0, float("inf"))), {"left": "0.1", "right": [1.0, None]}),
        ({State.FILLED: Decimal(1)}, {"filled": "1"}),
        (ValueError("x"), "x"),
    ],
)
def test_values_become_plain(value: object, expected: object):
    """Every kind of value has a form that JSON knows, exact numbers as their text."""
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_decimal_is_lost(value: Decimal):
    """The text of an exact number is that number, without an exponent."""
    assert Decimal(plain(value)) == value
    assert "E" not in plain(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal(100000), "100,000"),
        (Decimal("185.5"), "185.50"),
        (Decimal("185.500000"), "185.50"),
        (Decimal("0.123456789"), "0.123456789"),
        (Decimal(100) / 3, "33.333333"),
        (Decimal(2) / 3 + 1000, "1,000.666667"),
        (185.1234567, "185.123457"),
        (12.0, "12"),
        (-3, "-3"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_shown_with_what_matters(value: Decimal | float, shown: str):
    """A number for people has separators, at least two places where it has any, and no needless zeros."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (State.PARTIAL_FILL, "partial_fill"),
        (datetime(2026, 3, 2, 15, 0, 1, 999, tzinfo=UTC), "2026-03-02 15:00:01Z"),
        (["b", "a"], "b, a"),
        (frozenset({"b", "a"}), "a, b"),
    ],
)
def test_cells_are_for_people(value: object, shown: str):
    """A table's cell holds a person's spelling of a value."""
    assert cell(value) == shown


def test_pipe_gets_one_line_of_json_an_item(written: Callable[[bool], StringIO]):
    """Where nobody watches, items are lines of JSON without being asked for."""
    stream = written(False)
    Output().items([{"kind": "a", "n": Decimal("1.10")}, {"kind": "b", "text": "naïve\n"}])

    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [{"kind": "a", "n": "1.10"}, {"kind": "b", "text": "naïve\n"}]


def test_terminal_gets_a_table(written: Callable[[bool], StringIO]):
    """On a terminal the same items are one table of the chosen columns, under its title."""
    stream = written(True)
    Output().items([{"kind": "a", "qty": Decimal(10), "by": "me"}], title="things", columns=("qty", "by"))

    text = stream.getvalue()
    assert "things" in text
    assert "qty" in text
    assert "me" in text
    assert "kind" not in text
    assert "{" not in text


def test_terminal_gets_json_when_asked(written: Callable[[bool], StringIO]):
    """``--json`` counts on a terminal as well."""
    stream = written(True)
    Output(as_json=True).facts({"kind": "account", "cash": Decimal(5)})

    assert json.loads(stream.getvalue()) == {"kind": "account", "cash": "5"}


def test_terminal_is_told_of_nothing(written: Callable[[bool], StringIO]):
    """A list without items says so to people, and nothing to programs."""
    terminal = written(True)
    Output().items([], empty="no positions")
    pipe = written(False)
    Output().items([], empty="no positions")

    assert (terminal.getvalue(), pipe.getvalue()) == ("no positions\n", "")


def test_facts_leave_out_what_is_unknown(written: Callable[[bool], StringIO]):
    """A table of facts has no row for None, and shows markup-like text as it is."""
    stream = written(True)
    Output().facts({"a_name": "[red]x[/red]", "nothing": None})

    assert "a name" in stream.getvalue()
    assert "[red]x[/red]" in stream.getvalue()
    assert "nothing" not in stream.getvalue()


def test_notes_go_to_standard_error(written: Callable[[bool], StringIO], capsys: pytest.CaptureFixture[str]):
    """A note for the person never mixes with the result."""
    stream = written(False)
    Output().note("careful")

    assert (stream.getvalue(), capsys.readouterr().err) == ("", "broker: careful\n")

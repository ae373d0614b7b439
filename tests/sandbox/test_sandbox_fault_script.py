"""Scripts of faults: what may be written, what is said of the rest, and how often a fault strikes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_core.clock import StillClock
from broker_core.errors import ConfigError
from broker_demo.sandbox.faults import script
from broker_demo.sandbox.faults.plan import Fault, Faults, described
from broker_demo.sandbox.faults.script import read_fault, read_faults, read_script
from broker_demo.sandbox.faults.terms import Channel, Kind, Point, Terms, When


def refused(text: str) -> Any:
    """Expect a ConfigError of one line that begins so."""
    return pytest.raises(ConfigError, check=lambda error: str(error).startswith(text) and "\n" not in str(error))


def test_the_example_of_the_documentation_is_read(tmp_path: Path):
    """What stands in the module's own words is a script, in TOML and in JSON alike."""
    lines = inspect.getdoc(script).partition("::\n")[2].partition("\nIn JSON")[0]
    toml = tmp_path / "faults.toml"
    toml.write_text(inspect.cleandoc(lines))

    found = read_script(toml)

    assert found == [
        Terms(kind=Kind.RESET, when=When.AFTER, method="POST", path="/v2/orders", every=3),
        Terms(kind=Kind.DROP, socket=Channel.TRADING, after=10, count=1),
    ]
    told = {
        "fault": [
            {"kind": "reset", "when": "after", "method": "POST", "path": "/v2/orders", "every": 3},
            {"kind": "drop", "socket": "trading", "after": 10, "count": 1},
        ]
    }
    as_json = tmp_path / "faults.json"
    as_json.write_text(json.dumps(told))
    assert read_script(as_json) == found


def test_every_kind_and_every_term_is_documented():
    """Whoever reads the module's words knows all that may be written."""
    words = inspect.getdoc(script)

    assert [kind for kind in Kind if f"\n``{kind}``" not in words] == []
    assert [name for name in script._READERS if name != "kind" and f"``{name}``" not in words] == []


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.toml", "[[fault]\n", "the script of faults is not TOML: "),
        ("a.toml", "\ufeffx", "the script of faults is not TOML: "),
        ("a.json", "[[fault]]", "the script of faults is not JSON: "),
        ("a.toml", f"x = {'9' * 5000}", "the script of faults is not TOML: "),
        ("a.json", "7", "the script of faults is no table; write one [[fault]] for each"),
        ("a.toml", "faults = []", "'faults' is unknown; did you mean fault? Known: fault"),
        ("a.toml", "[fault]\nkind = 'error'", "fault is no list; write one [[fault]] for each"),
        ("a.json", '{"fault": [{"kind": "error"}, 3]}', "fault 2: it is no table of terms"),
        ("a.toml", "[[fault]]\nstatus = 500", "fault 1: kind is missing; the known ones are latency, rate_limit, "),
        ("a.toml", "[[fault]]\nkind = 'latencies'", "fault 1: kind: 'latencies' is unknown; did you mean latency? Known: latency, "),
        (
            "a.toml",
            "[[fault]]\nkind = 'error'\nstatuss = 1",
            "fault 1: error: 'statuss' is unknown; did you mean status? Known: after, ",
        ),
        ("a.toml", "[[fault]]\nkind = 'reset'\nstatus = 500", "fault 1: reset: 'status' is unknown; "),
        ("a.toml", "[[fault]]\nkind = 'error'\nsymbol = 'X'", "fault 1: error: 'symbol' is unknown; "),
        ("a.toml", "[[fault]]\nkind = 'lose'\npath = '/x'", "fault 1: lose: 'path' is unknown; "),
        ("a.toml", "[[fault]]\nkind = 'duplicate'\nsocket = 'data'\npath = '/x'", "fault 1: duplicate: 'path' is unknown; "),
        ("a.toml", "[[fault]]\nkind = 'drop'\nseconds = 0", "fault 1: seconds: drop strikes again and again; it needs more than 0"),
        ("a.toml", "[[fault]]\nkind = 'drop'\nseconds = 1\nevent = 'fill'", "fault 1: drop: 'event' is unknown; "),
        ("a.toml", "[[fault]]\nkind = 'html'\nwhen = 'during'", "fault 1: when: html lies before or after the effect, not during it"),
        ("a.toml", "[[fault]]\nkind = 'error'\nstatus = 200", "fault 1: status: 200 is not a whole number from 400 to 599"),
        ("a.toml", "[[fault]]\nkind = 'error'\ncount = 0", "fault 1: count: 0 is not a whole number from 1 to 1000000"),
        ("a.toml", "[[fault]]\nkind = 'error'\nevery = true", "fault 1: every: True is not a whole number from 1 to 1000000"),
        ("a.toml", "[[fault]]\nkind = 'error'\nprobability = 0", "fault 1: probability: 0 is not a number above 0 and up to 1"),
        ("a.toml", "[[fault]]\nkind = 'latency'\nseconds = -1", "fault 1: seconds: -1 is not a number of seconds from 0 to 1000000"),
        ("a.toml", "[[fault]]\nkind = 'latency'\nseconds = nan", "fault 1: seconds: nan is not a number of seconds from 0 to 1000000"),
        (
            "a.toml",
            "[[fault]]\nkind = 'rate_limit'\nretry_after = \"a\\nb\"",
            "fault 1: retry_after: 'a\\nb' is not a text in one line",
        ),
        ("a.toml", "[[fault]]\nkind = 'extra_field'\nvalue = 18446744073709551616", "fault 1: value: 18446744073709551616 cannot be"),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_place(tmp_path: Path, name: str, content: str, text: str):
    """One line that names the file, which fault, which term, and what is known instead."""
    path = tmp_path / name
    path.write_text(content)

    with refused(f"{path}: {text}"):
        read_script(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    """The reason is the system's."""
    with refused(f"{tmp_path / 'no.toml'}: the script of faults cannot be read: No such file"):
        read_script(tmp_path / "no.toml")


_SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=4)
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3))


def read_or_refused(told: dict[str, Any]) -> Terms | str:
    """The fault, or why it is none."""
    try:
        return read_fault(told, "here")
    except ConfigError as error:
        return str(error)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(Kind)), st.dictionaries(st.sampled_from(sorted(script._READERS)), _ANYTHING, max_size=3))
def test_whatever_is_written_is_a_fault_or_one_line(kind: Kind, told: dict[str, Any]):
    """No value of any term does anything else, and what is taken can be told again as JSON."""
    found = read_or_refused({**told, "kind": kind})

    if isinstance(found, Terms):
        msgspec.json.encode(described(Faults().add(found)))
        msgspec.msgpack.encode(found.value)
    else:
        assert found.startswith("here: ")
        assert "\n" not in found


@given(
    after=st.integers(0, 5),
    every=st.integers(1, 4),
    count=st.none() | st.integers(1, 4),
)
@settings(max_examples=50, deadline=None)
def test_a_fault_strikes_as_often_as_it_says(after: int, every: int, count: int | None):
    """It skips some, strikes each so-manieth of the rest, and stops after its count."""
    faults = Faults([Terms(kind=Kind.ERROR, after=after, every=every, count=count)])

    struck = [number for number in range(1, 31) if list(faults.of_request("GET", "/"))]

    assert struck == list(range(after + every, 31, every))[:count]
    assert [fault.struck for fault in faults] == [len(struck)]
    assert bool(faults.requests) is (count is None or len(struck) < count)


def test_chance_repeats_with_its_seed():
    """The same seed strikes the same ones, another seed others, and about as many as the probability says."""

    def run(seed: int) -> list[bool]:
        faults = Faults([Terms(kind=Kind.ERROR, probability=0.3, seed=seed)])
        return [bool(list(faults.of_request("GET", "/"))) for _ in range(1000)]

    assert run(1) == run(1) != run(2)
    assert 250 < sum(run(1)) < 350


def test_jitter_stays_within_its_bounds():
    """A latency is never less than its seconds, and never more than its jitter on top."""
    fault: Fault = Faults().add(Terms(kind=Kind.LATENCY, seconds=2.0, jitter=0.5))

    delays = [fault.delay for _ in range(200)]

    assert 2 <= min(delays) < 2.1 < 2.4 < max(delays) <= 2.5


async def test_a_fault_is_over_by_the_clock():
    """From that moment it strikes no more, and it is gone."""
    clock = StillClock()
    faults = Faults([Terms(kind=Kind.ERROR, lasts=2.0)], clock=clock)

    await clock.advance(1)
    assert len(list(faults.of_request("GET", "/"))) == 1
    await clock.advance(1)

    assert list(faults.of_request("GET", "/")) == []
    assert faults.requests == ()
    assert list(faults) == []


def test_each_fault_lies_at_one_point():
    """A kind that is known at both lies at messages where a socket, an event or a symbol is named."""
    told: list[dict[str, Any]] = [
        {"kind": "duplicate"},
        {"kind": "duplicate", "symbol": "X"},
        {"kind": "drop"},
        {"kind": "drop", "seconds": 1},
        {"kind": "bust", "symbol": "X"},
    ]

    points = [terms.point for terms in read_faults({"fault": told}, "here")]

    assert points == [Point.REQUEST, Point.MESSAGE, Point.MESSAGE, Point.TIME, Point.FILL]

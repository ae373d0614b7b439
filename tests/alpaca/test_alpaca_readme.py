"""What the README says of Alpaca is so."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from broker_alpaca.config import DATA_URL, NAMES, PAPER_URL, PREFIX, STREAM_URL, AlpacaSettings, read
from broker_alpaca.wire.call import Call
from broker_core.cli.app import broker

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## Alpaca\n")[2].partition("\n## ")[0]
SENT = "session.client.send"


def code(language: str) -> str:
    """The only block of code in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    return str(found)


def sent() -> list[tuple[str, dict[str, Any]]]:
    """The argument of each ``session.client.send(…)`` in the example, and what its imports bring."""
    tree = ast.parse(code("python"))
    names: dict[str, Any] = {}
    for line in tree.body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            exec(ast.unparse(line), names)  # noqa: S102  # the README's own imports
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == SENT]
    return [(ast.unparse(call.args[0]), names) for call in calls]


@pytest.mark.parametrize("text", [text for text, _ in sent()])
def test_every_call_of_the_example_can_be_made(text: str):
    """What the example sends is a call with a path, and a question: the example changes nothing."""
    names = dict(sent())[text]
    call = eval(text, names)  # noqa: S307  # the README's own words

    assert isinstance(call, Call)
    assert call.is_read
    assert call.path.startswith("/v")


def test_the_example_sends_what_it_shows():
    """No line of it was overlooked here."""
    assert len(sent()) == code("python").count(f"await {SENT}(") > 0


ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in SECTION.splitlines()
    if line.startswith("| `") and not line.startswith("|---")
]
SETTINGS = {setting: (row, place) for row in ROWS for place, setting in enumerate(re.findall(r"`(\w+)`", row[0]))}


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_of_the_table_is_one(setting: str):
    """It is read under this key of the file, and under the other names that stand beside it."""
    row, _ = SETTINGS[setting]
    in_row = [other for other, (its, _) in SETTINGS.items() if its is row]
    # The environment is also told by a yes or a no, which is a setting of its own.
    known = {name for other in in_row for name in (*NAMES[other], *(NAMES["paper"] if other == "environment" else ()))}

    assert NAMES[setting][0] == f"{PREFIX}{setting.upper()}"
    assert set(re.findall(r"`(\w+)`", row[1])) <= known


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_default_of_the_table_is_the_settings(setting: str):
    """What nobody sets has the value that the table states, also where the environment brings nothing but the keys."""
    row, place = SETTINGS[setting]
    given = {"key": "", "secret": ""}
    settings = AlpacaSettings(**given)
    found = read({NAMES["key"][0]: "PK", NAMES["secret"][0]: "s"})
    stated = [text.strip("` ") for text in row[2].split(",")]
    default = getattr(settings, setting)

    if setting in given:
        assert stated == [""]
        assert not default
        return
    assert getattr(found, setting) == default
    if stated == ["Alpaca's"]:
        assert default == {"trading_url": PAPER_URL, "data_url": DATA_URL, "stream_url": STREAM_URL}[setting]
    elif stated == [""]:
        assert default is None
    elif isinstance(default, float):
        assert default == float(stated[0])
    else:
        assert default == stated[place]


def test_the_table_names_every_setting_that_there_is():
    """All but the address of the trading socket, which follows from the trading address, and the other word for the environment."""
    fields = {field.name for field in attrs.fields(AlpacaSettings)} - {"origins"}

    assert SETTINGS.keys() == fields - {"trading_stream_url"}
    assert NAMES.keys() == fields | {"paper"}


COMMANDS = [line.partition(" #")[0].strip() for line in code("bash").splitlines() if line.startswith("broker ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_takes_its_options(line: str):
    """The commands that the section shows exist, with the options that it gives them."""
    name, *arguments = shlex.split(line)[1:]
    with click.Context(broker) as context:
        command = broker.get_command(context, name)
        assert command is not None
        with command.make_context(name, arguments, parent=context) as made:
            assert made.command.name == name

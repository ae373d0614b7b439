"""Commands that plugins bring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = "import click\n@click.command(short_help='Do tricks.')\ndef tricks():\n    click.echo('done')\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed distribution whose four commands are good, of no package, no command, and of a name that is taken."""
    (tmp_path / "acrobat.py").write_text(GOOD + "nothing = 7\n@click.command()\ndef orders():\n    click.echo('mine')\n")
    folder = tmp_path / "acrobat-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acrobat\nVersion: 1.0\n")
    lines = ["tricks = acrobat:tricks", "gone = nowhere:gone", "odd = acrobat:nothing", "orders = acrobat:orders"]
    (folder / "entry_points.txt").write_text("\n".join(["[broker_core.commands]", *lines]))
    return tmp_path


def broker(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site), str(Path(__file__).parents[2])])
    command = [sys.executable, "-m", "broker_core.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, cwd=site, check=False)


def test_help_lists_plugin_commands_and_names_those_that_cannot_be_loaded(site: Path):
    """A plugin's command stands in the table with its line of help; a broken one with the reason, and it takes nothing else along."""
    page = " ".join(broker(site, "--help").stdout.split())

    assert "tricks Do tricks." in page
    assert "gone command 'gone' of nowhere:gone cannot be loaded: ModuleNotFoundError: No module named 'nowhere'" in page
    assert "orders List, explain, submit and cancel orders." in page


@pytest.mark.parametrize(
    ("name", "code", "out", "error"),
    [
        ("tricks", 0, "done\n", ""),
        ("gone", 1, "", "broker: error: command 'gone' of nowhere:gone cannot be loaded: ModuleNotFoundError: No module named 'nowhere'\n"),
        ("odd", 1, "", "broker: error: command 'odd': acrobat:nothing is a int, not a click command\n"),
    ],
)
def test_plugin_commands_run_or_say_why_not(site: Path, name: str, code: int, out: str, error: str):
    """A plugin's command runs like any other, and ends in one line where it cannot be loaded."""
    done = broker(site, name)

    assert (done.returncode, done.stdout, done.stderr) == (code, out, error)

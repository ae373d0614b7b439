"""A broker of somebody else keeps the contract: the example of the author's guide, run as it stands.

The module's own text is the example's, so that pytest collects what its author would have it collect.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from textwrap import dedent

import broker_tidewater
import pytest

import broker_core
from broker_core import AuthError, NotConfigured
from broker_core.config import Settings
from broker_core.testing import contract

(_example,) = re.findall(r"complete module of tests::\n\n(.*?)\n\n\*\*", contract.__doc__, re.DOTALL)
exec(compile(dedent(_example), __file__, "exec"), globals())  # noqa: S102  # the text is the package's own


def test_the_example_takes_all_suites():
    """Nothing that the package offers is left out of what the guide shows."""
    assert {name for name in contract.__all__ if name.startswith("Test")} <= set(globals())
    assert issubclass(globals()["TidewaterSubject"], contract.Subject)


def test_the_guide_names_every_suite():
    """What can be imported alone is listed."""
    listed = set(re.findall(r"``(Test\w+)``", contract.__doc__))
    assert listed == {name for name in contract.__all__ if name.startswith("Test")}


async def test_the_sample_is_a_plugin_as_it_is_installed():
    """Its module answers the hooks: an account for a key, nothing without one, an error for a wrong one."""
    options = {"plugins": [broker_tidewater], "settings": Settings(disable=("records",))}
    async with broker_core.connect("tidewater", environ={"TIDEWATER_KEY": "tw-1"}, **options) as session:
        assert session.connection.account_id == "TW-1"
    with pytest.raises(NotConfigured):
        await broker_core.connect("tidewater", environ={}, **options)
    with pytest.raises(AuthError, match="TIDEWATER_KEY"):
        await broker_core.connect("tidewater", environ={"TIDEWATER_KEY": "herring"}, **options)


def test_the_sample_is_shaped_like_a_distribution():
    """Its project names the entry point under which the plugin is found."""
    project = tomllib.loads(Path(broker_tidewater.__file__).with_name("pyproject.toml").read_text())["project"]
    assert project["entry-points"]["broker_core"] == {broker_tidewater.Client.name: broker_tidewater.__name__}

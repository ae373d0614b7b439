"""A broker of somebody else keeps the contract: the example of the author's guide, run as it stands.

The module's own text is the example's, so that pytest collects what its author would have it collect.
"""

from __future__ import annotations

import re
from textwrap import dedent

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

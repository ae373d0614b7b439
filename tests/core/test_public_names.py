"""What `import broker_core` offers."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import broker_core


def declared() -> dict[str, str]:
    """The names that type checkers see, each with its module."""
    tree = ast.parse(Path(str(broker_core.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return {alias.name: str(node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_type_checkers_and_programs_see_the_same_names():
    """The two lists of the package are one list."""
    assert declared() == broker_core._HOME_OF
    assert sorted(declared()) == broker_core.__all__ == dir(broker_core)


@pytest.mark.parametrize("name", sorted(declared()))
def test_every_public_name_is_there(name: str):
    """Each name is the object of its home module, and documented."""
    value = getattr(broker_core, name)

    assert value is getattr(import_module(declared()[name]), name)
    assert not isinstance(value, type) or value.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error():
    """A misspelling is told as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        broker_core.conect  # noqa: B018  # looking is the test

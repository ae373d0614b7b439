"""A text that must not be seen: it hides itself wherever a text may end up by accident."""

from __future__ import annotations

from typing import NoReturn

MASK = "***"
"""What is shown instead."""


class Secret:
    """A password, key or token. ``str``, ``repr``, format and f-strings show ``***``; ``reveal()`` gives the text.

    It compares equal to a secret of the same text, is never equal to a text, and can neither be pickled nor written as JSON.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where it is sent, and nowhere else."""
        return self._text

    def mask(self, text: str) -> str:
        """The same text with this secret, where it occurs, hidden."""
        return text.replace(self._text, MASK) if self._text else text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __format__(self, specification: str) -> str:
        return format(MASK, specification)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied into a file; reveal() it where it is needed")

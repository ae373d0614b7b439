"""How the demo exchange says no: in Alpaca's words, so that a host meets the same refusals as at a real broker."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

from broker_core.errors import DuplicateOrder, RequestRefused

BAD_FIELD = 40010001
FORBIDDEN = 40310000
NOT_FOUND = 40410000
BROKEN_RULE = 42210000

Detail: TypeAlias = Decimal | str | Sequence[str]
"""A figure behind a refusal."""


def plain(value: Decimal) -> str:
    """A decimal as the broker writes it: no exponent, no needless zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


class Refusal(RequestRefused):
    """A refusal with the broker's own ``message`` and the figures behind it as ``details``; the text shows both."""

    def __init__(self, status: int, code: int, message: str, **details: Detail) -> None:
        self.message = message
        self.details = {name: plain(value) if isinstance(value, Decimal) else value for name, value in details.items()}
        shown = ", ".join(f"{name}: {value if isinstance(value, str) else ' '.join(value)}" for name, value in self.details.items())
        super().__init__(f"{message} ({shown})" if shown else message, status=status, code=code)


def bad_field(message: str) -> Refusal:
    """A field of the request makes no sense to the broker."""
    return Refusal(422, BAD_FIELD, message)


def broken_rule(message: str, **details: Detail) -> Refusal:
    """The request makes sense and breaks a rule of trading."""
    return Refusal(422, BROKEN_RULE, message, **details)


def forbidden(message: str, **details: Detail) -> Refusal:
    """The account may not do this, or not now."""
    return Refusal(403, FORBIDDEN, message, **details)


def not_found(message: str) -> Refusal:
    """What was asked for does not exist."""
    return Refusal(404, NOT_FOUND, message)


def duplicate() -> DuplicateOrder:
    """The client order id was used before; it stays used for as long as the account exists."""
    return DuplicateOrder("client_order_id must be unique", status=422, code=BAD_FIELD)

"""Answers, and refusals in the words of the host that was asked."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import attrs
import msgspec

from broker_core.errors import RequestRefused
from broker_demo.refusals import Refusal, plain

JSON = "application/json; charset=UTF-8"


class Host(StrEnum):
    """Which of Alpaca's hosts a path belongs to: they refuse differently."""

    TRADING = "trading"
    DATA = "data"


@attrs.frozen
class Answer:
    """A status and a body, encoded."""

    status: int
    body: bytes = b""
    content_type: str = JSON


class Refused(Exception):
    """A request that is not carried out: the status, the broker's code where its host has them, the message, and figures beside them."""

    def __init__(self, status: int, message: str, *, code: int | None = None, **extras: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {**({} if code is None else {"code": code}), "message": message, **extras}

    @classmethod
    def of(cls, error: RequestRefused) -> Refused:
        """The exchange's refusal, its figures as texts."""
        message, details = (error.message, error.details) if isinstance(error, Refusal) else (str(error), {})
        return cls(error.status or 422, message, code=error.code if isinstance(error.code, int) else None, **details)

    @property
    def answer(self) -> Answer:
        """The refusal as an answer."""
        return Answer(self.status, msgspec.json.encode(self.body))


def found(value: Any, status: int = 200) -> Answer:
    """The answer that holds this value, of plain types."""
    return Answer(status, msgspec.json.encode(value))


def missing(message: str) -> Refused:
    """The trading host's word that there is no such thing."""
    return Refused(404, message, code=40410000)


def decimal_text(value: Decimal) -> str:
    """A decimal as the trading host writes it: no exponent, no needless zeros."""
    return plain(value)


def optional_text(value: Decimal | None) -> str | None:
    """The same; null where there is none."""
    return None if value is None else decimal_text(value)

"""What an answer means: a value, or one of the errors of the core's tree.

The rules are those of Alpaca's error page and of what clients were seen to get: a body of code and message, a message alone, nothing at
all, or a proxy's HTML. A refusal of something that changes the account counts as one only in the broker's own words; any other answer
to it leaves open whether it took effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from broker_alpaca.wire.call import Call, Host
from broker_core.errors import AuthError, DuplicateOrder, InDoubt, RateLimited, RemoteError, RequestRefused, Unavailable

_DUPLICATE = "client_order_id must be unique"
_LONGEST = 300
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
# The refusals that say by their number alone that nothing was done, whatever stands in the body.
_PLAIN_REFUSALS = frozenset({404, 405, 410, 413, 415})
_UNKNOWN_OUTCOME = frozenset({408, 425})


@attrs.frozen
class Answer:
    """What came back: the status, the headers (names in any case) and the whole body."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name; None where it is missing."""
        found = self.headers.get(name)
        if found is not None:
            return found
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@attrs.frozen
class Problem:
    """An error's body: the broker's own code, where it has one, what it says, and everything else it names."""

    code: int | str | None
    message: str
    details: Mapping[str, object]
    is_own_word: bool
    """Whether it is the broker speaking (JSON with a message), rather than something on the way."""

    @classmethod
    def parse(cls, body: bytes) -> Problem:
        """Read an error's body, whatever it is."""
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            code = found.get("code")
            rest = {name: value for name, value in found.items() if name not in ("code", "message")}
            return cls(code if isinstance(code, int | str) else None, found["message"][:_LONGEST], rest, is_own_word=True)
        return cls(None, _as_line(body), {}, is_own_word=False)


def _as_line(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return "an empty answer"
    title = _TITLE.search(text)
    if title is not None or text[:1] == "<":
        words = title[1] if title is not None else _TAG.sub(" ", text)
        return f"a page, not an answer: {' '.join(words.split())[:_LONGEST]}"
    return " ".join(text.split())[:_LONGEST]


def error_of(call: Call[Any], answer: Answer, wait: float) -> RemoteError:
    """The error that an answer other than a success stands for. ``wait``: how many seconds a 429 asks for."""
    problem = Problem.parse(answer.body)
    text = f"alpaca: {call}: {answer.status} {_words(problem)}"
    status = answer.status
    if status == 429:
        return RateLimited(f"{text}; try again in {wait:.3g} s", wait=wait)
    if status == 401 or (status == 403 and _is_about_credentials(call, problem)):
        return AuthError(f"{text}; check the key, the secret, and that they belong to the {call.host} host asked")
    if status in _UNKNOWN_OUTCOME or status >= 500:
        return unanswered(call, f"{status} {_words(problem)}")
    if 300 <= status < 400:
        return RequestRefused(f"{text}: it redirects to {answer.header('location')}; give the address it names", status=status)
    if not problem.is_own_word and status not in _PLAIN_REFUSALS:
        return unanswered(call, f"{status} {_words(problem)}")
    if problem.message == _DUPLICATE:
        return DuplicateOrder(text, status=status, code=problem.code)
    return RequestRefused(text, status=status, code=problem.code)


def unanswered(call: Call[Any], what: str) -> RemoteError:
    """The error of a call that was sent and has no answer that says what became of it."""
    if call.is_read:
        return Unavailable(f"alpaca: {call}: {what}")
    return InDoubt(f"alpaca: {call}: {what}; it may have taken effect")


def not_sent(call: Call[Any], what: str) -> Unavailable:
    """The error of a call that never left."""
    return Unavailable(f"alpaca: {call}: {what}; nothing was sent")


def _is_about_credentials(call: Call[Any], problem: Problem) -> bool:
    """A 403 without a code says "forbidden": to the trading host a wrong key, to the data host a wrong key as well."""
    return problem.is_own_word and problem.code is None and ("forbidden" in problem.message.lower() or call.host is Host.TRADING)


def _words(problem: Problem) -> str:
    code = "" if problem.code is None else f"{problem.code} "
    details = ", ".join(f"{name} {_short(value)}" for name, value in problem.details.items())
    return f"{code}{problem.message}" + (f" ({details[:_LONGEST]})" if details else "")


def _short(value: object) -> str:
    return " ".join(str(item) for item in value) if isinstance(value, list) else str(value)

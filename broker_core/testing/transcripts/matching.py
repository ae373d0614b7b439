"""Whether a client says what the transcript has it say: the same words under its own keys, in any order of members, in either codec."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec

_CREDENTIALS = frozenset({"key", "secret", "key_id", "secret_key", "oauth_token"})
_MASK = "***"


@attrs.frozen
class Difference:
    """Something a client said that was not in the script. Keys and secrets are masked in both."""

    connection: int
    """Counted from 1."""
    said: Any
    """As plain values; a frame that can be read in no way is shown as it is."""
    expected: Any = None
    """What the script has it say there; None where it has it say nothing."""

    def __str__(self) -> str:
        instead = "nothing" if self.expected is None else repr(self.expected)
        return f"connection {self.connection}: the client said {self.said!r}, the script has {instead}"


def meaning(frame: str | bytes) -> Any:
    """What a frame says as plain values, with keys and secrets masked; a frame that can be read in no way as it is."""
    try:
        return _masked(json.loads(frame))
    except (ValueError, RecursionError):
        pass
    if isinstance(frame, bytes):
        try:
            return _masked(msgspec.msgpack.decode(frame))
        except (msgspec.DecodeError, RecursionError):
            pass
    return frame


def action_of(said: Any) -> Any:
    """What a message asks for; None where it does not say."""
    return said.get("action") if isinstance(said, dict) else None


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _MASK if name in _CREDENTIALS and isinstance(inner, str) else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        inner = [_masked(each) for each in value]
        # Symbols and streams are sets that are written as lists.
        return sorted(inner) if all(isinstance(each, str) for each in inner) else inner
    return value

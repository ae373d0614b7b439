"""Takes out of recorded conversations what belongs to one account: keys, numbers, ids. The same id becomes the same made-up one everywhere.

What stays are amounts, prices and moments; record with an account that has nothing to hide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

REQUEST_HEADERS = frozenset({"accept", "content-type"})
RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"})
"""The only headers that are kept: whatever else there is, names, traces or signs in."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_ACCOUNT_NUMBER = re.compile(r"(\"account_number\"\s*:\s*\")([^\"]+)(\")")
_EVENT_ID = re.compile(r"(\"event_id\"\s*:\s*\")([^\"]+)(\")")
_NOBODY = "00000000-0000-0000-0000-000000000000"
FAKE_ACCOUNT_NUMBER = "PA0000000001"


class Leak(Exception):
    """Something that had to be taken out is still there."""


class Scrubber:
    """One object for a whole recording, so that ids agree between conversations.

    ``replaced`` says what stands for what: keys and secrets, and names that a recording makes up for itself.
    """

    def __init__(self, replaced: Mapping[str, str]) -> None:
        # The longest first: one secret may begin with another.
        self._replaced = {text: replaced[text] for text in sorted(replaced, key=len, reverse=True) if text}
        self._ids: dict[str, str] = {}
        self._event_ids: dict[str, str] = {}

    def cassette(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """A whole cassette, scrubbed: addresses, headers and bodies of requests and answers. Raises Leak where something is left."""
        self._learn_account_numbers(recorded)
        scrubbed = {**recorded, "interactions": [self._interaction(interaction) for interaction in recorded["interactions"]]}
        self._check(str(scrubbed))
        return scrubbed

    def frame(self, frame: str | bytes) -> str | bytes:
        """A frame of a socket, scrubbed: text, or JSON or MessagePack in bytes. Raises Leak where something is left, or for other bytes.

        Packed bytes stay as they are where nothing has to be taken out.
        """
        if isinstance(frame, str):
            scrubbed = self.text(frame)
            self._check(scrubbed)
            return scrubbed
        try:
            if frame.lstrip()[:1] in (b"{", b"["):
                return str(self.frame(frame.decode())).encode()
            value = msgspec.msgpack.decode(frame)
        except (UnicodeDecodeError, msgspec.DecodeError):
            raise Leak(f"a frame of {len(frame)} bytes is neither JSON nor MessagePack, so nothing can be taken out of it") from None
        kept = self._walk(value)
        self._check(str(kept))
        return frame if kept == value else msgspec.msgpack.encode(kept)

    def text(self, text: str) -> str:
        """Any text, scrubbed."""
        for secret, fake in self._replaced.items():
            text = text.replace(secret, fake)
        text = _EVENT_ID.sub(lambda found: f"{found[1]}{self._fake_event_id(found[2])}{found[3]}", text)
        return _UUID.sub(lambda found: self._fake_id(found[0]), text)

    def _interaction(self, interaction: Mapping[str, Any]) -> dict[str, Any]:
        request, response = interaction["request"], interaction["response"]
        return {
            "request": {**self._walk(request), "headers": self._headers(request["headers"], REQUEST_HEADERS)},
            "response": {**self._walk(response), "headers": self._headers(response["headers"], RESPONSE_HEADERS)},
        }

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {name: self._walk(inner) for name, inner in value.items()}
            case list():
                return [self._walk(inner) for inner in value]
            case bytes():
                raise Leak(f"a body of {len(value)} bytes is no text, so nothing can be taken out of it")
            case _:
                return value

    def _headers(self, headers: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
        return {name: self._walk(value) for name, value in headers.items() if name.lower() in kept}

    def _fake_id(self, real: str) -> str:
        real = real.lower()
        if real == _NOBODY:
            return real
        return self._ids.setdefault(real, f"00000000-0000-4000-8000-{len(self._ids) + 1:012d}")

    def _fake_event_id(self, real: str) -> str:
        # Of the same length as theirs, and sorting as they do.
        return self._event_ids.setdefault(real, f"{len(self._event_ids) + 1:026d}")

    def _learn_account_numbers(self, recorded: Mapping[str, Any]) -> None:
        for interaction in recorded["interactions"]:
            for _, number, _ in _ACCOUNT_NUMBER.findall(str(interaction["response"]["body"].get("string"))):
                self._replaced.setdefault(number, FAKE_ACCOUNT_NUMBER)

    def _check(self, text: str) -> None:
        left = [secret for secret in self._replaced if secret in text and secret not in self._replaced.values()]
        strangers = {found.lower() for found in _UUID.findall(text)} - set(self._ids.values()) - {_NOBODY}
        if left or strangers:
            raise Leak(f"{len(left)} secrets or names and {len(strangers)} ids are still there; nothing was written")

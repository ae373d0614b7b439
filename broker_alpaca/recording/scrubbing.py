"""Takes out of recorded conversations what belongs to one account: keys, numbers, ids. The same id becomes the same made-up one everywhere.

What stays are amounts, prices and moments; record with an account that has nothing to hide.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import msgspec

REQUEST_HEADERS = frozenset({"accept", "content-type"})
RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"})
"""The only headers that are kept: whatever else there is, names, traces or signs in."""

FAKE_KEY, FAKE_LIVE_KEY, FAKE_SECRET, FAKE_ACCOUNT_NUMBER = "PKMADEUP", "AKMADEUP", "made up", "PA0000000001"
"""What stands for what belongs to the account."""

_KEYS = frozenset({"key", "key_id", "apca-api-key-id"})
_SECRETS = frozenset(
    {"secret", "secret_key", "oauth_token", "access_token", "refresh_token", "client_secret", "password", "token", "apca-api-secret-key"}
)
_NUMBER, _EVENTS = "account_number", frozenset({"event_id", "since_id", "until_id"})
_OAUTH = "oauth"
"""Stands in the place of a key where a token signs in, and is no secret."""

_NAMES = "|".join(sorted({*_KEYS, *_SECRETS, *_EVENTS, _NUMBER}))
# A text may end in the middle of a value: what a broken connection has cut off is scrubbed, too.
_MEMBER = re.compile(rf'("({_NAMES})"\s*:\s*)(?:"((?:[^"\\]|\\.)*)("|$)|(\d+))', re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(rf"([?&]({_NAMES})=)([^&#\s\"]*)", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_PAPER_NUMBER = re.compile(r"\bPA[0-9][0-9A-Z]{9}\b")
# Longer than any symbol that begins alike.
_LIVE_KEY = re.compile(r"AK[0-9A-Z]{6,}")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_NOBODY = "00000000-0000-0000-0000-000000000000"
_SHORTEST = 6
"""Characters: a shorter text is taken out where a name says what it is, and nowhere else, because it may be part of any word."""


class Leak(Exception):
    """Something that had to be taken out is still there."""


class Scrubber:
    """One object for a whole recording, so that ids agree between conversations.

    ``replaced`` says what stands for what: keys and secrets, and names that a recording makes up for itself. Further secrets are learned
    from what signs in, and account numbers from what names them.
    """

    def __init__(self, replaced: Mapping[str, str] = MappingProxyType({})) -> None:
        self._replaced: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._event_ids: dict[str, str] = {}
        self._fakes: dict[str, str] = {}
        self.has_met_live_key = False
        """Whether something was signed in with a key that begins as those of live accounts do."""
        self._add({text: fake for text, fake in replaced.items() if text})

    def learn_headers(self, headers: Mapping[str, str]) -> None:
        """Know the credentials that sign a request in, in whatever form."""
        for name, value in headers.items():
            if name.lower() == "authorization":
                scheme, _, token = value.strip().partition(" ")
                self._fake("secret", token)
                if scheme.lower() == "basic":
                    user, password = _basic(token)
                    self._fake("key", user)
                    self._fake("secret", password)
            elif name.lower() in _KEYS | _SECRETS:
                self._fake(name.lower(), value.strip())

    def learn(self, text: str) -> None:
        """Know what the members and parameters of a text name as keys, secrets and account numbers."""
        for name, value in _named(text):
            self._fake(name, value)

    def interaction(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """A request and its answer, scrubbed: address, headers and bodies. Raises Leak where something is left, or a body is no text."""
        request, response = recorded["request"], recorded["response"]
        for text in (request["uri"], request["body"], response["body"].get("string")):
            self.learn(text if isinstance(text, str) else "")
        scrubbed = {
            "request": {**self._walk(request), "headers": self._headers(request["headers"], REQUEST_HEADERS)},
            "response": {**self._walk(response), "headers": self._headers(response["headers"], RESPONSE_HEADERS)},
        }
        self._check(scrubbed)
        return scrubbed

    def cassette(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """A whole cassette, scrubbed, also of numbers that only a later answer names. Raises Leak."""
        for interaction in recorded["interactions"]:
            self.learn(str(interaction["response"]["body"].get("string")))
        scrubbed = {**recorded, "interactions": [self.interaction(interaction) for interaction in recorded["interactions"]]}
        self._check(scrubbed)
        return scrubbed

    def frame(self, frame: str | bytes) -> str | bytes:
        """A frame of a socket, scrubbed: text, or JSON or MessagePack in bytes. Raises Leak where something is left, or for other bytes.

        Packed bytes stay as they are where nothing has to be taken out.
        """
        if isinstance(frame, str):
            self.learn(frame)
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
        self._check(kept)
        return frame if kept == value else msgspec.msgpack.encode(kept)

    def text(self, text: str) -> str:
        """Any text, scrubbed."""
        text = _MEMBER.sub(self._member, text)
        text = _PARAMETER.sub(lambda found: found[1] + quote_plus(self._fake(found[2], unquote_plus(found[3]))), text)
        for secret, fake in self._replaced.items():
            text = text.replace(secret, fake)
        text = _PAPER_NUMBER.sub(FAKE_ACCOUNT_NUMBER, text)
        return _UUID.sub(lambda found: self._fake_id(found[0]), text)

    def _member(self, found: re.Match[str]) -> str:
        if found[5] is not None:
            return found[1] + ("1" * len(found[5]) if found[2].lower() == _NUMBER else found[5])
        real = _unescaped(found[3])
        fake = self._fake(found[2], real)
        return found[0] if fake == real else f"{found[1]}{json.dumps(fake)[:-1]}{found[4]}"

    def _walk(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self._walk(name): self._named(str(name), inner) for name, inner in value.items()}
            case list():
                return [self._walk(inner) for inner in value]
            case bytes():
                raise Leak(f"a body of {len(value)} bytes is no text, so nothing can be taken out of it")
            case _:
                return value

    def _named(self, name: str, value: Any) -> Any:
        is_ours = name.lower() in _KEYS | _SECRETS | _EVENTS | {_NUMBER}
        return self._fake(name.lower(), value) if is_ours and isinstance(value, str) else self._walk(value)

    def _headers(self, headers: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
        return {name: self._walk(value) for name, value in headers.items() if name.lower() in kept}

    def _fake(self, name: str, real: str) -> str:
        """What stands for the value of a member, parameter or header of this name; a new one is made up and remembered."""
        name = name.lower()
        if name in _EVENTS:
            # Of the same length as theirs, and sorting as they do.
            return self._event_ids.setdefault(real, f"{len(self._event_ids) + 1:026d}") if real not in self._event_ids.values() else real
        if not real or (name in _KEYS and real == _OAUTH) or real in self._replaced.values():
            return real
        self.has_met_live_key |= name in _KEYS and _LIVE_KEY.fullmatch(real) is not None
        if real not in self._fakes:
            self._fakes[real] = self._replaced.get(real) or self._make_up(name, real)
            if len(real) >= _SHORTEST:
                self._add({real: self._fakes[real]})
        return self._fakes[real]

    def _make_up(self, name: str, real: str) -> str:
        if name == _NUMBER:
            return FAKE_ACCOUNT_NUMBER
        base = FAKE_SECRET if name not in _KEYS else FAKE_LIVE_KEY if real.startswith("AK") else FAKE_KEY
        taken = {*self._replaced.values(), *self._fakes.values()}
        return base if base not in taken else next(fake for number in range(2, 10**9) if (fake := f"{base}{number}") not in taken)

    def _add(self, replaced: Mapping[str, str]) -> None:
        every = {form: fake for text, fake in replaced.items() for form in _forms(text)} | self._replaced
        # The longest first: one secret may begin with another.
        self._replaced = {text: every[text] for text in sorted(every, key=len, reverse=True)}

    def _fake_id(self, real: str) -> str:
        real = real.lower()
        if real == _NOBODY:
            return real
        return self._ids.setdefault(real, f"00000000-0000-4000-8000-{len(self._ids) + 1:012d}")

    def _check(self, scrubbed: object) -> None:
        text = "\n".join(_texts(scrubbed))
        left = [secret for secret in self._replaced if secret in text and secret not in self._replaced.values()]
        strangers = {found.lower() for found in _UUID.findall(text)} - set(self._ids.values()) - {_NOBODY}
        if left or strangers:
            raise Leak(f"{len(left)} secrets or names and {len(strangers)} ids are still there; nothing was written")


def _named(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of members and parameters that hold secrets or account numbers."""
    for found in _MEMBER.finditer(text):
        if found[3]:
            yield found[2], _unescaped(found[3])
    for found in _PARAMETER.finditer(text):
        yield found[2], unquote_plus(found[3])


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _forms(text: str) -> set[str]:
    """A text as it may be written: plain, in an address, in JSON."""
    in_json = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    in_address = {quote(text, safe=""), quote_plus(text)}
    return {
        text,
        *in_json,
        *(form.replace("/", "\\/") for form in in_json),
        *in_address,
        *(_ESCAPE.sub(lambda found: found[0].lower(), form) for form in in_address),
    }


def _basic(token: str) -> tuple[str, str]:
    """User and password of HTTP's basic authentication; empty where it cannot be read."""
    try:
        user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, however deep, without what a way of writing it would add."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)

"""What of an HTTP message is passed on, and how what it holds is read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from broker_alpaca.recording.scrubbing import Leak

_BETWEEN_TWO = frozenset(
    {"connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that belong to one connection, and are not passed on to the next."""
_READABLE = ("gzip", "deflate", "identity")
_ZLIB_OR_GZIP = 47


def passed_on(headers: Mapping[str, str], *but: str) -> list[tuple[str, str]]:
    """The headers that are not of one connection alone, without those of these names, which are in lower case."""
    return [(name, text) for name, text in headers.items() if name.lower() not in _BETWEEN_TWO and name.lower() not in but]


def readable_wishes(asked: Iterable[str]) -> list[str]:
    """The wishes for compression of which the answer can be read here."""
    wishes = [wish.strip() for line in asked for wish in line.split(",")]
    kept = [wish for wish in wishes if wish.partition(";")[0].strip().lower() in _READABLE]
    return [", ".join(kept) or "identity"] if wishes else []


def decompressed(body: bytes, encoding: str) -> bytes:
    """A body without its compression. Raises Leak for one that is not known here."""
    if encoding.lower() in ("", "identity"):
        return body
    try:
        return zlib.decompress(body, _ZLIB_OR_GZIP)
    except zlib.error:
        raise Leak(f"a body in {encoding!r} cannot be read, so nothing can be taken out of it") from None


def text_of(body: bytes) -> str:
    """A body as text. Raises Leak where it is none."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Leak(f"a body of {len(body)} bytes is no text, so nothing can be taken out of it") from None


def by_name(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Every value of each header, as vcrpy keeps them."""
    listed: dict[str, list[str]] = {}
    for name, text in headers.items():
        listed.setdefault(name, []).append(text)
    return listed

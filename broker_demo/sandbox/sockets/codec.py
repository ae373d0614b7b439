"""How messages become frames: JSON or MessagePack, in text or binary frames, one message to a frame or all of them in an array.

A moment in a message is a ``Moment``: RFC 3339 text in JSON, and the timestamp extension in MessagePack.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import msgspec

from broker_demo.sandbox.moments import moment_text

Message: TypeAlias = Any
"""What is sent: an object of plain types, or a struct that is written as one."""

BATCH = 128
"""The most messages in one frame: some clients take no frame of a megabyte."""
_SECOND_NS = 1_000_000_000
_FINAL, _TEXT, _BINARY = 0x80, 1, 2
_SHORT = 126
"""Bodies below this have their length in one byte."""
_TIMESTAMP = -1
"""The type of MessagePack's own extension for moments."""


class Moment:
    """A moment in nanoseconds since the Unix epoch, written once however often it is sent."""

    __slots__ = ("_extension", "_text", "ns")

    def __init__(self, ns: int) -> None:
        self.ns = ns
        self._text: str | None = None
        self._extension: msgspec.msgpack.Ext | None = None

    @property
    def text(self) -> str:
        """RFC 3339, in UTC."""
        if self._text is None:
            self._text = moment_text(self.ns)
        return self._text

    @property
    def extension(self) -> msgspec.msgpack.Ext:
        """MessagePack's timestamp in its shortest form: 4, 8 or 12 bytes."""
        if self._extension is None:
            self._extension = msgspec.msgpack.Ext(_TIMESTAMP, timestamp(self.ns))
        return self._extension

    def __repr__(self) -> str:
        return f"Moment({self.text})"


def timestamp(ns: int) -> bytes:
    """The body of MessagePack's timestamp extension."""
    seconds, rest = divmod(ns, _SECOND_NS)
    if rest == 0 and 0 <= seconds < 1 << 32:
        return struct.pack(">I", seconds)
    if 0 <= seconds < 1 << 34:
        return struct.pack(">Q", rest << 34 | seconds)
    return struct.pack(">Iq", rest, seconds)


def _as_text(value: Any) -> str:
    if isinstance(value, Moment):
        return value.text
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


def _as_extension(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, Moment):
        return value.extension
    raise NotImplementedError(f"{type(value).__name__} cannot be sent")


_write_json = msgspec.json.Encoder(enc_hook=_as_text).encode
_write_msgpack = msgspec.msgpack.Encoder(enc_hook=_as_extension).encode


@attrs.frozen
class Codec:
    """What one connection speaks."""

    is_msgpack: bool
    is_binary: bool
    """Whether frames are binary; those of MessagePack always are."""
    in_arrays: bool
    """Whether a frame holds an array of messages, or each message has a frame of its own."""

    def frames(self, messages: Sequence[Message]) -> list[bytes]:
        """The messages as they are sent."""
        write = _write_msgpack if self.is_msgpack else _write_json
        if self.in_arrays:
            return [write(messages[start : start + BATCH]) for start in range(0, len(messages), BATCH)]
        return [write(message) for message in messages]

    def read(self, frame: str | bytes) -> Any:
        """What a client sent. Raises ValueError."""
        try:
            return msgspec.msgpack.decode(frame) if self.is_msgpack and isinstance(frame, bytes) else msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(str(error)) from None


class Parcel:
    """Messages on their way to any number of connections, encoded once for each way of writing them."""

    __slots__ = ("_frames", "messages")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self._frames: dict[tuple[bool, bool], list[bytes]] = {}

    def frames(self, codec: Codec) -> list[bytes]:
        """The messages as this codec writes them."""
        # Text and binary frames hold the same JSON.
        way = codec.is_msgpack, codec.in_arrays
        found = self._frames.get(way)
        if found is None:
            found = self._frames[way] = codec.frames(self.messages)
        return found


def half_frame(body: bytes, *, is_binary: bool) -> bytes:
    """The head of a WebSocket's frame that would hold this body, and the first half of it (RFC 6455, 5.2)."""
    if len(body) < _SHORT:
        length = bytes([len(body)])
    elif len(body) < 1 << 16:
        length = struct.pack(">BH", _SHORT, len(body))
    else:
        length = struct.pack(">BQ", _SHORT + 1, len(body))
    return bytes([_FINAL | (_BINARY if is_binary else _TEXT)]) + length + body[: len(body) // 2]


def wants_msgpack(headers: Mapping[str, str]) -> bool:
    """Whether a handshake asks for MessagePack."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/msgpack"

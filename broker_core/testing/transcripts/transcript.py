"""A recorded conversation, read from its lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import attrs

Line: TypeAlias = dict[str, Any]
"""One line of a file, decoded."""


def read(path: str | Path) -> tuple[Line, list[Line]]:
    """The first line of a file, and the lines of frames. Raises ValueError, which names the line that is none."""
    first, *others = _decoded(Path(path).read_text(encoding="utf-8").split("\n"), str(path))
    return first, others


def frame_of(line: Mapping[str, Any]) -> str | bytes:
    """The frame that a line holds."""
    return line["text"] if "text" in line else base64.b64decode(line["base64"])


@attrs.frozen
class Frame:
    """One frame of a conversation."""

    at: float
    """Seconds since the first."""
    is_ours: bool
    """Whether the client said it."""
    data: str | bytes


@attrs.frozen(kw_only=True)
class Transcript:
    """A conversation, frame by frame."""

    frames: Sequence[Frame]
    wish: Mapping[str, str] = attrs.field(factory=lambda: MappingProxyType({}))
    """What the client wanted: symbols by channel, separated by spaces."""
    items: Sequence[str] | None = ()
    """What came of it, a word for each item; None where the recording was cut off."""

    @classmethod
    def of(cls, source: str | Path | Iterable[Mapping[str, Any]] | Transcript) -> Self | Transcript:
        """A transcript out of a file, or out of decoded lines, with a first one or without. Raises ValueError for lines that are none."""
        if isinstance(source, Transcript):
            return source
        if isinstance(source, (str, Path)):
            first, lines = read(source)
        else:
            lines = [dict(line) for line in source]
            first = lines.pop(0) if lines and "dir" not in lines[0] else {}
        frames = [Frame(float(line["at"]), line["dir"] == "out", frame_of(line)) for line in lines]
        return cls(frames=frames, wish=first.get("wish") or {}, items=first.get("items", ()))

    @property
    def opening(self) -> int:
        """How many frames it takes until the server has answered the last word of the client."""
        last = max((number for number, frame in enumerate(self.frames) if frame.is_ours), default=-1)
        return min(last + 2, len(self.frames)) if last >= 0 else 0


def _decoded(lines: Iterable[str], name: str) -> list[Line]:
    decoded = []
    for number, text in enumerate(lines, 1):
        if text:
            try:
                decoded.append(json.loads(text))
            except ValueError:
                raise ValueError(f"{name}: line {number} is no JSON; the recording was cut off, or this is no transcript") from None
    if not decoded:
        raise ValueError(f"{name}: there is nothing in it; a transcript begins with its wish and its items")
    return decoded

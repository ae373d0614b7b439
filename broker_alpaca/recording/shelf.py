"""Where a recording is written: a cassette of vcrpy's for REST, and a transcript for each connection of a socket.

Everything is scrubbed before it is written, and every interaction and every frame is written at once, as it happens: whoever ends the
program in the middle, however rudely, finds whole lines.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from broker_alpaca.recording.scrubbing import Leak, Scrubber
from broker_alpaca.recording.summary import DataSummary, TradingSummary
from broker_alpaca.recording.tape import first_line, frame_line
from broker_core.clock import Clock
from broker_core.errors import ConfigError, StorageError

log = logging.getLogger(__name__)

TRADING, DATA = "trading", "data"
"""The two kinds of sockets."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_YAML = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON may hold as it is, and YAML may not."""

_Summary: TypeAlias = DataSummary | TradingSummary


class Shelf:
    """The files of one session: ``rest/NAME.yaml`` and ``stream/NAME-KIND-NUMBER.jsonl`` below a folder.

    Raises ConfigError for a name that is none, or that is taken.
    """

    def __init__(self, folder: Path, name: str, *, clock: Clock, scrubber: Scrubber) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"--name: {name!r} is no name for files; use letters, digits, dots, dashes and underscores")
        self._folder = folder
        self._name = name
        self._clock = clock
        self._scrubber = scrubber
        self._rest = _Lines(folder / "rest" / f"{name}.yaml")
        self._streams: list[Conversation] = []
        self._numbers = {TRADING: 0, DATA: 0}
        self.interactions = 0
        """How many requests with their answers were written."""
        self.left_out = 0
        """How many interactions and frames were not written, because nobody could tell what is in them."""
        taken = [self._rest.path, *(folder / "stream").glob(f"{name}-*-*.jsonl")]
        there = next((path for path in taken if path.exists()), None)
        if there is not None:
            raise ConfigError(f"--name: {there} is there already; remove it, or choose another name")

    @property
    def written(self) -> dict[Path, int]:
        """The files there are by now, and how many interactions or frames are in each."""
        rest = {self._rest.path: self.interactions} if self.interactions else {}
        return rest | {talk.path: talk.frames for talk in self._streams if talk.frames}

    def interaction(self, recorded: Mapping[str, Any]) -> None:
        """Write down a request and its answer, as vcrpy has them. Raises StorageError.

        What cannot be scrubbed is left out, and that is said.
        """
        try:
            kept = self._scrubber.interaction(recorded)
        except Leak as leak:
            request = recorded["request"]
            self.leave_out(f"{request['method']} {self._scrubber.text(request['uri'])}", leak)
            return
        self._rest.write(("" if self.interactions else "version: 1\ninteractions:\n") + _in_yaml(kept))
        self.interactions += 1

    def conversation(self, kind: str) -> Conversation:
        """Begin to write down the next connection of a socket."""
        self._numbers[kind] += 1
        path = self._folder / "stream" / f"{self._name}-{kind}-{self._numbers[kind]}.jsonl"
        talk = Conversation(path, self, TradingSummary() if kind == TRADING else DataSummary(), clock=self._clock, scrubber=self._scrubber)
        self._streams.append(talk)
        return talk

    def leave_out(self, what: str, reason: object) -> None:
        """Say that something is not written, and why."""
        self.left_out += 1
        log.warning("record: %s is left out: %s", what, reason)

    def close(self) -> None:
        """Complete every file. Raises StorageError."""
        for talk in self._streams:
            talk.close()
        self._rest.close()


class Conversation:
    """One connection of a socket. Its first line says what came of it once it is closed."""

    def __init__(self, path: Path, shelf: Shelf, summary: _Summary, *, clock: Clock, scrubber: Scrubber) -> None:
        self.path = path
        self.frames = 0
        """How many were written."""
        self._shelf = shelf
        self._summary = summary
        self._clock = clock
        self._scrubber = scrubber
        self._lines = _Lines(path)
        self._began = 0.0

    def add(self, direction: str, frame: str | bytes) -> None:
        """Write down one frame; what cannot be scrubbed is left out, and that is said. Raises StorageError."""
        try:
            kept = self._scrubber.frame(frame)
        except Leak as leak:
            self._shelf.leave_out(f"a frame of {self.path.stem}", leak)
            return
        now = self._clock.monotonic()
        if not self.frames:
            self._began = now
            self._lines.write(first_line({}, None))
        self._lines.write(frame_line(now - self._began, direction, kept))
        self.frames += 1
        self._summary.add(direction, kept, self._clock.now())

    def close(self) -> None:
        """Complete the first line. Does nothing the second time. Raises StorageError."""
        if self._lines.close():
            complete = self.path.with_suffix(".complete")
            with _storing(self.path):
                with self.path.open("rb") as lines, complete.open("wb") as file:
                    lines.readline()
                    file.write(first_line(self._summary.wish, self._summary.items).encode())
                    shutil.copyfileobj(lines, file)
                # In one step, so that there is never half a file.
                complete.replace(self.path)


class _Lines:
    """A file that is made with its first line, and to which whole lines are added, each in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def write(self, lines: str) -> None:
        """Add lines. Raises StorageError."""
        data = memoryview(lines.encode())
        with _storing(self.path):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
            while data:
                data = data[os.write(self._file, data) :]

    def close(self) -> bool:
        """True where there was something to close."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
        return file is not None


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"record: {path} cannot be written: {error.strerror or error}") from None


def _in_yaml(interaction: Mapping[str, Any]) -> str:
    """An item of a list in YAML, whose values are JSON, which YAML understands."""
    request, response = interaction["request"], interaction["response"]
    return (
        "- request:\n"
        f"    body: {_value(request['body'])}\n"
        f"    headers: {_value(request['headers'])}\n"
        f"    method: {request['method']}\n"
        f"    uri: {_value(request['uri'])}\n"
        "  response:\n"
        "    body:\n"
        f"      string: {_value(response['body']['string'])}\n"
        f"    headers: {_value(response['headers'])}\n"
        f"    status: {_value(response['status'])}\n"
    )


def _value(value: object) -> str:
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))

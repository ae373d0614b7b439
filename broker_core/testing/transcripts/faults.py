"""What can go wrong with a conversation: each fault changes the steps by which the server plays it.

Frames are the server's own, counted from 1 as they were recorded. Every fault befalls the first connection, so that a client that comes
back finds a server that works; with ``connection=2`` it befalls the second, with ``connection=None`` all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias

import attrs

from broker_core.testing.transcripts.transcript import Frame

_RUBBISH = 0x5A


class Stop(Enum):
    """A step that ends the talking."""

    DROP = "drop"
    """The connection breaks, without a word."""
    MUTE = "mute"
    """Nothing is said any more, pings included, and the connection stays open."""
    REFUSE = "refuse"
    """The client is turned away, because it said what it must not say."""


@attrs.frozen
class Said:
    """A step: one frame, the server's or the client's, and by how many seconds it is late."""

    frame: Frame
    number: int
    """Of the server's frames, counted from 1; 0 for the client's."""
    late: float = 0.0


Step: TypeAlias = Said | Stop


@attrs.frozen
class Fault(ABC):
    """One thing that goes wrong."""

    connection: int | None = attrs.field(default=1, kw_only=True)

    def befalls(self, connection: int) -> bool:
        """Whether it is to happen on this connection, counted from 1."""
        return self.connection in (None, connection)

    @abstractmethod
    def change(self, steps: list[Step]) -> list[Step]:
        """The steps with this fault among them."""


@attrs.frozen
class _AfterFrame(Fault):
    after: int = attrs.field(validator=attrs.validators.ge(0))
    """After so many frames of the server."""

    def _stopped(self, steps: list[Step], stop: Stop) -> list[Step]:
        before = [place for place, step in enumerate(steps) if isinstance(step, Said) and 0 < step.number <= self.after]
        return [*steps[: max(before, default=-1) + 1], stop]


@attrs.frozen
class Drop(_AfterFrame):
    """The connection breaks."""

    def change(self, steps: list[Step]) -> list[Step]:
        """Nothing comes after it."""
        return self._stopped(steps, Stop.DROP)


@attrs.frozen
class Mute(_AfterFrame):
    """The connection stays open, but nothing comes over it any more, not even an answer to a ping."""

    def change(self, steps: list[Step]) -> list[Step]:
        """Nothing comes after it."""
        return self._stopped(steps, Stop.MUTE)


@attrs.frozen
class _OfFrame(Fault):
    frame: int = attrs.field(validator=attrs.validators.ge(1))
    """Which of the server's frames."""

    def change(self, steps: list[Step]) -> list[Step]:
        """What comes in the place of the frame."""
        place = _place(steps, self.frame)
        said = steps[place]
        assert isinstance(said, Said)  # noqa: S101  # only frames have places
        return [*steps[:place], *self._instead(said), *steps[place + 1 :]]

    def _instead(self, said: Said) -> Iterable[Said]:
        raise NotImplementedError


@attrs.frozen
class Duplicate(_OfFrame):
    """A frame comes twice."""

    def _instead(self, said: Said) -> Iterable[Said]:
        return said, said


@attrs.frozen
class Lose(_OfFrame):
    """A frame never comes."""

    def _instead(self, said: Said) -> Iterable[Said]:  # noqa: ARG002  # what it was makes no difference
        return ()


@attrs.frozen
class Truncate(_OfFrame):
    """Only the first half of a frame comes."""

    def _instead(self, said: Said) -> Iterable[Said]:
        data = said.frame.data
        return (_with(said, data[: len(data) // 2]),)


@attrs.frozen
class Garble(_OfFrame):
    """A frame comes as rubbish of the same kind and length, the same in every run."""

    def _instead(self, said: Said) -> Iterable[Said]:
        data = said.frame.data
        if isinstance(data, bytes):
            return (_with(said, bytes(byte ^ _RUBBISH for byte in data)),)
        return (_with(said, "".join(chr(ord(letter) % 64 + 0x21) for letter in data)),)


@attrs.frozen
class Delay(_OfFrame):
    """A frame, and with it all that follow, comes later by so many seconds, whatever the pace."""

    seconds: float = attrs.field(validator=attrs.validators.ge(0))

    def _instead(self, said: Said) -> Iterable[Said]:
        return (attrs.evolve(said, late=said.late + self.seconds),)


@attrs.frozen
class Swap(_OfFrame):
    """A frame and the server's next one change places."""

    def change(self, steps: list[Step]) -> list[Step]:
        """What is said by the client between the two stays where it is."""
        here, there = _place(steps, self.frame), _place(steps, self.frame + 1)
        changed = list(steps)
        changed[here], changed[there] = steps[there], steps[here]
        return changed


def steps_of(frames: Iterable[Frame], faults: Iterable[Fault]) -> list[Step]:
    """The steps by which a conversation is played, with its faults. Raises ValueError for a fault of a frame that there is not."""
    steps: list[Step] = []
    count = 0
    for frame in frames:
        count += not frame.is_ours
        steps.append(Said(frame, 0 if frame.is_ours else count))
    # Those that end the talking come last: what is changed after them is never reached, and is no mistake.
    for fault in sorted(faults, key=lambda fault: isinstance(fault, _AfterFrame)):
        if isinstance(fault, _AfterFrame) and fault.after > count:
            raise ValueError(f"faults: there is no frame {fault.after} of the server")
        steps = fault.change(steps)
    return steps


def _place(steps: list[Step], frame: int) -> int:
    places = [place for place, step in enumerate(steps) if isinstance(step, Said) and step.number == frame]
    if not places:
        raise ValueError(f"faults: there is no frame {frame} of the server, or an earlier fault has taken it away")
    return places[-1]


def _with(said: Said, data: str | bytes) -> Said:
    return attrs.evolve(said, frame=attrs.evolve(said.frame, data=data))

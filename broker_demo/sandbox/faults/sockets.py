"""Faults of messages: what becomes of them between the exchange and a socket, and sockets that end by the clock.

While there is no fault of messages to come, lines are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, TypeAlias

from broker_demo.sandbox.faults.changes import changed
from broker_demo.sandbox.faults.plan import Fault, Faults
from broker_demo.sandbox.faults.terms import Channel, Kind, Terms
from broker_demo.sandbox.sockets.lines import Line, Lines

Message: TypeAlias = dict[str, Any]

_CONTROLS = frozenset({"success", "error", "subscription"})
"""What is said on a data socket that is no data."""


@asynccontextmanager
async def bent(faults: Faults, lines: Lines) -> AsyncIterator[None]:
    """Have faults take hold of all lines for as long as this lasts."""
    clocks: dict[Fault, asyncio.Task[None]] = {}

    def follow(line: Line) -> None:
        if faults.messages and line.bend is None:
            line.bend = _Bend(faults, line)

    def change() -> None:
        for line in lines:
            follow(line)
        for fault in faults.times:
            if fault not in clocks:
                clocks[fault] = asyncio.create_task(_drop_by_time(faults, fault, lines), name=f"sandbox {fault.fault_id}")
        for fault in clocks.keys() - set(faults.times):
            clocks.pop(fault).cancel()

    lines.on_open, faults.on_change = follow, change
    change()
    try:
        yield
    finally:
        lines.on_open = faults.on_change = None
        ended = tuple(clocks.values())
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


async def _drop_by_time(faults: Faults, fault: Fault, lines: Lines) -> None:
    while True:
        await faults.clock.sleep(fault.delay)
        if faults.of_time(fault):
            for line in lines:
                if fault.terms.fits_socket(Channel(line.kind)):
                    line.drop()


class _Bend:
    """What becomes of one line's messages. It leaves the line when there is nothing more to do."""

    def __init__(self, faults: Faults, line: Line) -> None:
        self._faults = faults
        self._line = line
        self._channel = Channel(line.kind)
        self._held: list[Message] = []
        """A message that waits for the next one."""
        self._is_over = False

    def __call__(self, kind: str, messages: list[Message]) -> list[Message]:  # noqa: ARG002  # the line says it again
        sent: list[Message] = []
        for message in messages:
            if self._is_over:
                break
            sent += self._fate(message)
        if not self._faults.messages and not self._held:
            self._line.bend = None
        return sent

    def _fate(self, message: Message) -> list[Message]:
        place = _place(self._channel, message)
        if place is None:
            return [message]
        told = [message]
        for fault in self._faults.of_message(self._channel, *place):
            kind = fault.terms.kind
            if kind in _CHANGES:
                told = [_CHANGES[kind](self._channel, told[0], fault.terms)]
            elif kind is Kind.REORDER:
                if not self._held:
                    self._held = told
                    return []
                break
            else:
                told = _ENDS[kind](self._line, told[0], fault)
                self._is_over = kind in _LAST
                break
        held, self._held = self._held, []
        return told + held


def _place(channel: Channel, message: Message) -> tuple[str, str] | None:
    """The event and the symbol of a message; None for one that no fault is meant for."""
    if channel is Channel.DATA:
        event = message.get("T")
        return None if event in _CONTROLS else (str(event), str(message.get("S", "")))
    update = message.get("data")
    if not isinstance(update, dict) or "event" not in update:
        return None
    order = update.get("order")
    return str(update["event"]), str(order.get("symbol", "")) if isinstance(order, dict) else ""


def _unknown_value(channel: Channel, message: Message, terms: Terms) -> Message:
    found: Message = changed(message, terms, "event" if channel is Channel.TRADING else "T")
    return found


def _extra_field(channel: Channel, message: Message, terms: Terms) -> Message:
    if channel is Channel.TRADING:
        update = message["data"]
        # Another fault may have put something else in their places.
        if isinstance(update, dict) and "order" in update:
            update = {**update, "order": changed(update["order"], terms, "")}
        return {**message, "data": changed(update, terms, "")}
    found: Message = changed(message, terms, "")
    return found


def _drop(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    line.tear()
    return []


def _mute(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    line.mute()
    return []


def _half_open(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    line.half_open()
    return []


def _truncated_frame(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    line.tear(message)
    return []


def _slow(line: Line, message: Message, fault: Fault) -> list[Message]:
    line.slow(fault.terms.seconds or 0.0)
    return [message]


def _lose(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    return []


def _duplicate(line: Line, message: Message, fault: Fault) -> list[Message]:  # noqa: ARG001
    return [message, message]


_CHANGES: Mapping[Kind, Callable[[Channel, Message, Terms], Message]] = MappingProxyType(
    {Kind.UNKNOWN_VALUE: _unknown_value, Kind.EXTRA_FIELD: _extra_field}
)
_ENDS: Mapping[Kind, Callable[[Line, Message, Fault], list[Message]]] = MappingProxyType(
    {
        Kind.DROP: _drop,
        Kind.MUTE: _mute,
        Kind.HALF_OPEN: _half_open,
        Kind.TRUNCATED_FRAME: _truncated_frame,
        Kind.SLOW: _slow,
        Kind.LOSE: _lose,
        Kind.DUPLICATE: _duplicate,
    }
)
_LAST = frozenset({Kind.DROP, Kind.MUTE, Kind.HALF_OPEN, Kind.TRUNCATED_FRAME})
"""Kinds after which nothing comes."""

"""Frames that make no sense, on both sockets and in both codecs: an error that is published, or a proper close, and nobody else notices."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from raw_http import Connection, connect
from rubbish_frames import Talk, frames_of, talk_rubbish, talks
from sandboxes import sandbox
from wires import DataWire, TradingWire, Wire, auth, authenticate

from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.lines import Kind

SIGN_IN = msgspec.json.encode(auth())
HANDSHAKE = (
    b"Host: sandbox\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
PATHS = ["/v2/iex", "/stream"]


@given(said=st.lists(talks(), min_size=6, max_size=6))
@example(said=[Talk(path, is_msgpack, frames_of(auth())) for path in PATHS for is_msgpack in (False, True)])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_rubbish_is_answered_by_an_error_that_is_published_or_a_close(said: list[Talk], caplog: pytest.LogCaptureFixture):
    """Nothing that is due an answer goes without; no line is left over, nothing is logged, and one who behaves is not disturbed."""
    caplog.clear()
    async with sandbox() as box:
        box.desk.lines.limits.connections = None
        async with DataWire(box, "/v2/sip") as calm:
            await calm.sign_in()
            for talk in said:
                outcome = await talk_rubbish(box, talk)
                assert outcome.complaint is None, (talk, outcome)
            assert (await calm.subscribe(trades=["AAPL"]))["trades"] == ["AAPL"]
            await until_only(box, 1)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def until_only(box: Sandbox, count: int) -> None:
    """Wait until so many lines are left."""
    for _ in range(2000):
        if len(box.desk.lines) == count:
            return
        await asyncio.sleep(0)
    pytest.fail(f"{len(box.desk.lines)} lines are left")


def frame(kind: int, body: bytes, *, is_last: bool = True, reserved: int = 0, length: int | None = None) -> bytes:
    """A masked frame, or one that says something else of itself."""
    size = len(body) if length is None else length
    told = bytes([size | 0x80]) if size < 126 else struct.pack(">BH", 0xFE, size) if size < 1 << 16 else struct.pack(">BQ", 0xFF, size)
    return bytes([is_last << 7 | reserved << 4 | kind]) + told + bytes(4) + body


BROKEN: Mapping[str, tuple[bytes, int]] = {
    "goes on before it began": (frame(0, b"x"), 1002),
    "begins twice": (frame(TEXT, b"x", is_last=False) + frame(TEXT, b"y"), 1002),
    "reserved bits": (frame(TEXT, SIGN_IN, reserved=4), 1002),
    "unknown kind": (frame(3, b"x"), 1002),
    "long ping": (frame(PING, b"x" * 200), 1002),
    "ping in pieces": (frame(PING, b"x", is_last=False), 1002),
    "no text": (frame(TEXT, b"\xff\xfe"), 1007),
    "close of one byte": (frame(CLOSE, b"x"), 1002),
    "close with no code": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "close in a code of its own": (frame(CLOSE, struct.pack(">H", 4999) + b"bye"), 1000),
    "over the limit": (frame(TEXT, b"x" * ((1 << 20) + 1)), 1009),
    "over the limit in pieces": (frame(TEXT, b"x" * 600_000, is_last=False) + frame(0, b"x" * 600_000), 1009),
    "another protocol": (b"GET / HTTP/1.1\r\n\r\n", 1002),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BROKEN)
async def test_frames_that_break_the_protocol_end_the_socket(box: Sandbox, path: str, name: str, caplog: pytest.LogCaptureFixture):
    """The close says why, nothing is logged, and no line is left."""
    sent, code = BROKEN[name]
    connection = await shaken(box, path)
    connection.send(sent)
    outcome = await connection.end()

    assert outcome.received.endswith(b"\x88\x02" + struct.pack(">H", code))
    await until_only(box, 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def shaken(box: Sandbox, path: str) -> Connection:
    """A bare connection that has become a socket."""
    connection = await connect(box)
    connection.send(f"GET {path} HTTP/1.1\r\n".encode() + HANDSHAKE)
    await connection.heard(b"\r\n\r\n")
    return connection


async def test_a_message_may_come_a_byte_at_a_time_with_pings_between(box: Sandbox):
    """It is one message, and each ping is answered as soon as it comes."""
    connection = await shaken(box, "/v2/iex")
    pieces = [frame(0, SIGN_IN[at : at + 1]) for at in range(1, len(SIGN_IN))]
    goes_on = [bytes([piece[0] & 0x7F]) + piece[1:] for piece in pieces[:-1]]
    connection.send(frame(TEXT, SIGN_IN[:1], is_last=False) + frame(PING, b"there?").join([*goes_on, pieces[-1]]))
    await connection.heard(b'"authenticated"')

    assert bytes(connection.received).count(b"\x8a\x06there?") == len(pieces) - 1


async def test_a_flood_of_pings_is_answered_and_holds_up_nobody(box: Sandbox):
    """Two thousand pings have two thousand pongs; another client is served amid them."""
    connection = await shaken(box, "/v2/iex")
    connection.send(frame(PING, b"x") * 2000)
    async with TradingWire(box) as other:
        await other.listen()
        await connection.heard(b"\x8a\x01x" * 2000)


async def test_as_many_symbols_as_fit_into_a_message_are_taken(box: Sandbox):
    """Some 50,000 symbols are subscribed to at once, and listed; a message of more than a megabyte ends the socket with 1009."""
    symbols = [f"S{number}" for number in range(50_000)]
    async with DataWire(box, "/v2/iex") as wire:
        await wire.sign_in()
        assert len((await wire.subscribe(trades=symbols))["trades"]) == 50_000
        await wire.say({"action": "subscribe", "trades": [f"{symbol}-AND-MORE-OF-IT" for symbol in symbols]})
        assert (await wire.hear(), wire.socket.close_code) == (None, 1009)


@pytest.mark.parametrize(("path", "said"), [("/v2/iex", auth()), ("/stream", authenticate())])
async def test_one_who_vanishes_amid_a_frame_leaves_no_line(box: Sandbox, path: str, said: object):
    """A client that has signed in and breaks off in the middle of a frame is forgotten."""
    async with Wire(box, path) as wire:
        await wire.say(said)
        connection = await shaken(box, path)
        assert len(box.desk.lines) == 2
        connection.send(frame(TEXT, SIGN_IN)[:20])
        connection._transport.abort()
        await until_only(box, 1)

        assert len(box.desk.lines.of(Kind.DATA)) + len(box.desk.lines.of(Kind.TRADING)) == 1

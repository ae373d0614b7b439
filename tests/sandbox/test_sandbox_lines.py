"""Open sockets: what waits in their queues, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandboxes import sandbox
from wires import DataWire, TradingWire, authenticate, listen

from broker_core.clock import StillClock, to_ns
from broker_demo.sandbox.moments import moment_ns
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.codec import BATCH, Codec, Moment, Parcel
from broker_demo.sandbox.sockets.lines import GIVES_UP, Kind, Line

JSON_ARRAYS = Codec(is_msgpack=False, is_binary=False, in_arrays=True)
MSGPACK_ARRAYS = Codec(is_msgpack=True, is_binary=True, in_arrays=True)
CODECS = ((JSON_ARRAYS, msgspec.json.decode), (MSGPACK_ARRAYS, msgspec.msgpack.decode))


def only(box: Sandbox, kind: Kind = Kind.DATA) -> Line:
    """The one line of its kind."""
    (line,) = box.desk.lines.of(kind)
    return line


def leftovers() -> list[str]:
    """The tasks of lines that still run."""
    return [task.get_name() for task in asyncio.all_tasks() if "line" in task.get_name() or "sign-in" in task.get_name()]


async def until_gone(box: Sandbox) -> None:
    """Let the sandbox notice that its clients have gone."""
    while len(box.desk.lines):
        await box.desk.clock.sleep(0)


async def test_registry_knows_open_lines_by_kind_and_path(box: Sandbox):
    """Open lines are found by kind and path, and counted; those that have ended are not among them."""
    lines = box.desk.lines
    async with DataWire(box, "/v2/iex"), DataWire(box, "/v2/sip"), TradingWire(box):
        assert [line.path for line in lines.of(Kind.DATA)] == ["/v2/iex", "/v2/sip"]
        assert [line.kind for line in lines.of(Kind.TRADING)] == [Kind.TRADING]
        assert len(lines.of(Kind.DATA, "/v2/sip")) == 1
        assert len(list(lines)) == 3
    await until_gone(box)

    assert (lines.opened, lines.dropped, leftovers()) == (3, 0, [])


async def test_closing_comes_after_what_was_said(box: Sandbox):
    """What was sent before a close arrives, what is sent after it does not, and the client is told the code."""
    async with DataWire(box) as wire:
        await wire.hear()
        line = only(box)
        line.send([{"T": "last"}])
        line.close(4000)
        line.send([{"T": "too late"}])

        assert await wire.hear() == [{"T": "last"}]
        assert await wire.hear() is None
        assert wire.socket.close_code == 4000
    await until_gone(box)


async def test_dropping_breaks_the_connection(box: Sandbox):
    """A dropped line ends without a close, and is counted."""
    async with DataWire(box) as wire:
        await wire.hear()
        line = only(box)
        line.send([{"T": "never sent"}])
        line.drop()

        assert await wire.hear() is None
        assert wire.socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    await until_gone(box)

    assert (box.desk.lines.dropped, leftovers()) == (1, [])


async def test_mute_line_answers_pings_only(box: Sandbox):
    """A mute line hears and answers pings, and says nothing else, not even to requests."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        only(box).mute()
        await wire.say({"action": "subscribe", "trades": ["AAPL"]})
        for _ in range(3):
            await wire.socket.ping(b"x")

            assert (await wire.socket.receive()).type is aiohttp.WSMsgType.PONG


async def test_half_open_line_is_given_up_in_the_end(box: Sandbox, clock: StillClock):
    """A half-open line answers nothing; after a minute and a half the sandbox gives it up, so that it does not block others for good."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        only(box).half_open()
        await wire.socket.ping()
        await clock.advance(GIVES_UP - 1)
        assert len(box.desk.lines) == 1
        await clock.advance(1)

        assert await wire.hear() is None
        assert wire.socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    await until_gone(box)


async def test_slow_line_delays_each_frame_by_the_clock(box: Sandbox, clock: StillClock):
    """Frames of a slow line are held back one after the other."""
    async with TradingWire(box) as wire:
        await wire.ask(authenticate())
        only(box, Kind.TRADING).slow(5)
        await wire.say(listen())
        await wire.say(listen())
        while 5.0 not in clock.sleeping:
            await clock.sleep(0)
        await clock.advance(5)
        assert (await wire.hear())["stream"] == "listening"
        assert 5.0 in clock.sleeping


async def test_slow_client_is_told_and_cut_off(box: Sandbox):
    """Where more bytes wait than may, and there is more to say, they are thrown away; the client is told why, and cut off."""
    box.desk.lines.limits.unsent = 1000
    async with DataWire(box) as wire, TradingWire(box) as other:
        await wire.hear()
        await other.ask(authenticate())
        for line in (only(box), only(box, Kind.TRADING)):
            line.send([{"T": "q", "n": number} for number in range(BATCH)])
            line.send([{"T": "q", "n": BATCH}])

        assert await wire.hear() == [{"T": "error", "code": 407, "msg": "slow client"}]
        assert await wire.hear() is None
        assert wire.socket.close_code == 1008
        assert (await other.hear())["action"] == "error"
        assert await other.hear() is None


async def test_client_that_keeps_up_may_be_sent_any_amount(box: Sandbox):
    """Only what waits is counted: what has been written makes room, and what is said at once may be longer."""
    box.desk.lines.limits.unsent = 1000
    async with DataWire(box) as wire:
        await wire.hear()
        only(box).send([{"T": "q", "n": number} for number in range(BATCH)])
        assert len(await wire.hear()) == BATCH
        for number in range(30):
            only(box).send([{"T": "q", "n": number, "filler": "x" * 100}])

            assert (await wire.hear_one())["n"] == number


async def test_everything_sent_can_be_bent(box: Sandbox):
    """Every message passes the hook before it is encoded, and what comes out of it is sent."""
    seen: list[tuple[str, list[dict[str, Any]]]] = []

    def bend(kind: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        seen.append((kind, messages))
        return [message | {"bent": True} for message in messages] * 2

    async with TradingWire(box) as wire:
        only(box, Kind.TRADING).bend = bend
        first = await wire.ask(authenticate())

        assert first == await wire.hear()
        assert first["bent"]
    assert [(kind, messages[0]["stream"]) for kind, messages in seen] == [("trading", "authorization")]


async def test_bending_one_line_leaves_the_others_alone(box: Sandbox):
    """What one line does to its messages is not seen on another that is sent the same."""
    async with DataWire(box, "/v2/iex") as bent, DataWire(box, "/v2/sip") as straight:
        for wire in (bent, straight):
            await wire.hear()
        first, second = box.desk.lines.of(Kind.DATA)
        first.bend = lambda kind, messages: [message.update(T="x") or message for message in messages]
        parcel = Parcel([{"T": "t"}])
        for line in (first, second):
            line.send(parcel)

        assert (await bent.hear(), await straight.hear()) == ([{"T": "x"}], [{"T": "t"}])


async def test_stopping_ends_every_line(clock: StillClock):
    """When the sandbox stops, clients are told that it goes away, whatever state their lines are in; no task is left."""
    box = sandbox(clock)
    await box.start()
    async with DataWire(box, "/v2/iex") as wire, DataWire(box, "/v2/sip") as half, TradingWire(box) as slow:
        await wire.hear()
        box.desk.lines.of(Kind.DATA, "/v2/sip")[0].half_open()
        only(box, Kind.TRADING).slow(60)
        await slow.say(authenticate())
        await asyncio.gather(box.stop(), wire.hear())

        assert wire.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
        assert leftovers() == []
        assert half is not None


async def test_market_that_fails_says_so(box: Sandbox, clock: StillClock, monkeypatch: pytest.MonkeyPatch):
    """When the market breaks, both sockets say that it was an internal error, and close."""
    async with DataWire(box) as wire, TradingWire(box) as other:
        await wire.sign_in()
        await other.ask(authenticate())
        monkeypatch.setattr(box.desk.exchange, "advance", lambda now_ns: 1 / 0)
        box.desk.venue.wake()

        assert await wire.hear() == [{"T": "error", "code": 500, "msg": "internal error"}]
        assert await other.hear() == {"action": "error", "data": {"error_message": "internal server error"}}
        assert await wire.hear() is await other.hear() is None
        assert wire.socket.close_code == other.socket.close_code == 1011


async def test_client_that_vanishes_leaves_nothing(box: Sandbox):
    """A connection that is reset by the client ends here too, with its tasks and its subscriptions."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"])
        wire.socket._response.connection.transport.abort()
        await until_gone(box)

        assert leftovers() == []
        assert box.desk.lines.dropped == 0


async def test_oversized_message_ends_the_connection(box: Sandbox):
    """A message of more than a megabyte is refused by the protocol, and nothing breaks."""
    async with TradingWire(box) as wire:
        await wire.say("x" * ((1 << 20) + 1))

        assert await wire.hear() is None
        assert wire.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    async with TradingWire(box) as wire:
        assert (await wire.ask(authenticate()))["data"]["status"] == "authorized"


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1])
def test_arrays_hold_a_bounded_number_of_messages(count: int):
    """Messages are joined into arrays, in order, none of them too long and none empty."""
    messages = [{"n": number} for number in range(count)]
    frames = [msgspec.json.decode(frame) for frame in JSON_ARRAYS.frames(messages)]

    assert [message for frame in frames for message in frame] == messages
    assert all(1 <= len(frame) <= BATCH for frame in frames)


def test_messages_are_encoded_once_for_each_way_of_writing():
    """Text and binary frames of the same JSON share their bytes; arrays and MessagePack are others."""
    parcel = Parcel([{"T": "t"}])
    ways = [(False, False, False), (False, True, False), (False, False, True), (True, True, True)]
    text, binary, array, packed = (parcel.frames(Codec(*way))[0] for way in ways)

    assert text is binary
    assert len({text, array, packed}) == 3


@given(st.integers(-(10**18), 2**62))
def test_moments_survive_both_codecs(ns: int):
    """Any moment is the same after JSON, to the nanosecond, and after MessagePack, as near as its decoder has it."""
    message = {"t": Moment(ns)}
    (text,), (packed,) = (read(codec.frames([message])[0]) for codec, read in CODECS)

    assert moment_ns(text["t"]) == ns
    assert abs(to_ns(packed["t"]) - ns) <= 500


@pytest.mark.parametrize(
    ("moment", "length"),
    [
        (datetime(2026, 3, 2, tzinfo=UTC), 4),
        (datetime(2026, 3, 2, 0, 0, 0, 1, tzinfo=UTC), 8),
        (datetime(2200, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 8),
        (datetime(1969, 1, 1, tzinfo=UTC), 12),
    ],
)
def test_timestamps_are_as_short_as_can_be(moment: datetime, length: int):
    """MessagePack's timestamps have 4 bytes for whole seconds, 8 with a fraction, and 12 before 1970."""
    frame = MSGPACK_ARRAYS.frames([Moment(int(moment.timestamp() * 1_000_000) * 1000)])[0]

    assert isinstance(msgspec.msgpack.decode(frame)[0], datetime)
    assert len(frame) - len(b"\x91\xc7\x0c\xff" if length == 12 else b"\x91\xd6\xff") == length

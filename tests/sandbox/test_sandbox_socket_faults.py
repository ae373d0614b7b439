"""Faults of sockets over real connections: what a client hears, and when it hears no more."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import msgspec
import pytest
from raw_http import connect, until_asleep
from sandboxes import Visitor
from wires import SIGNED, DataWire, TradingWire, auth, authenticate, listen

from broker_core.clock import StillClock
from broker_demo.sandbox.faults.script import read_fault
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.codec import half_frame
from broker_demo.sandbox.sockets.lines import GIVES_UP


def begin(box: Sandbox, kind: str, **terms: Any) -> str:
    """Have a fault strike from now on, and return its id."""
    return box.desk.faults.add(read_fault({"kind": kind, **terms}, "test")).fault_id


async def order_and_cancel(visitor: Visitor) -> None:
    """Have three order events happen: pending_new, new, canceled."""
    order = await visitor.order(type="limit", limit_price="1")
    await visitor.ask("DELETE", f"/v2/orders/{order['id']}")


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ({"kind": "lose"}, ["pending_new", "canceled", "probe"]),
        ({"kind": "duplicate"}, ["pending_new", "new", "new", "canceled", "probe"]),
        ({"kind": "reorder"}, ["pending_new", "canceled", "new", "probe"]),
        ({"kind": "reorder", "count": 1}, ["pending_new", "canceled", "new", "probe"]),
        ({"kind": "reorder", "event": "canceled"}, ["pending_new", "new", "probe", "canceled"]),
        ({"kind": "unknown_value"}, ["pending_new", "unheard_of", "canceled", "probe"]),
        ({"kind": "unknown_value", "value": 7}, ["pending_new", 7, "canceled", "probe"]),
        ({"kind": "drop"}, ["pending_new", None]),
        ({"kind": "drop", "event": "pending_new"}, [None]),
        ({"kind": "drop", "event": "canceled"}, ["pending_new", "new", None]),
        ({"kind": "truncated_frame"}, ["pending_new", None]),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else None,
)
async def test_what_is_heard_of_three_events(box: Sandbox, visitor: Visitor, fault: dict[str, Any], heard: list[str | None]):
    """The fault strikes the event it is meant for and no other, and the exchange goes on as if nothing were."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, **{"event": "new", **fault})
        await order_and_cancel(visitor)
        box.desk.updates.announce("probe", box.desk.exchange.state.orders[0])

        messages = [await wire.hear() for _ in heard]
        # A socket that breaks ends without the protocol's own farewell.
        assert wire.socket.close_code == (1006 if None in heard else None)

    assert [message and message["data"]["event"] for message in messages] == heard
    assert box.desk.exchange.state.orders[0].status == "canceled"


async def test_neighbours_swap_when_each_message_is_struck(box: Sandbox, visitor: Visitor):
    """A message that waits comes right after the next one, which does not wait for a third."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "reorder", socket="trading")
        for _ in range(2):
            await order_and_cancel(visitor)

        heard = [update["event"] for update in await wire.updates(6)]

    assert heard == ["new", "pending_new", "pending_new", "canceled", "canceled", "new"]


async def test_a_field_nobody_knows_is_in_the_event_and_in_the_order(box: Sandbox, visitor: Visitor):
    """Changes add up with a value nobody knows."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "extra_field", socket="trading", member="novelty", value=1)
        begin(box, "unknown_value", socket="trading", member="status")
        await visitor.order(type="limit", limit_price="1")

        update = await wire.update()

    assert (update["event"], update["novelty"], update["order"]["novelty"]) == ("pending_new", 1, 1)
    assert update["order"]["status"] == "unheard_of"


@pytest.mark.parametrize("member", ["data", "order", "stream"])
async def test_changes_of_anything_add_up(box: Sandbox, visitor: Visitor, member: str):
    """A message that has lost its shape to one fault is told all the same, whatever the next one would do to it."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "unknown_value", socket="trading", member=member, value=7)
        begin(box, "extra_field", socket="trading")
        await visitor.order(type="limit", limit_price="1")

        message = await wire.hear()

    assert {**message, **(message["data"] if member == "order" else {})}[member] == 7


async def test_faults_of_data_go_by_letter_and_symbol(box: Sandbox, clock: StillClock):
    """Quotes in one symbol are lost; its trades and the other's quotes come. Answers to the client are never struck."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        begin(box, "lose", event="q", symbol="AAPL")
        begin(box, "extra_field", socket="data")
        assert "unheard_of" not in await wire.subscribe(trades=["AAPL"], quotes=["AAPL", "MSFT"])
        await clock.advance(5)

        messages = await wire.messages(8)

    assert {(message["T"], message["S"]) for message in messages} == {("t", "AAPL"), ("q", "MSFT")}
    assert all("unheard_of" in message for message in messages)


async def test_a_mute_socket_is_open_and_silent(box: Sandbox, visitor: Visitor):
    """From the message on nothing is told, but a ping is answered."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "mute", event="new", count=1)
        await order_and_cancel(visitor)
        assert (await wire.update())["event"] == "pending_new"

        await wire.socket.ping(b"there?")
        answer = await wire.socket.receive()

    assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_a_half_open_socket_does_not_even_answer_pings(box: Sandbox, visitor: Visitor, clock: StillClock):
    """Nothing comes any more until this side gives the connection up as well."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "half_open", event="new", count=1)
        await order_and_cancel(visitor)
        assert (await wire.update())["event"] == "pending_new"

        await wire.socket.ping(b"there?")
        await until_asleep(clock, GIVES_UP)
        assert len(box.desk.lines) == 1
        await clock.advance(GIVES_UP)

        assert await wire.hear() is None
        assert wire.kind is not aiohttp.WSMsgType.PONG


async def test_a_slow_socket_lags(box: Sandbox, visitor: Visitor, clock: StillClock):
    """From the message on each frame waits for the seconds of the fault, and those behind it wait as well."""
    async with TradingWire(box) as wire:
        await wire.listen()
        begin(box, "slow", socket="trading", seconds=3, count=1)
        hearing = asyncio.create_task(wire.updates(3))
        await order_and_cancel(visitor)
        for _ in range(3):
            await until_asleep(clock, 3)
            assert not hearing.done()
            await clock.advance(3)

        assert [update["event"] for update in await hearing] == ["pending_new", "new", "canceled"]


async def test_sockets_are_dropped_by_the_clock(box: Sandbox, clock: StillClock):
    """Every so many seconds all those of its kind; the others stay. It ends with the fault."""
    async with TradingWire(box) as trading, DataWire(box) as data:
        await trading.listen()
        await data.sign_in()
        fault_id = begin(box, "drop", socket="trading", seconds=7)
        await clock.advance(6.9)
        assert len(box.desk.lines) == 2

        await clock.advance(0.1)
        assert await trading.hear() is None

        async with TradingWire(box) as again:
            await again.listen()
            box.desk.faults.remove(fault_id)
            await clock.advance(20)
            assert await again.ask(listen()) == {"stream": "listening", "data": {"streams": []}}
        assert (await data.subscribe(trades=["AAPL"]))["T"] == "subscription"


async def test_a_dropped_socket_is_reset_and_a_torn_frame_comes_by_half(box: Sandbox, visitor: Visitor):
    """On the wire: the head of a frame, half of what it promises, and RST instead of an end."""
    begin(box, "truncated_frame", event="new")
    connection = await connect(box)
    handshake = ["GET /stream HTTP/1.1", "Host: sandbox", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    handshake += [f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}", "", ""]
    connection.send("\r\n".join(handshake).encode())
    for said in (authenticate(), listen("trade_updates")):
        body = msgspec.json.encode(said)
        # A mask of zeros leaves the body as it is.
        connection.send(bytes([0x81, 0x80 | 126]) + len(body).to_bytes(2, "big") + bytes(4) + body)
    await connection.heard(b"listening")
    await visitor.order(type="limit", limit_price="1")

    outcome = await connection.end()

    *whole, (promised, torn) = frames(outcome.received.partition(b"\r\n\r\n")[2])
    assert outcome.was_reset
    assert [msgspec.json.decode(body)["stream"] for _, body in whole] == ["authorization", "listening", "trade_updates"]
    assert torn.startswith(b'{"stream":"trade_updates"')
    assert len(torn) == promised // 2


def frames(received: bytes) -> list[tuple[int, bytes]]:
    """How long each frame would be, and what came of its body."""
    found = []
    while received:
        length, start = received[1], 2
        if length == 126:
            length, start = int.from_bytes(received[2:4], "big"), 4
        found.append((length, received[start : start + length]))
        received = received[start + length :]
    return found


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
@pytest.mark.parametrize("is_binary", [True, False])
async def test_half_a_frame_has_the_head_of_a_whole_one(length: int, is_binary: bool):
    """The head is the one that aiohttp writes for a frame of this length, and half of the body follows."""
    written = bytearray()

    class Transport(asyncio.Transport):
        def write(self, data: Any) -> None:
            written.extend(data)

        def is_closing(self) -> bool:
            return False

    protocol = aiohttp.base_protocol.BaseProtocol(asyncio.get_running_loop())
    sender = aiohttp.http.WebSocketWriter(protocol, Transport())
    await sender.send_frame(bytes(length), aiohttp.WSMsgType.BINARY if is_binary else aiohttp.WSMsgType.TEXT)

    assert half_frame(bytes(length), is_binary=is_binary) == bytes(written[: len(written) - length + length // 2])


async def test_too_many_sockets(box: Sandbox, clock: StillClock):
    """A data socket is told 406 until the seconds are over; a trading one meets 429 on its handshake."""
    begin(box, "connection_limit", lasts=30)

    async with DataWire(box) as wire:
        await wire.hear()
        assert await wire.ask(auth()) == {"T": "error", "code": 406, "msg": "connection limit exceeded"}
        assert await wire.hear() is None
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await TradingWire(box).__aenter__()
    assert refused.value.status == 429
    await clock.advance(30)

    async with DataWire(box) as data, TradingWire(box) as trading:
        await data.sign_in()
        await trading.listen()


async def test_too_many_trading_sockets_show_at_the_handshake_alone(box: Sandbox):
    """The limit counts handshakes: a socket that came to be can sign in."""
    begin(box, "connection_limit", socket="trading", every=2)

    for _ in range(2):
        async with TradingWire(box) as wire:
            await wire.listen()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await TradingWire(box).__aenter__()


async def test_the_right_keys_are_refused(box: Sandbox):
    """As often as the fault may strike, on either socket, and also where they come with the handshake."""
    begin(box, "refuse_sign_in", socket="trading", count=1)
    begin(box, "refuse_sign_in", socket="data", count=2)

    async with TradingWire(box) as trading, DataWire(box) as data, DataWire(box, headers=SIGNED) as signed:
        assert (await trading.ask(authenticate()))["data"]["status"] == "unauthorized"
        await data.hear()
        await signed.hear()
        assert [await data.ask(auth()), await signed.hear_one()] == [{"T": "error", "code": 402, "msg": "auth failed"}] * 2
        await trading.listen()
    async with DataWire(box) as again:
        await again.sign_in()


async def test_wrong_keys_do_not_use_a_fault_up(box: Sandbox):
    """It strikes only those who would have been let in."""
    begin(box, "refuse_sign_in", count=1)

    async with TradingWire(box) as wire:
        assert (await wire.ask(authenticate(secret="wrong")))["data"]["status"] == "unauthorized"
        assert [fault.struck for fault in box.desk.faults] == [0]


async def test_a_refused_handshake_has_its_status(box: Sandbox, visitor: Visitor):
    """The socket that is meant is refused in Alpaca's shape; faults of requests pass handshakes by."""
    begin(box, "refuse_handshake", socket="data", status=403, count=1)
    begin(box, "error")

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await DataWire(box).__aenter__()
    assert refused.value.status == 403
    async with DataWire(box) as data, TradingWire(box) as trading:
        await data.sign_in()
        await trading.listen()
    assert (await visitor.get("/v2/account")).status == 500


async def test_a_fill_is_told_and_taken_back(box: Sandbox, visitor: Visitor, clock: StillClock):
    """Only in the symbol that is meant, and after the fill itself; to be taken back is no fill."""
    begin(box, "bust", symbol="AAPL")
    async with TradingWire(box) as wire:
        await wire.listen()
        for symbol in ("MSFT", "AAPL"):
            await visitor.order(symbol=symbol)
            await clock.advance(1)

        updates = await wire.updates(7)

    assert [update["event"] for update in updates] == ["pending_new", "new", "fill", "pending_new", "new", "fill", "trade_bust"]
    assert updates[-1]["previous_execution_id"] == updates[-2]["execution_id"]
    assert list(box.desk.exchange.state.ledger.positions) == ["MSFT"]
    assert [(fault.seen, fault.struck) for fault in box.desk.faults] == [(1, 1)]


async def test_a_late_cancellation_is_told_as_pending(box: Sandbox, visitor: Visitor, clock: StillClock):
    """First pending_cancel, with that status, and then canceled when it is carried out."""
    begin(box, "late_cancel", seconds=2)
    async with TradingWire(box) as wire:
        await wire.listen()
        await order_and_cancel(visitor)
        await clock.advance(2)

        updates = await wire.updates(4)

    assert [update["order"]["status"] for update in updates] == ["pending_new", "new", "pending_cancel", "canceled"]


async def test_lines_are_left_alone_while_there_is_no_fault(box: Sandbox, visitor: Visitor):
    """Nothing stands between the exchange and a socket but while a fault of messages may strike; the next message ends it."""
    async with TradingWire(box) as wire:
        await wire.listen()
        (line,) = box.desk.lines
        assert line.bend is None

        fault_id = begin(box, "lose", socket="data")
        assert line.bend is not None
        box.desk.faults.remove(fault_id)
        await visitor.order()

        assert line.bend is None

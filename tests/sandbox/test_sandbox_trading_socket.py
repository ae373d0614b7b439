"""The trading socket, over a real connection: who is let in, in which frames, and what is made of nonsense."""

from __future__ import annotations

import aiohttp
import pytest
from sandboxes import KEY, SECRET, sandbox
from wires import MSGPACK, TradingWire, authenticate, listen

from broker_core.clock import StillClock
from broker_core.secret import Secret
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.signing import KeyPair

AUTHORIZED = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
UNAUTHORIZED = {"stream": "authorization", "data": {"status": "unauthorized", "action": "authenticate"}}
BROKEN = {"action": "error", "data": {"error_message": "internal server error"}}


@pytest.mark.parametrize("path", ["/stream", "/stream/"])
async def test_client_speaks_first_and_listens(box: Sandbox, path: str):
    """There is no welcome: the first frame answers the sign-in, the second the choice of streams."""
    async with TradingWire(box, path) as wire:
        assert await wire.ask(authenticate()) == AUTHORIZED
        assert await wire.ask(listen("trade_updates")) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}


@pytest.mark.parametrize(
    "said",
    [
        {"action": "auth", "key": KEY, "secret": SECRET},
        {"action": "authenticate", "data": {"oauth_token": SECRET}},
    ],
)
async def test_other_forms_of_signing_in(box: Sandbox, said: object):
    """The newer form and an access token are answered alike."""
    async with TradingWire(box) as wire:
        assert await wire.ask(said) == AUTHORIZED


@pytest.mark.parametrize(
    "said",
    [authenticate(secret="wrong"), {"action": "authenticate"}, {"action": "authenticate", "data": {"key_id": 7, "secret_key": None}}],
)
async def test_wrong_keys_are_unauthorized(box: Sandbox, said: object):
    """Wrong or missing keys are refused in words; the connection stays, and the right ones are still welcome."""
    async with TradingWire(box) as wire:
        assert await wire.ask(said) == UNAUTHORIZED
        assert await wire.ask(authenticate()) == AUTHORIZED


async def test_listening_needs_a_sign_in(box: Sandbox):
    """Whoever listens before signing in is told that this action is unauthorized."""
    async with TradingWire(box) as wire:
        assert await wire.ask(listen("trade_updates")) == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "listen"},
        }


async def test_listening_replaces_the_list(box: Sandbox):
    """Unknown streams are dropped from the answer, and an empty list ends it all."""
    async with TradingWire(box) as wire:
        await wire.ask(authenticate())

        assert (await wire.ask(listen("weather", "trade_updates")))["data"] == {"streams": ["trade_updates"]}
        assert (await wire.ask(listen()))["data"] == {"streams": []}


async def test_paper_keys_get_binary_frames(box: Sandbox):
    """Paper sends JSON in binary frames."""
    async with TradingWire(box) as wire:
        await wire.ask(authenticate())

        assert wire.kind is aiohttp.WSMsgType.BINARY


async def test_live_keys_get_text_frames(clock: StillClock):
    """Keys of a live account are answered in text frames."""
    box = sandbox(clock)
    async with box:
        box.desk.keys = KeyPair("AKSANDBOXTEST", Secret(SECRET))
        async with TradingWire(box) as wire:
            assert await wire.ask(authenticate("AKSANDBOXTEST")) == AUTHORIZED
            assert wire.kind is aiohttp.WSMsgType.TEXT


async def test_messagepack_goes_both_ways(box: Sandbox):
    """With its header on the handshake, both sides speak MessagePack."""
    async with TradingWire(box, headers=MSGPACK) as wire:
        await wire.listen()

        assert wire.kind is aiohttp.WSMsgType.BINARY


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "7", '{"action":"dance"}', '{"action":"listen","data":7}', "[" * 5000, b"\xff\xfe", '{"action":"listen","data":{}}'],
)
async def test_nonsense_is_an_error_and_ends_the_connection(box: Sandbox, said: str | bytes):
    """What cannot be read is answered with an error, and then the connection is closed; others are none the worse for it."""
    async with TradingWire(box) as wire, TradingWire(box) as other:
        await wire.ask(authenticate())

        assert await wire.ask(said) == BROKEN
        assert await wire.hear() is None
        assert wire.socket.close_code == 1007
        assert await other.ask(authenticate()) == AUTHORIZED


async def test_messages_in_fragments_are_put_together(box: Sandbox):
    """A message that arrives in several frames is one message."""
    async with TradingWire(box) as wire:
        body = b'{"action":"authenticate","data":{"key_id":"%s","secret_key":"%s"}}' % (KEY.encode(), SECRET.encode())
        writer = wire.socket._writer
        first, rest = body[:20], body[20:]
        writer.transport.write(_frame(0x01, first) + _frame(0x80, rest))

        assert await wire.hear() == AUTHORIZED


def _frame(head: int, body: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    return bytes([head, 0x80 | len(body), 0, 0, 0, 0]) + body


async def test_pings_are_answered(box: Sandbox):
    """A ping is answered with its own body."""
    async with TradingWire(box) as wire:
        await wire.socket.ping(b"there?")
        answer = await wire.socket.receive()

        assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_request_without_an_upgrade_is_refused(box: Sandbox):
    """A plain request to the socket's path is a bad request, no crash."""
    async with aiohttp.ClientSession() as session, session.get(box.addresses.trading_url + "/stream") as response:
        assert response.status == 400

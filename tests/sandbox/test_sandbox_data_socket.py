"""The data sockets, over real connections: signing in, subscribing, and every error of their list."""

from __future__ import annotations

import aiohttp
import msgspec
import pytest
from sandboxes import KEY, SECRET
from wires import MSGPACK, SIGNED, DataWire, auth

from broker_core.clock import StillClock
from broker_demo.sandbox.server import Sandbox
from broker_demo.sandbox.sockets.data_socket import SIGN_IN_WITHIN
from broker_demo.sandbox.sockets.feeds import FEEDS

CONNECTED = {"T": "success", "msg": "connected"}
AUTHENTICATED = {"T": "success", "msg": "authenticated"}
STOCKS = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "corrections", "cancelErrors")


def error(code: int, message: str) -> dict[str, object]:
    """An error as it is sent."""
    return {"T": "error", "code": code, "msg": message}


@pytest.mark.parametrize("path", FEEDS)
async def test_every_feed_welcomes_and_signs_in(box: Sandbox, path: str):
    """Each path greets unasked and takes the keys, each in a frame of its own."""
    async with DataWire(box, path) as wire:
        await wire.sign_in()

        assert wire.kind is aiohttp.WSMsgType.TEXT


async def test_sign_in_may_come_before_the_welcome_is_read(box: Sandbox):
    """A client that signs in at once is welcomed first all the same."""
    async with DataWire(box) as wire:
        await wire.say(auth())

        assert [await wire.hear(), await wire.hear()] == [[CONNECTED], [AUTHENTICATED]]


async def test_keys_on_the_handshake_sign_in_at_once(box: Sandbox):
    """With keys in the handshake's headers ``authenticated`` follows unasked, and signing in once more is an error that harms nothing."""
    async with DataWire(box, headers=SIGNED) as wire:
        assert [await wire.hear(), await wire.hear()] == [[CONNECTED], [AUTHENTICATED]]
        assert await wire.ask(auth()) == error(403, "already authenticated")
        assert (await wire.subscribe(trades=["AAPL"]))["T"] == "subscription"


async def test_access_token_signs_in(box: Sandbox):
    """The key ``oauth`` says that the secret is a token."""
    async with DataWire(box) as wire:
        await wire.hear()

        assert await wire.ask(auth("oauth", SECRET)) == AUTHENTICATED


@pytest.mark.parametrize(
    "said", [auth(secret="wrong"), auth("oauth", "wrong"), {"action": "auth"}, {"action": "auth", "key": 1, "secret": []}]
)
async def test_wrong_keys_are_fatal(box: Sandbox, said: object):
    """Wrong keys are refused and the connection is closed."""
    async with DataWire(box) as wire:
        await wire.hear()

        assert await wire.ask(said) == error(402, "auth failed")
        assert await wire.hear() is None


async def test_wrong_keys_on_the_handshake_are_fatal(box: Sandbox):
    """The same goes for keys in the headers."""
    async with DataWire(box, headers={**SIGNED, "APCA-API-SECRET-KEY": "wrong"}) as wire:
        await wire.hear()

        assert await wire.hear_one() == error(402, "auth failed")
        assert await wire.hear() is None


async def test_client_has_ten_seconds_to_sign_in(box: Sandbox, clock: StillClock):
    """Whoever does not sign in within ten seconds is told so and cut off; whoever did is not."""
    async with DataWire(box, "/v2/sip") as late, DataWire(box) as wire:
        await late.hear()
        await wire.sign_in()
        await clock.advance(SIGN_IN_WITHIN)

        assert await late.hear_one() == error(404, "auth timeout")
        assert await late.hear() is None
        assert (await wire.subscribe(trades=["AAPL"]))["trades"] == ["AAPL"]


async def test_subscribing_needs_a_sign_in(box: Sandbox):
    """Subscribing before signing in is refused, and signing in is still possible."""
    async with DataWire(box) as wire:
        await wire.hear()

        assert await wire.subscribe(trades=["AAPL"]) == error(401, "not authenticated")
        assert await wire.ask(auth()) == AUTHENTICATED


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 5000,
        b"\xff",
        '{"action":"dance"}',
        '{"action":["subscribe"]}',
        {"action": "subscribe", "trades": "AAPL"},
        {"action": "subscribe", "trades": [7]},
        {"action": "subscribe", "trades": ["no such thing"]},
        {"action": "subscribe", "trades": ["BTC/USD"]},
        {"action": "unsubscribe", "trades": None},
    ],
)
async def test_nonsense_is_invalid_syntax_and_harmless(box: Sandbox, said: object):
    """What cannot be read, and symbols that cannot be, are an error; the subscriptions stay as they were."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"])

        assert await wire.ask(said) == error(400, "invalid syntax")
        assert (await wire.subscribe())["trades"] == ["AAPL"]


async def test_subscriptions_are_incremental_and_listed_in_full(box: Sandbox):
    """Each acknowledgement lists every channel of the feed; corrections and cancellations follow the trades."""
    async with DataWire(box) as wire:
        await wire.sign_in()

        first = await wire.subscribe(trades=["MSFT"], quotes=[], bars=["*"])
        assert tuple(first) == ("T", *STOCKS)
        assert {channel: symbols for channel, symbols in first.items() if symbols} == {
            "T": "subscription",
            "trades": ["MSFT"],
            "bars": ["*"],
            "corrections": ["MSFT"],
            "cancelErrors": ["MSFT"],
        }
        assert (await wire.subscribe(trades=["AAPL"]))["trades"] == ["AAPL", "MSFT"]
        left = await wire.ask({"action": "unsubscribe", "trades": ["MSFT", "TSLA"], "bars": ["*"]})
        assert (left["trades"], left["bars"]) == (["AAPL"], [])


@pytest.mark.parametrize(
    ("path", "channels"),
    [
        ("/v1beta3/crypto/us", ("trades", "quotes", "bars", "updatedBars", "dailyBars", "orderbooks")),
        ("/v1beta1/news", ("news",)),
        ("/v2/test", STOCKS),
    ],
)
async def test_acknowledgement_has_the_channels_of_its_feed(box: Sandbox, path: str, channels: tuple[str, ...]):
    """Which channels an acknowledgement lists depends on the feed."""
    async with DataWire(box, path) as wire:
        await wire.sign_in()

        assert await wire.subscribe() == {"T": "subscription", **{channel: [] for channel in channels}}


@pytest.mark.parametrize(("path", "channel"), [("/v2/iex", "orderbooks"), ("/v2/iex", "news"), ("/v1beta3/crypto/us", "lulds")])
async def test_channel_of_another_feed(box: Sandbox, path: str, channel: str):
    """A channel that the feed does not have is refused; an empty list of it is none."""
    async with DataWire(box, path) as wire:
        await wire.sign_in()

        assert await wire.subscribe(**{channel: ["*"]}) == error(410, "invalid subscribe action for this feed")
        assert (await wire.subscribe(**{channel: []}))["T"] == "subscription"


async def test_symbol_limit_leaves_everything_as_it_was(box: Sandbox):
    """More trades and quotes than the plan has are refused as a whole; bars do not count."""
    box.desk.lines.limits.symbols = 2
    async with DataWire(box) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"], quotes=["AAPL"], bars=["*"])

        assert await wire.subscribe(trades=["MSFT"], bars=["TSLA"]) == error(405, "symbol limit exceeded")
        assert await wire.subscribe(quotes=["*"]) == error(405, "symbol limit exceeded")
        now = await wire.subscribe()
        assert (now["trades"], now["quotes"], now["bars"]) == (["AAPL"], ["AAPL"], ["*"])


async def test_one_connection_for_each_feed(box: Sandbox):
    """A second connection to one feed is refused after signing in, and welcome once the first has gone; other feeds are others."""
    async with DataWire(box, "/v2/sip") as elsewhere:
        await elsewhere.sign_in()
        async with DataWire(box) as first, DataWire(box) as second:
            await first.sign_in()
            await second.hear()

            assert await second.ask(auth()) == error(406, "connection limit exceeded")
            assert await second.hear() is None
        async with DataWire(box) as third:
            await third.sign_in()


async def test_connections_may_be_unlimited(box: Sandbox):
    """The limit of connections can be lifted."""
    box.desk.lines.limits.connections = None
    async with DataWire(box) as one, DataWire(box) as other:
        await one.sign_in()
        await other.sign_in()


async def test_feed_that_the_plan_does_not_have(box: Sandbox):
    """A feed outside the plan is refused after signing in, and the connection is closed."""
    box.desk.lines.limits.feeds = frozenset({"/v2/iex"})
    async with DataWire(box, "/v2/sip") as wire:
        await wire.hear()

        assert await wire.ask(auth()) == error(409, "insufficient subscription")
        assert await wire.hear() is None


async def test_options_speak_messagepack_only(box: Sandbox):
    """Options want MessagePack, and no star on quotes; what is left is taken, and silent."""
    async with DataWire(box, "/v1beta1/indicative") as wire:
        await wire.sign_in()
        assert (await wire.subscribe(trades=["AAPL240315C00172500"]))["code"] == 412
    async with DataWire(box, "/v1beta1/indicative", headers=MSGPACK) as wire:
        await wire.sign_in()
        assert (await wire.subscribe(quotes=["*"]))["code"] == 413
        assert await wire.subscribe(trades=["*"]) == {"T": "subscription", "trades": ["*"], "quotes": []}


async def test_messagepack_has_timestamps_of_its_own(box: Sandbox, clock: StillClock):
    """With its header both sides speak MessagePack, and moments are its timestamp extension in its shortest form."""
    async with DataWire(box, headers=MSGPACK) as wire:
        await wire.sign_in()
        await wire.subscribe(trades=["AAPL"])
        await clock.advance(1)
        frame = await wire.socket.receive()

    (message,) = msgspec.msgpack.decode(frame.data)
    assert frame.type is aiohttp.WSMsgType.BINARY
    assert message["t"].isoformat() == "2026-03-02T15:00:01+00:00"
    assert b"\xd6\xff" in frame.data


async def test_busy_feeds_can_be_compressed(box: Sandbox, clock: StillClock):
    """Compression is agreed on with a client that offers it, and what arrives is the same."""
    async with DataWire(box, compress=15) as wire:
        assert wire.socket.compress == 15
        await wire.sign_in()
        await wire.subscribe(quotes=["*"])
        await clock.advance(1)

        assert {message["T"] for message in await wire.hear()} == {"q"}


async def test_fragmented_subscription(box: Sandbox):
    """A message in several frames is one message, as one Python client sends it."""
    async with DataWire(box) as wire:
        await wire.sign_in()
        body = msgspec.json.encode({"action": "subscribe", "trades": ["AAPL"]})
        write = wire.socket._writer.transport.write
        write(bytes([0x01, 0x80 | 9, 0, 0, 0, 0]) + body[:9])
        write(bytes([0x80, 0x80 | len(body) - 9, 0, 0, 0, 0]) + body[9:])

        assert (await wire.hear_one())["trades"] == ["AAPL"]


async def test_keys_are_told_to_nobody(box: Sandbox):
    """No refusal holds the key or the secret that was tried."""
    async with DataWire(box) as wire:
        await wire.hear()
        answer = str(await wire.ask(auth(KEY, SECRET + "x")))

    assert SECRET not in answer
    assert KEY not in answer

"""What nobody should say over the sandbox's sockets, and somebody who says it and listens to what is answered."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import attrs
import msgspec
from hypothesis import strategies as st
from rubbish import values
from wires import MSGPACK, auth, authenticate, listen

from broker_demo.sandbox.server import Sandbox

PATHS = ("/stream", "/v2/iex", "/v2/test", "/v1beta1/news", "/v1beta3/crypto/us", "/v1beta1/opra")
ERRORS: Mapping[int, str] = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack format",
    413: "star subscription is not allowed for option quotes",
}
"""What a data socket may say to one who makes no sense."""
_CLOSES = frozenset({1000, 1002, 1007, 1008, 1009})
_TEXT, _BINARY = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
_ACTIONS = ("auth", "authenticate", "subscribe", "unsubscribe", "listen", "AUTH", "", None, 1, [], {}, True)
_CHANNELS = ("trades", "quotes", "bars", "news", "orderbooks", "corrections", "imbalances", "nothing", "T", "", "action")
_SYMBOLS = st.sampled_from(["AAPL", "BTC/USD", "FAKEPACA", "*", "NOPE", "aapl", "", "A" * 40, "\u202e"])
_said = st.fixed_dictionaries(
    {"action": st.sampled_from(_ACTIONS)},
    optional={
        **dict.fromkeys(_CHANNELS[:-1], st.lists(_SYMBOLS | values, max_size=3) | values),
        **dict.fromkeys(("key", "secret", "oauth_token"), values),
        "data": values | st.fixed_dictionaries({}, optional=dict.fromkeys(("key_id", "secret_key", "streams", "oauth_token"), values)),
    },
)
_sensible = st.sampled_from(
    [
        auth(),
        auth(key="wrong"),
        auth(key="oauth"),
        authenticate(),
        authenticate(secret="wrong"),
        listen("trade_updates"),
        listen("nothing"),
        {"action": "subscribe", "trades": ["AAPL"], "bars": ["*"]},
        {"action": "unsubscribe", "trades": ["AAPL"]},
        {"action": "subscribe", "news": ["*"]},
        {"action": "subscribe", "quotes": ["*"]},
    ]
)
_objects = _sensible | _said | values
_ODD_TEXTS = (
    "",
    " ",
    "{",
    "null",
    "NaN",
    '"auth"',
    "[" * 200_000,
    '{"action":' * 50_000,
    '{"action":"auth"}{}',
    '{"action":"auth","action":"listen"}',
    "\0",
    "9" * 5000,
)
_ODD_BYTES = (
    b"",
    b"\xc1",
    b"\xff\xfe\xfd",
    b"\x93\x01",
    b"\x91" * 100_000,
    b"\x81\xa6action" * 50_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xd4\x05\x00",
    b"\x81\xa6action\xc7\x05\x2arubbi",
    b"\x81\xa6action\xd6\xff\xff\xff\xff\xff",
    b"\x81\xa6action\xc7\x0c\xff" + struct.pack(">Iq", 2**32 - 1, 2**63 - 1),
    b"\x81\xa6action\xc7\x0c\xff" + struct.pack(">Iq", 0, -(2**63)),
    b"\x82\xa6action\xa4auth\xa3key\xa2\xff\xff",
    b"\x82\xa6action\xa9subscribe\x01\x91\xa4AAPL",
    b"\x82\xa6action\xa9subscribe\x91\x01\x91\xa4AAPL",
    b"\x81\xa6action\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
)


@attrs.frozen
class Frame:
    """What is sent at once: a text or binary frame, or a ping or a close (of this code)."""

    kind: aiohttp.WSMsgType
    body: bytes = b""
    code: int = 1000


@attrs.frozen
class Talk:
    """All that one client says, and where."""

    path: str
    is_msgpack: bool
    frames: Sequence[Frame]

    def __repr__(self) -> str:
        return f"{self.path} msgpack={self.is_msgpack} {[(frame.kind.name, frame.body[:120]) for frame in self.frames]}"


def _frame(said: Any) -> st.SearchStrategy[Frame]:
    """A message in either codec, in either kind of frame."""
    written = st.sampled_from([_text(said), *_packed(said)])
    return st.builds(Frame, st.sampled_from([_TEXT, _BINARY]), written).map(_honest)


def _text(said: Any) -> bytes:
    return msgspec.json.encode(said)


def _packed(said: Any) -> list[bytes]:
    try:
        return [msgspec.msgpack.encode(said)]
    except OverflowError:
        return []


def _honest(frame: Frame) -> Frame:
    """A text frame holds UTF-8, or the protocol itself ends the connection."""
    try:
        frame.body.decode()
    except UnicodeDecodeError:
        return attrs.evolve(frame, kind=_BINARY)
    return frame


_frames = st.one_of(
    _sensible.flatmap(_frame),
    _objects.flatmap(_frame),
    st.sampled_from(_ODD_TEXTS).map(lambda text: Frame(_TEXT, text.encode())),
    st.sampled_from(_ODD_BYTES).map(lambda body: Frame(_BINARY, body)),
    st.binary(max_size=40).map(lambda body: Frame(_BINARY, body)),
    st.binary(max_size=125).map(lambda body: Frame(aiohttp.WSMsgType.PING, body)),
)


def frames_of(said: Any) -> list[Frame]:
    """This message again and again: in each codec, and in each kind of frame where that can be."""
    return [Frame(_TEXT, _text(said)), Frame(_BINARY, _text(said)), *(Frame(_BINARY, body) for body in _packed(said))]


def talks() -> st.SearchStrategy[Talk]:
    """Conversations that lead nowhere; half of them begin with a proper sign-in."""
    signed = st.sampled_from(
        [[], [Frame(_TEXT, _text(auth()))], [Frame(_TEXT, _text(authenticate()))], [Frame(_BINARY, msgspec.msgpack.encode(auth()))]]
    )
    said = st.builds(lambda first, rest: [*first, *rest], signed, st.lists(_frames, min_size=1, max_size=12))
    return st.builds(Talk, st.sampled_from(PATHS), st.booleans(), said)


@attrs.define
class Outcome:
    """What was answered, in short; and what is wrong with it."""

    words: list[str] = attrs.field(factory=list)
    complaint: str | None = None


async def talk_rubbish(box: Sandbox, talk: Talk) -> Outcome:
    """Say it all, frame by frame, and hear an answer to each that is due one, until the talk or the connection is over."""
    outcome = Outcome()
    headers = dict(MSGPACK) if talk.is_msgpack else {}
    read = msgspec.msgpack.decode if talk.is_msgpack else msgspec.json.decode
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            box.addresses.stream_url + talk.path, headers=headers, autoping=False, autoclose=False, max_msg_size=0
        ) as socket,
    ):
        if talk.path != "/stream":
            await socket.receive()
        for frame in talk.frames:
            if not await _say(socket, frame):
                break
            while True:
                heard = await asyncio.wait_for(socket.receive(), 10)
                if heard.type not in (_TEXT, _BINARY) or not _is_news(read(heard.data)):
                    break
            if heard.type is aiohttp.WSMsgType.PONG:
                if frame.kind is not aiohttp.WSMsgType.PING or heard.data != frame.body:
                    outcome.complaint = f"an untrue pong to {frame!r}"
                continue
            if heard.type not in (_TEXT, _BINARY):
                code = heard.data if heard.type is aiohttp.WSMsgType.CLOSE else None
                outcome.words.append(f"closed {code}")
                if code not in _CLOSES:
                    outcome.complaint = f"{heard!r} after {frame!r}"
                break
            said = read(heard.data)
            outcome.words.append(str(said)[:60] if talk.path == "/stream" else _word(said))
            outcome.complaint = outcome.complaint or _wrong(talk, said)
    return outcome


async def _say(socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> bool:
    """Whether the connection took it."""
    try:
        await socket.send_frame(frame.body, frame.kind)
    except ConnectionError:
        return False
    return True


def _is_news(said: Any) -> bool:
    """Whether this is market data, which comes by itself."""
    return isinstance(said, list) and said[0].get("T") not in ("success", "error", "subscription")


def _word(said: Any) -> str:
    return f"{said[0].get('T')} {said[0].get('code', '')}"


def _wrong(talk: Talk, said: Any) -> str | None:
    """What is wrong with an answer."""
    if talk.path == "/stream":
        is_known = said.get("stream") in ("authorization", "listening") or said.get("action") == "error"
        return None if is_known else f"unknown: {said!r}"
    (message,) = said
    if message["T"] == "error" and ERRORS.get(message["code"]) != message["msg"]:
        return f"no published error: {message!r}"
    return None

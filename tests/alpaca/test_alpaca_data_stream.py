"""The conversation on a market data socket, as transcripts: what comes in, what goes out."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_alpaca.wire.data_stream import Codec, Credentials, DataConversation
from broker_alpaca.wire.drift import Drift
from broker_core.errors import AuthError, BrokerError, RateLimited, Unavailable, WireError
from broker_core.models import Channel, Quote, SignedIn
from broker_core.secret import Secret

CASSETTES = Path(__file__).parents[2] / "cassettes" / "stream"

CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
AUTH = {"action": "auth", "key": "PKMADEUP", "secret": "made up"}
QUOTE = {"T": "q", "S": "A", "bx": "K", "bp": 1, "bs": 2, "ax": "Q", "ap": 3, "as": 4, "t": "2026-03-02T15:00:00.1Z", "c": ["R"], "z": "C"}
WIRE = {
    Channel.TRADES: "trades",
    Channel.QUOTES: "quotes",
    Channel.BARS: "bars",
    Channel.DAILY_BARS: "dailyBars",
    Channel.UPDATED_BARS: "updatedBars",
    Channel.STATUSES: "statuses",
    Channel.LULDS: "lulds",
    Channel.ORDERBOOKS: "orderbooks",
    Channel.IMBALANCES: "imbalances",
    Channel.NEWS: "news",
}


def error(code: int, message: str = "said so") -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": message}]


class Desk:
    """A conversation, with both sides as plain values."""

    def __init__(self, codec: Codec = Codec.JSON) -> None:
        self.drift = Drift()
        self.codec = codec
        credentials = Credentials(Secret(AUTH["key"]), Secret(AUTH["secret"]))
        self.talk = DataConversation("alpaca stocks stream", credentials, codec=codec, drift=self.drift, connection_wait=30.0)

    def want(self, **symbols: str) -> None:
        self.talk.want({Channel(channel): names.split() for channel, names in symbols.items()})

    def hear(self, message: Any) -> list[Any]:
        is_text = self.codec is Codec.JSON
        return list(self.talk.receive(json.dumps(message) if is_text else msgspec.msgpack.encode(message)))

    def said(self) -> list[dict[str, Any]]:
        messages = self.talk.outgoing()
        assert all(isinstance(message, str if self.codec is Codec.JSON else bytes) for message in messages)
        return [json.loads(message) if isinstance(message, str) else msgspec.msgpack.decode(message) for message in messages]

    def sign_in(self) -> None:
        self.hear(CONNECTED)
        assert self.said() == [AUTH]
        assert self.hear(AUTHENTICATED) == [SignedIn()]

    def acknowledge(self, **lists: str) -> list[dict[str, Any]]:
        assert self.hear([{"T": "subscription", **{name: symbols.split() for name, symbols in lists.items()}}]) == []
        return self.said()


@pytest.fixture(params=Codec)
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(request.param)


@pytest.fixture
def open_desk() -> Desk:
    desk = Desk()
    desk.sign_in()
    return desk


def test_signing_in(desk: Desk):
    """Nothing is said before the greeting; then the credentials; the acceptance is the first item; then the wish."""
    desk.want(trades="A", quotes="B A", daily_bars="*")
    assert desk.said() == []
    assert desk.hear(CONNECTED) == []
    assert desk.said() == [AUTH]
    assert not desk.talk.is_signed_in

    assert desk.hear(AUTHENTICATED) == [SignedIn()]

    assert desk.talk.is_signed_in
    assert desk.said() == [{"action": "subscribe", "dailyBars": ["*"], "quotes": ["A", "B"], "trades": ["A"]}]


def test_signed_in_by_the_handshake(desk: Desk):
    """``authenticated`` right after ``connected`` counts, and the error that our own credentials then cause does no harm."""
    desk.hear(CONNECTED)
    desk.said()
    assert desk.hear(AUTHENTICATED) == [SignedIn()]
    assert desk.hear(error(403, "already authenticated")) == []

    other = Desk()
    other.hear(CONNECTED)
    assert other.hear(error(403, "already authenticated")) == [SignedIn()]


def test_a_second_greeting_is_not_answered(desk: Desk):
    """The credentials are sent once a connection."""
    desk.sign_in()
    desk.hear(CONNECTED)
    desk.hear(AUTHENTICATED)

    assert desk.said() == []


def test_only_differences_are_sent(open_desk: Desk):
    """A changed wish unsubscribes what is no longer wanted, then subscribes what is new, against the last acknowledgement."""
    open_desk.want(quotes="A B")
    assert open_desk.said() == [{"action": "subscribe", "quotes": ["A", "B"]}]
    assert open_desk.acknowledge(quotes="A B") == []

    open_desk.want(quotes="B C", bars="B")
    assert open_desk.said() == [{"action": "unsubscribe", "quotes": ["A"]}]
    assert open_desk.acknowledge(quotes="B") == [{"action": "subscribe", "bars": ["B"], "quotes": ["C"]}]
    assert open_desk.acknowledge(quotes="B C", bars="B") == []

    open_desk.want(quotes="B C", bars="B")
    assert open_desk.said() == []


def test_one_message_is_under_way_at_a_time(open_desk: Desk):
    """What changes while an answer is awaited is sent after it, against what it says; data of others comes between."""
    open_desk.want(quotes="A")
    assert open_desk.said() == [{"action": "subscribe", "quotes": ["A"]}]
    open_desk.want(quotes="B")
    assert [type(item) for item in open_desk.hear([QUOTE])] == [Quote]
    assert open_desk.said() == []

    assert open_desk.acknowledge(quotes="A") == [{"action": "unsubscribe", "quotes": ["A"]}]
    assert open_desk.acknowledge() == [{"action": "subscribe", "quotes": ["B"]}]


def test_corrections_come_with_trades(open_desk: Desk):
    """Corrections and cancels are asked for through the trades that they belong to, and their lists are never unsubscribed."""
    open_desk.want(corrections="A", cancel_errors="B")
    assert open_desk.said() == [{"action": "subscribe", "trades": ["A", "B"]}]
    assert open_desk.acknowledge(trades="A B", corrections="A B", cancelErrors="A B") == []

    open_desk.want(cancel_errors="B")
    assert open_desk.said() == [{"action": "unsubscribe", "trades": ["A"]}]


@pytest.mark.parametrize("channel", WIRE)
def test_every_channel_has_its_name_on_the_wire(open_desk: Desk, channel: Channel):
    """Each channel is asked for and acknowledged by Alpaca's name for it."""
    open_desk.talk.want({channel: ["A"]})
    assert open_desk.said() == [{"action": "subscribe", WIRE[channel]: ["A"]}]

    assert open_desk.acknowledge(**{WIRE[channel]: "A"}) == []
    assert open_desk.talk.held == {(channel, "A")}


def test_a_large_wish_is_sent_in_parts(open_desk: Desk):
    """Thousands of symbols go out in messages that the broker takes, one after the other."""
    symbols = [f"S{number:05d}" for number in range(1200)]
    open_desk.talk.want({Channel.TRADES: symbols})
    held: list[str] = []
    sizes = []
    said = open_desk.said()
    while said:
        (message,) = said
        held += message["trades"]
        sizes.append(len(json.dumps(message)))
        said = open_desk.acknowledge(trades=" ".join(held))

    assert held == symbols
    assert len(sizes) == 3
    assert max(sizes) < 16_384


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (402, AuthError, "402 auth failed; the key or the secret is wrong"),
        (408, AuthError, "no access to this feed"),
        (409, AuthError, "the account's plan does not include this feed"),
        (411, AuthError, "OAuth"),
        (401, Unavailable, "forgotten"),
        (404, Unavailable, "too late"),
        (406, RateLimited, "another connection of this account"),
        (407, Unavailable, "too slowly"),
        (500, Unavailable, "the broker's side failed"),
    ],
)
@pytest.mark.parametrize("stage", ["greeting", "signing in", "open"])
def test_errors_that_end_the_connection(desk: Desk, stage: str, code: int, kind: type[BrokerError], words: str):
    """Each code means what can be done about it, at every stage, and names the socket; no key is in it."""
    if stage == "open":
        desk.sign_in()
    elif stage == "signing in":
        desk.hear(CONNECTED)
    with pytest.raises(kind, match="alpaca stocks stream: .*" + words) as raised:
        desk.hear(error(code, "auth failed"))

    assert not any(word in str(raised.value) for word in AUTH.values() if word != "auth")
    if kind is RateLimited:
        assert raised.value.wait == 30.0
    if code == 407:
        assert dict(desk.drift.counts) == {"stream.error: 407 auth failed": 1}


@pytest.mark.parametrize("code", [400, 405, 410, 412, 499])
def test_any_other_error_before_the_sign_in_is_not_understood(desk: Desk, code: int):
    """Where nothing was asked for yet, the answer to a subscription makes no sense."""
    desk.hear(CONNECTED)
    with pytest.raises(WireError, match=f"{code} said so; the connection has sent its credentials"):
        desk.hear(error(code))


def test_an_error_out_of_nowhere_is_counted(open_desk: Desk):
    """An error while nothing is under way ends nothing."""
    assert open_desk.hear(error(400)) == []
    assert dict(open_desk.drift.counts) == {"stream.error: 400 said so": 1}


class Broker:
    """The broker's side: takes symbols up to a limit, and none that are ill-formed."""

    def __init__(self, limit: int = 10**9, ill: Iterable[str] = (), channels: Iterable[str] = WIRE.values()) -> None:
        self.limit = limit
        self.ill = set(ill)
        self.channels = set(channels)
        self.held: set[tuple[str, str]] = set()
        self.messages = 0

    def answer(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.messages += 1
        pairs = {(name, symbol) for name, symbols in message.items() if name != "action" for symbol in symbols}
        if message["action"] == "unsubscribe":
            self.held -= pairs
        elif any(symbol in self.ill for _, symbol in pairs):
            return error(400, "invalid syntax")
        elif any(name not in self.channels for name, _ in pairs):
            return error(410, "invalid subscribe action for this feed")
        elif len(self.held | pairs) > self.limit:
            return error(405, "symbol limit exceeded")
        else:
            self.held |= pairs
        names = {name for name, _ in self.held}
        return [{"T": "subscription", **{name: sorted(s for n, s in self.held if n == name) for name in names}}]

    def serve(self, desk: Desk) -> None:
        """Answer until nothing more is said."""
        while said := desk.said():
            for message in said:
                desk.hear(self.answer(message))


def test_one_ill_formed_symbol_costs_the_others_nothing(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """A refused message is halved until the symbol that is wrong stands alone; it is named once, and not asked for again."""
    broker = Broker(ill=["B?D"])
    symbols = [f"S{number}" for number in range(40)]
    open_desk.talk.want({Channel.QUOTES: [*symbols, "B?D"], Channel.BARS: ["B?D", "S1"]})
    broker.serve(open_desk)

    assert broker.held == {*(("quotes", symbol) for symbol in symbols), ("bars", "S1")}
    assert open_desk.talk.refused == {(channel, "B?D"): "400 invalid syntax" for channel in (Channel.BARS, Channel.QUOTES)}
    assert [record.getMessage() for record in caplog.records] == [
        "alpaca stocks stream: not subscribed (400 invalid syntax): bars: B?D; quotes: B?D"
    ]
    open_desk.talk.want({Channel.QUOTES: [*symbols, "B?D", "NEW"]})
    broker.serve(open_desk)
    assert ("quotes", "NEW") in broker.held
    assert len(caplog.records) == 1


def test_beyond_the_limit_as_many_as_possible_are_held(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """With more symbols than the plan allows, as many as it allows are subscribed, and the others are named, in few messages."""
    broker = Broker(limit=30)
    symbols = [f"S{number:03d}" for number in range(400)]
    open_desk.talk.want({Channel.QUOTES: symbols})
    broker.serve(open_desk)

    assert len(broker.held) == 30
    assert broker.messages < 30
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "405 symbol limit exceeded" in warning
    assert {name for name in warning.split() if name.startswith("S") and name[1:].isdigit()} == set(symbols) - {
        symbol for _, symbol in broker.held
    }


def test_room_is_used_when_there_is_some_again(open_desk: Desk):
    """What was one too many is asked for again after something else was given up, and not before."""
    broker = Broker(limit=2)
    open_desk.want(quotes="A B C")
    broker.serve(open_desk)
    messages = broker.messages
    assert broker.held == {("quotes", "A"), ("quotes", "B")}
    open_desk.want(quotes="A B C")
    broker.serve(open_desk)
    assert broker.messages == messages

    open_desk.want(quotes="B C")
    broker.serve(open_desk)

    assert broker.held == {("quotes", "B"), ("quotes", "C")}
    assert open_desk.talk.refused == {}


def test_a_channel_that_the_feed_does_not_have_is_set_aside(open_desk: Desk):
    """A channel that is refused leaves the others subscribed."""
    broker = Broker(channels=["trades", "quotes"])
    open_desk.want(trades="A", quotes="A", bars="A B")
    broker.serve(open_desk)

    assert broker.held == {("trades", "A"), ("quotes", "A")}
    assert set(open_desk.talk.refused) == {(Channel.BARS, "A"), (Channel.BARS, "B")}


@pytest.mark.parametrize(("code", "message"), [(412, "option messages are only available in MsgPack format"), (413, "star"), (499, "new")])
def test_a_refused_subscription_ends_nothing(open_desk: Desk, code: int, message: str):
    """Whatever a subscription is refused for, the connection goes on and the next one is sent."""
    open_desk.want(quotes="*")
    open_desk.said()
    open_desk.hear(error(code, message))
    assert open_desk.talk.refused == {(Channel.QUOTES, "*"): f"{code} {message}"}

    open_desk.want(quotes="* A")
    assert open_desk.said() == [{"action": "subscribe", "quotes": ["A"]}]


def test_what_is_withdrawn_may_be_asked_for_again(open_desk: Desk):
    """A refusal is forgotten with the wish that caused it."""
    open_desk.want(quotes="A")
    open_desk.said()
    open_desk.hear(error(400))
    open_desk.want()
    open_desk.want(quotes="A")

    assert open_desk.said() == [{"action": "subscribe", "quotes": ["A"]}]


def test_a_refusal_of_what_nobody_wants_any_more_is_forgotten(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """What was withdrawn before its refusal came is neither named nor kept."""
    open_desk.want(quotes="A")
    open_desk.said()
    open_desk.want()
    open_desk.hear(error(400))

    assert open_desk.talk.refused == {}
    assert caplog.records == []


def test_what_is_taken_but_not_listed_is_not_asked_for_for_ever(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """An acknowledgement without what was asked for ends the asking."""
    open_desk.want(quotes="a")
    open_desk.said()

    assert open_desk.acknowledge(quotes="A") == [{"action": "unsubscribe", "quotes": ["A"]}]
    assert open_desk.acknowledge() == []
    assert "not subscribed (not acknowledged): quotes: a" in caplog.text


def test_what_cannot_be_unsubscribed_is_left(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """An unsubscription that is refused, or has no effect, is not tried for ever."""
    open_desk.want(quotes="A B")
    open_desk.said()
    open_desk.acknowledge(quotes="A B")
    open_desk.want(quotes="B")
    open_desk.said()
    open_desk.hear(error(400, "no"))
    assert open_desk.said() == []
    assert "nobody wants" in caplog.text

    open_desk.want(quotes="C")
    assert open_desk.said() == [{"action": "unsubscribe", "quotes": ["B"]}]
    assert open_desk.acknowledge(quotes="A B") == [{"action": "subscribe", "quotes": ["C"]}]
    assert open_desk.acknowledge(quotes="A B C") == []


def test_market_data_before_the_sign_in_is_left_out(desk: Desk):
    """A connection begins with its sign-in; what comes earlier is counted."""
    early = [{name: value for name, value in QUOTE.items() if name != "t" or desk.codec is Codec.JSON}]
    assert desk.hear(early) == []
    assert next(iter(desk.drift.counts)).startswith("stream.early" if desk.codec is Codec.JSON else "stream.q")


def test_an_unknown_success_is_counted(open_desk: Desk):
    """A word of success that nobody knows changes nothing."""
    assert open_desk.hear([{"T": "success", "msg": "upgraded"}]) == []
    assert dict(open_desk.drift.counts) == {"stream.success.msg: upgraded": 1}


def test_no_secret_is_shown(open_desk: Desk, caplog: pytest.LogCaptureFixture):
    """Neither the text of a conversation nor its log holds the credentials."""
    caplog.set_level(logging.DEBUG)
    open_desk.want(quotes="A")
    open_desk.said()
    open_desk.hear(error(400))

    shown = caplog.text + repr(vars(open_desk.talk))
    assert AUTH["key"] not in shown
    assert AUTH["secret"] not in shown


CHANNELS = st.sampled_from([Channel.TRADES, Channel.QUOTES, Channel.CORRECTIONS])
WISHES = st.dictionaries(CHANNELS, st.sets(st.sampled_from("ABCDE")), max_size=3)


@settings(deadline=None)
@given(wishes=st.lists(WISHES, min_size=1, max_size=6), answered=st.lists(st.booleans(), max_size=12), limit=st.integers(0, 8))
def test_every_wish_is_reached(wishes: list[dict[Channel, set[str]]], answered: list[bool], limit: int):
    """However wishes and answers interleave, in the end everything wanted is held or refused, and nothing else is held."""
    desk, broker, pause = Desk(), Broker(limit=limit), iter(answered)
    desk.sign_in()
    for wish in wishes:
        desk.talk.want(wish)
        if next(pause, False):
            for message in desk.said():
                desk.hear(broker.answer(message))
    broker.serve(desk)
    wanted = {(Channel.TRADES if channel is Channel.CORRECTIONS else channel, s) for channel, names in wishes[-1].items() for s in names}

    assert {(name, symbol) for channel, symbol in desk.talk.held for name in [WIRE[channel]]} == broker.held
    assert desk.talk.held | set(desk.talk.refused) == wanted
    assert len(desk.talk.held) == min(limit, len(wanted))


@pytest.mark.parametrize("name", ["stocks_json", "stocks_msgpack", "crypto_json", "options_msgpack", "news_json"])
def test_cassettes(name: str):
    """A whole conversation, frame by frame: the same words go out, and what comes in is understood to the last member."""
    lines = [json.loads(line) for line in (CASSETTES / f"{name}.jsonl").read_text().splitlines()]
    codec = Codec.MSGPACK if name.endswith("msgpack") else Codec.JSON
    desk = Desk(codec)
    wish = next(line["wish"] for line in lines if "wish" in line)
    desk.want(**wish)
    items: list[Any] = []
    outgoing: list[str | bytes] = []
    for line in lines:
        if "wish" in line:
            continue
        frame = line["text"] if "text" in line else base64.b64decode(line["base64"])
        if line["dir"] == "in":
            items += desk.talk.receive(frame)
            outgoing += desk.talk.outgoing()
        else:
            assert outgoing.pop(0) == frame
    summary = next(line for line in reversed(lines) if "wish" in line)

    assert outgoing == []
    assert [type(item).__name__ for item in items] == summary["items"]
    assert desk.drift.counts == {}

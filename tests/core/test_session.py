"""Opening and closing a session."""

import logging
from collections.abc import Sequence
from datetime import datetime

import pytest

import broker_core
from broker_core import (
    AuthError,
    ConfigError,
    Connection,
    Environment,
    LimitOrder,
    NotSupported,
    OrderEvent,
    Session,
    StillClock,
    StorageError,
    Unavailable,
    hookimpl,
)
from broker_core.config import Settings
from broker_core.testing.scripted_broker import ScriptedBroker

ALONE = Settings(disable=("records", "demo"))


@pytest.fixture
def broker() -> ScriptedBroker:
    return ScriptedBroker(StillClock())


def connect(broker: ScriptedBroker, *plugins: object, **rest: object) -> broker_core.session.Connecting:
    arguments = {"settings": ALONE, "environ": {}, "clock": broker.clock} | rest
    return broker_core.connect(plugins=[broker, *plugins], **arguments)


async def test_a_session_says_what_it_is_connected_to(broker: ScriptedBroker):
    """Broker, mode, environment, account and the reason of the choice are at hand."""
    async with connect(broker) as session:
        connection = session.connection

    assert (
        connection.broker,
        connection.mode,
        connection.environment,
        connection.account_id,
    ) == ("scripted", "memory", Environment.PAPER, "S1")
    assert connection.connection_id == "scripted:paper:S1"
    assert "only broker with credentials" in connection.why
    assert not session.is_demo


async def test_it_can_be_awaited_and_closed_by_hand(broker: ScriptedBroker):
    """A notebook has no block to leave."""
    session = await connect(broker)
    assert (broker.opened, broker.closed) == (1, 0)

    await session.close()
    await session.close()

    assert (broker.opened, broker.closed) == (1, 1)


async def test_refused_credentials_close_the_client_and_reach_the_host(broker: ScriptedBroker):
    """Wrong keys are an error, never a reason for the fallback."""

    async def refuse() -> broker_core.Account:
        raise AuthError("the key is revoked")

    broker.open = refuse  # type: ignore[method-assign]
    with pytest.raises(AuthError, match="revoked"):
        async with connect(broker):
            raise AssertionError

    assert broker.closed == 1


async def test_what_was_opened_is_closed_when_a_later_part_fails(broker: ScriptedBroker):
    """A journal that cannot be read closes the client again."""

    class Unreadable:
        @hookimpl
        def broker_journal(self):
            return self

        async def append(self, changes): ...

        async def history(self, local_id): ...

        async def unfinished(self):
            raise StorageError("of a newer schema")

        async def close(self):
            self.closed = True

    journal = Unreadable()
    with pytest.raises(StorageError, match="newer schema"):
        async with connect(broker, journal):
            raise AssertionError

    assert journal.closed
    assert broker.closed == 1


async def test_observers_hear_of_the_opening_and_the_closing(broker: ScriptedBroker):
    """First connected, last disconnected, with the same connection."""
    heard: list[tuple[str, Connection, str | None]] = []

    class Observer:
        @hookimpl
        def broker_connected(self, connection: Connection) -> None:
            heard.append(("connected", connection, None))

        @hookimpl
        async def broker_disconnected(self, connection: Connection, error: str | None) -> None:
            heard.append(("disconnected", connection, error))

    async with connect(broker, Observer()) as session:
        pass

    assert [("connected", session.connection, None), ("disconnected", session.connection, None)] == heard


async def test_a_family_the_broker_lacks_is_said_to_be_lacking(broker: ScriptedBroker):
    """Asking for it raises one line that names the broker and the family."""
    async with connect(broker) as session:
        with pytest.raises(NotSupported, match="broker scripted offers no market data"):
            _ = session.market_data


async def test_a_broker_without_a_stream_can_still_trade():
    """Nothing waits for a stream that does not exist."""
    clock = StillClock()
    broker = ScriptedBroker(clock, has_stream=False)
    async with connect(broker) as session:
        await clock.advance(0)
        order = await session.orders.submit(broker_core.MarketOrder("AAPL", "buy", qty=1))
        assert broker_core.State.ACCEPTED is order.state
        with pytest.raises(NotSupported, match="no streams"):
            _ = session.stream


async def test_an_account_that_cannot_be_read_at_first_does_not_prevent_the_session(broker: ScriptedBroker):
    """The broker answered once; what fails afterwards is shown and tried again."""
    async with connect(broker) as session:
        broker.unreachable = True
        await broker.clock.advance(11)
        assert not session.sync.state.ok


async def test_an_unreachable_broker_is_unavailable(broker: ScriptedBroker):
    """What the plugin raises at opening is what the host gets."""
    broker.unreachable = True
    with pytest.raises(Unavailable, match="unreachable"):
        await connect(broker)


async def test_falling_back_is_a_warning_that_names_who_declined(broker: ScriptedBroker, caplog: pytest.LogCaptureFixture):
    """Once, with the reasons."""

    class Fallback(ScriptedBroker):
        name = "paper"
        environment = Environment.DEMO

        @hookimpl(trylast=True)
        def broker_client(self) -> ScriptedBroker:
            return self

    class Silent:
        name = "silent"

        @hookimpl
        def broker_client(self) -> None:
            return None

    with caplog.at_level(logging.WARNING, logger="broker_core.session"):
        async with broker_core.connect(
            plugins=[Fallback(broker.clock), Silent()], environ={}, settings=ALONE, clock=broker.clock
        ) as session:
            assert session.is_demo

    (record,) = [record for record in caplog.records if record.name == "broker_core.session"]
    assert "paper answers instead" in record.getMessage()
    assert "silent: no credentials" in record.getMessage()


async def test_the_settings_name_the_broker(broker: ScriptedBroker):
    """BROKER decides where the host says nothing."""
    other = ScriptedBroker(broker.clock)
    other.name = "other"
    async with connect(broker, other, settings=Settings(broker="other", disable=("records", "demo"))) as session:
        assert session.connection.broker == "other"


async def test_an_unknown_setting_is_refused_before_anything_is_opened(broker: ScriptedBroker):
    """The variable is named."""
    with pytest.raises(ConfigError, match="BROKER_SYNC_INTERVALL"):
        await connect(broker, settings=None, environ={"BROKER_SYNC_INTERVALL": "5"})

    assert broker.opened == 0


async def test_vetoes_are_handed_the_session(broker: ScriptedBroker):
    """A veto can look at positions and prices."""
    seen: list[Session] = []

    class Veto:
        @hookimpl
        def broker_veto_order(self, session: Session) -> None:
            seen.append(session)

    async with connect(broker, Veto()) as session:
        await broker.clock.advance(0)
        await session.orders.submit(broker_core.MarketOrder("AAPL", "buy", qty=1))

    assert [session] == seen


class Listing(ScriptedBroker):
    """Lists no more than it is asked for, keeps how far back that was, in seconds, and fails on demand."""

    def __init__(self, clock: StillClock, *, has_stream: bool) -> None:
        super().__init__(clock, has_stream=has_stream)
        self.since: list[float] = []
        self.failing = False

    async def listing(self, since: datetime | None) -> Sequence[OrderEvent]:
        if since is None:
            return await super().listing(since)
        if self.failing:
            raise Unavailable("the line is down")
        self.since.append((self.clock.now() - since).total_seconds())
        return [event for event in await super().listing(since) if event.at > since]


async def test_a_long_session_does_not_read_all_its_orders_again_for_every_fill_it_missed():
    """Each difference of positions has the orders read again since the last time, and what was missed is counted."""
    clock = StillClock()
    broker = Listing(clock, has_stream=False)
    async with connect(broker) as session:
        await clock.advance(60)
        for number in range(3):
            await clock.advance(3600)
            broker.since.clear()
            broker.place_elsewhere(f"elsewhere-{number}", LimitOrder("AAPL", "buy", qty=1, limit_price=100))
            broker.fill(f"elsewhere-{number}", 1, 100)
            await clock.advance(60)

            assert session.sync.state.audit == {}
            assert session.orders.positions_from_fills() == {"AAPL": number + 1}
        assert broker.since
        assert max(broker.since) < 2 * 3600


async def test_orders_that_could_not_be_read_again_are_read_the_next_time():
    """A recheck that fails counts for nothing: what was missed before it is still found by the one that succeeds."""
    clock = StillClock()
    broker = Listing(clock, has_stream=False)
    async with connect(broker) as session:
        await clock.advance(60)
        for number in range(3):
            broker.failing = number < 2
            broker.place_elsewhere(f"elsewhere-{number}", LimitOrder("AAPL", "buy", qty=1, limit_price=100))
            broker.fill(f"elsewhere-{number}", 1, 100)
            await clock.advance(3600)

        assert session.orders.positions_from_fills() == {"AAPL": 3}


@pytest.mark.parametrize(("told", "reconnects"), [(False, 1), (True, 0)], ids=["kept to itself", "brought"])
async def test_an_order_feed_that_keeps_a_fill_to_itself_is_connected_anew(told: bool, reconnects: int):
    """The listing tells of a fill: a feed that has said nothing for as long is mute, and one that brought it is left alone."""
    clock = StillClock()
    broker = ScriptedBroker(clock)
    async with connect(broker) as session:
        await clock.advance(60)
        order = await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=100))
        await clock.advance(60)
        broker.fill(order.local_id, 4, 100, told=told)
        await clock.advance(60)

        assert session.orders.positions_from_fills() == {"AAPL": 4}
        assert session.stream.status["trading"].reconnects == reconnects


async def test_an_order_feed_that_says_nothing_of_a_resting_order_is_left_alone():
    """What we did ourselves, and the broker's answer to it, are no news that the feed owes."""
    clock = StillClock()
    broker = ScriptedBroker(clock)
    async with connect(broker) as session:
        await clock.advance(600)
        await session.orders.submit(LimitOrder("AAPL", "buy", qty=10, limit_price=100))
        await clock.advance(600)

        assert session.stream.status["trading"].reconnects == 0

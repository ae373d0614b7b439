"""What a session leaves in its records, and what the next one makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from broker_core.lifecycle import replay
from broker_core.orders import Order, OrderChange, ReplaceTerms, Source, State
from broker_core.requests import OrderType
from broker_core.testing.contract.laws import check_history
from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader


def _told(changes: Sequence[OrderChange]) -> list[tuple[object, ...]]:
    return [
        (change.event.kind, change.event.source, change.previous, change.order.state, change.rule, change.order.filled_qty)
        for change in changes
    ]


def _check_nothing_moved(before: Order, later: Sequence[OrderChange]) -> None:
    """What was written after a restart says the same in the broker's other words, if anything. Raises AssertionError."""
    for change in later:
        assert change.booked is None
        assert change.order.state is before.state
        assert change.order.filled_qty == before.filled_qty
        assert change.order.request == before.request


class TestRecords(Suite):
    """A restart, with the records in a file of SQLite."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> str:
        """A new file."""
        return str(tmp_path / "records.sqlite3")

    async def test_a_session_says_where_its_records_are(self, subject: Subject, database: str) -> None:
        """And that they are kept."""
        async with subject.connect(database=database) as session:
            assert session.journal is not None
            assert session.database is not None
            assert "records.sqlite3" in session.database
            # Whatever else it says, the rows can be counted.
            assert await session.orders.history("nobody-knows") == []

    async def test_history_is_the_same_after_a_restart(self, subject: Subject, database: str) -> None:
        """Every change, with its source and the rule that let it through."""
        async with subject.connect(database=database) as session:
            order = await Trader(subject, session).bought()
            before = list(await session.orders.history(order.local_id))
        async with subject.connect(database=database) as session:
            after = list(await session.orders.history(order.local_id))
        check_history(after)
        assert _told(after[: len(before)]) == _told(before)
        _check_nothing_moved(order, after[len(before) :])
        assert after[-1].order.filled_avg_price == order.filled_avg_price
        assert after[-1].order.request == order.request

    async def test_an_order_that_rested_is_taken_up_again(self, subject: Subject, database: str) -> None:
        """The same order: its ids, terms, labels and state."""
        async with subject.connect(database=database) as session:
            order = await Trader(subject, session).resting(strategy="turtles")
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            await trader.until(lambda: not session.gate.reasons, "an open gate")
            (found,) = trader.orders.open()
            assert (found.local_id, found.broker_ids, found.request) == (order.local_id, order.broker_ids, order.request)
            assert found.state is State.ACCEPTED
            assert (await trader.ended(found)).state is State.CANCELED

    async def test_an_order_that_ended_is_not_taken_up(self, subject: Subject, database: str) -> None:
        """It is history."""
        async with subject.connect(database=database) as session:
            order = await Trader(subject, session).bought()
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            await trader.settled()
            assert trader.orders.open() == []
            assert (await trader.orders.history(order.local_id))[-1].order.state is State.FILLED

    async def test_restarts_that_find_no_news_write_none(self, subject: Subject, database: str) -> None:
        """However often; the first may put down a word in which the broker lists what its stream called by another."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            order = await trader.resting()
            await trader.settled()
            before = len(await session.orders.history(order.local_id))
        rows: list[int] = []
        for _ in range(3):
            async with subject.connect(database=database) as session:
                trader = Trader(subject, session)
                await trader.until(lambda: not session.gate.reasons, "an open gate")
                changes = await session.orders.history(order.local_id)
                _check_nothing_moved(order, changes[before:])
                rows.append(len(changes))
        assert len(set(rows)) == 1

    async def test_fills_survive_with_their_pieces(self, subject: Subject, database: str) -> None:
        """Rows rebuild the order: executions, total and average."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            symbol = trader.given("pieces_symbol")
            order = await trader.end_of(await trader.submit(await trader.request(symbol=symbol, qty=8)))
        async with subject.connect(database=database) as session:
            rebuilt = replay(await session.orders.history(order.local_id))
        assert rebuilt.ledger.executions == order.ledger.executions
        assert (rebuilt.filled_qty, rebuilt.filled_avg_price) == (order.filled_qty, order.filled_avg_price)

    async def test_what_was_filled_between_two_sessions_is_known_in_the_next(self, subject: Subject, database: str) -> None:
        """And counted once: an order that is filled in pieces across the restart."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            symbol = trader.given("pieces_symbol")
            order = await trader.submit(await trader.request(symbol=symbol, qty=8))
            await trader.until(lambda: trader.now(order).filled_qty > 0, "the first piece")
        await subject.pass_time(20)
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            await trader.until(lambda: not session.gate.reasons, "an open gate")
            assert trader.orders.open() == [], "new orders may go out, and what became of the old ones is not known"
            changes = await trader.orders.history(order.local_id)
            check_history(changes)
            assert changes[-1].order.state is State.FILLED
            assert changes[-1].order.filled_qty == 8
            assert list(session.findings) == []

    async def test_a_chain_of_replacements_survives(self, subject: Subject, database: str) -> None:
        """Its ids and its present terms."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            trader.needs("replace")
            order = await trader.resting()
            await trader.replaced(order, ReplaceTerms(qty=subject.qty + 1))
            await trader.settled()
            order = trader.now(order)
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            await trader.until(lambda: not session.gate.reasons, "an open gate")
            (found,) = trader.orders.open()
            assert (found.local_id, found.broker_ids, found.qty) == (order.local_id, order.broker_ids, subject.qty + 1)
            assert (await trader.ended(found)).state is State.CANCELED

    async def test_an_order_in_doubt_is_never_shown_as_failed(self, subject: Subject, database: str) -> None:
        """It is submitted and in doubt until somebody proves what became of it."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            symbol = await trader.given("lose_order")()
            order = await trader.submit(await trader.request(symbol=symbol))
            assert (order.state, order.in_doubt) == (State.SUBMITTED, True)
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            changes = await trader.orders.history(order.local_id)
            proofs = [change for change in changes if change.order.state is State.FAILED]
            assert [change.event.source for change in proofs] in ([], [Source.PROOF])
            ended = await trader.end_of(order)
            assert ended.state is State.FAILED
            assert (await trader.orders.history(order.local_id))[-1].event.source is Source.PROOF

    async def test_an_order_that_took_effect_unanswered_is_found_by_the_next_session(self, subject: Subject, database: str) -> None:
        """Under our id, and it was filled once."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            symbol = await trader.given("lose_answer")()
            order = await trader.submit(await trader.request(symbol=symbol))
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            await trader.until(lambda: not trader.orders.open(), "what became of the order")
            changes = await trader.orders.history(order.local_id)
            check_history(changes)
            assert (changes[-1].order.state, changes[-1].order.filled_qty) == (State.FILLED, subject.qty)

    async def test_an_intent_is_in_the_file_before_anything_is_heard(self, subject: Subject, database: str) -> None:
        """What the journal holds is never behind what was told."""
        async with subject.connect(database=database) as session:
            trader = Trader(subject, session)
            trader.needs(OrderType.MARKET)
            written: list[int] = []

            async def look(change: OrderChange) -> None:
                assert session.journal is not None
                rows = await session.journal.history(change.order.local_id)
                written.append(len(rows))

            subscription = trader.orders.on_change(look)
            order = await trader.bought()
            told = len(await trader.orders.history(order.local_id))
            await trader.until(lambda: len(written) >= told, "the callbacks")
            subscription.cancel()
            assert all(rows >= count for count, rows in enumerate(written, 1))

    async def test_a_later_session_goes_on_in_the_same_records(self, subject: Subject, database: str) -> None:
        """Its connection has the same id, so that its rows stand with those before."""
        async with subject.connect(database=database) as session:
            first = session.connection
        async with subject.connect(database=database) as session:
            assert session.connection.connection_id == first.connection_id

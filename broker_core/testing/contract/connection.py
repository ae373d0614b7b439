"""What a session says of its connection, and how it opens and closes."""

from __future__ import annotations

import asyncio
from datetime import UTC

from broker_core.hookspecs import hookimpl
from broker_core.models import Connection, Environment
from broker_core.testing.contract.subject import Subject
from broker_core.testing.contract.suite import Suite
from broker_core.testing.contract.trader import Trader

_PATIENCE = 50


class TestConnection(Suite):
    """The facts of a connection."""

    async def test_connection_names_the_broker_and_the_way_it_is_reached(self, trader: Trader) -> None:
        """Broker and mode are the client's own words."""
        connection, client = trader.session.connection, trader.session.client
        assert (connection.broker, connection.mode) == (client.name, client.mode)
        assert connection.broker
        assert connection.mode

    async def test_connection_says_what_money_stands_behind_it(self, trader: Trader) -> None:
        """The environment is the client's, and one of the three that there are."""
        assert trader.session.connection.environment in Environment
        assert trader.session.connection.environment is trader.session.client.environment

    async def test_only_a_simulation_calls_itself_demo(self, trader: Trader) -> None:
        """``is_demo`` is the environment in one word."""
        assert trader.session.is_demo is (trader.session.client.environment is Environment.DEMO)

    async def test_connection_has_an_id_made_of_its_parts(self, trader: Trader) -> None:
        """Broker, environment and account, so that the rows of two accounts are never mixed up."""
        connection = trader.session.connection
        assert connection.connection_id == f"{connection.broker}:{connection.environment.value}:{connection.account_id}"
        assert connection.account_id

    async def test_connection_says_when_it_was_opened(self, trader: Trader) -> None:
        """An aware moment in UTC."""
        assert trader.session.connection.opened_at.tzinfo is UTC

    async def test_connection_says_why_this_broker_answers(self, trader: Trader) -> None:
        """The reason of the choice is never left out."""
        assert trader.session.connection.why

    async def test_account_read_later_is_the_account_connected_to(self, trader: Trader) -> None:
        """Opening and reading tell the same account id."""
        state = await trader.sync.refresh()
        assert state.account is not None
        assert state.account.account_id == trader.session.connection.account_id

    async def test_a_new_session_finds_nothing_amiss(self, trader: Trader) -> None:
        """Once it has settled, the gate is open and there is nothing to look into."""
        await trader.until(lambda: not trader.session.gate.reasons, "an open gate")
        assert list(trader.session.findings) == []

    async def test_closing_leaves_no_task_behind(self, subject: Subject) -> None:
        """Neither the session nor the plugin."""
        async with subject.connect():
            pass
        # What the subject itself keeps going is there by now.
        before = asyncio.all_tasks()
        async with subject.connect() as session:
            await Trader(subject, session).settled()
        left: set[str] = set()
        for _ in range(_PATIENCE):
            # The broker's side, where it is in this process, may take a moment to notice.
            await subject.pass_time(0.01)
            left = {task.get_name() for task in asyncio.all_tasks() - before}
            if not left:
                break
        assert left == set()

    async def test_closing_twice_is_harmless(self, subject: Subject) -> None:
        """The second time there is nothing to do."""
        async with subject.connect() as session:
            await session.close()
        await session.close()

    async def test_the_broker_can_be_connected_to_again(self, subject: Subject) -> None:
        """A session that was closed leaves nothing that is in the way of the next."""
        async with subject.connect() as first:
            pass
        async with subject.connect() as second:
            assert second.connection.broker == first.connection.broker

    async def test_observers_hear_of_the_opening_and_the_closing(self, subject: Subject) -> None:
        """Once each, in this order, with the same connection."""
        heard: list[tuple[str, Connection, str | None]] = []

        class Observer:
            @hookimpl
            def broker_connected(self, connection: Connection) -> None:
                heard.append(("connected", connection, None))

            @hookimpl
            def broker_disconnected(self, connection: Connection, error: str | None) -> None:
                heard.append(("disconnected", connection, error))

        async with subject.connect(Observer()) as session:
            connection = session.connection

        assert heard == [("connected", connection, None), ("disconnected", connection, None)]

"""What ``broker doctor --online`` asks the broker: account, positions, orders, clock, streams, and whether all its words are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from broker_core.cli.checks import OK, PROBLEM, WARNING, Check
from broker_core.cli.invocation import Invocation
from broker_core.cli.output import number
from broker_core.clock import SystemClock
from broker_core.errors import BrokerError, NotSupported
from broker_core.models import Account
from broker_core.sync_state import Part, SyncState

if TYPE_CHECKING:
    from broker_core.session import Session

_SKEW = 2.0
"""Seconds between this machine's clock and the broker's from which on orders, bars and sign-ins begin to be judged wrongly."""
_PATIENCE = 5.0
"""Seconds that the streams have to connect."""
_ORDINARY = "ACTIVE"


async def online_checks(invocation: Invocation) -> list[Check]:
    """Open a session and look. Whatever fails becomes a check of its own and hides nothing else."""
    try:
        async with invocation.session() as session:
            connection = session.connection
            about = f"{connection.broker} by {connection.mode}, {connection.environment}, account {connection.account_id}"
            return [Check("session", OK, about), *await _of_parts(session), await _clock(session), await _gate(session), *_drift(session)]
    except BrokerError as error:
        return [Check("session", PROBLEM, str(error))]


async def _of_parts(session: Session) -> list[Check]:
    try:
        state = session.sync.state
    except NotSupported as error:
        return [Check("account", WARNING, str(error))]
    held, working = f"{len(state.positions)} held", f"{state.open_orders} open"
    return [
        _part(state, Part.ACCOUNT, "" if state.account is None else _words(state.account)),
        *_trading(state.account),
        _part(state, Part.POSITIONS, held),
        _part(state, Part.ORDERS, working),
    ]


def _part(state: SyncState, part: Part, detail: str) -> Check:
    health = state.health[part]
    return Check(part, OK, detail) if health.ok else Check(part, PROBLEM, health.error or "not read yet")


def _words(account: Account) -> str:
    return f"{account.status}, equity {number(account.equity)} {account.currency}, buying power {number(account.buying_power)}"


def _trading(account: Account | None) -> Iterator[Check]:
    if account is not None and account.trading_blocked:
        yield Check("trading", WARNING, f"trading is blocked, and the account is {account.status}; new orders will be refused")
    elif account is not None and account.status != _ORDINARY:
        yield Check("trading", WARNING, f"the account is {account.status}, not {_ORDINARY}; new orders may be refused")


async def _gate(session: Session) -> Check:
    """Whether the session is ready to trade: it has settled what was left, and hears its orders."""
    reason = await session.gate.wait("", _PATIENCE)
    return Check("new orders", OK, "may go out") if reason is None else Check("new orders", WARNING, f"are held back: {reason}")


async def _clock(session: Session) -> Check:
    """How far apart the two clocks are, the request's own time taken into account."""
    own = SystemClock()
    asked = own.now()
    try:
        found = await session.market_data.clock()
    except NotSupported as error:
        return Check("clock", WARNING, str(error))
    except BrokerError as error:
        return Check("clock", PROBLEM, str(error))
    doubt = (own.now() - asked) / 2
    ahead = (asked + doubt - found.at).total_seconds()
    market = "the market is open" if found.is_open else "the market is closed"
    if abs(ahead) - doubt.total_seconds() <= _SKEW:
        return Check("clock", OK, f"{market}; this machine and the broker agree within {max(abs(ahead), doubt.total_seconds()):.1f} s")
    side = "ahead of" if ahead > 0 else "behind"
    return Check("clock", WARNING, f"{market}; this machine is {abs(ahead):.1f} s {side} the broker; let it keep its time over the network")


def _drift(session: Session) -> list[Check]:
    try:
        drift = session.sync.state.drift
    except NotSupported:
        return []
    if not drift:
        return [Check("words", OK, "everything the broker said is known")]
    return [Check("words", WARNING, f"the broker said something unknown: {what} ({count} times)") for what, count in drift.items()]

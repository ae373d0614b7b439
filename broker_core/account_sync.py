"""The account, its positions and its open orders, read at three intervals and held against what the session itself knows.

Each of the three parts has its own health and age, so that one good read never hides another's failure. A part that fails is tried
again by ``Backoff``, honouring the wait a broker asks for; one whose credentials are refused is never tried again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

import attrs

from broker_core.backoff import Backoff
from broker_core.clock import Clock, within
from broker_core.errors import AuthError, BrokerError, RateLimited
from broker_core.families import Sync
from broker_core.findings import Findings
from broker_core.inbox import NewestInbox
from broker_core.models import Account, Position
from broker_core.orders import ZERO, OrderEvent
from broker_core.position_audit import Mismatch, PositionAudit
from broker_core.subscriptions import CallbackTask, Subscription
from broker_core.sync_state import Part, PartHealth, SyncState

log = logging.getLogger(__name__)

RELAXED = 6
"""While the order stream is healthy, open orders are listed this many times less often."""
_AUDIT_TRIES = 3
_OPENING_TRIES = 3


@attrs.frozen(kw_only=True)
class SyncIntervals:
    """Seconds between two reads of each part, and the longest one read may take. Raises ValueError unless all are above zero."""

    account: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))
    positions: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    orders: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    deadline: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))


@attrs.define(kw_only=True, eq=False)
class _Reader:
    """One part: how it is read, and when it is read next."""

    part: Part
    interval: float
    read: Callable[[], Awaitable[None]]
    backoff: Backoff
    retry_in: float | None = None
    refusal: AuthError | None = None
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)


class AccountSync:
    """Keeps ``state`` current; made, started and closed by the session.

    ``on_orders`` is awaited with every listing of open orders. ``told`` is awaited with account and positions after either was read.
    ``positions_from_fills`` gives the net quantity filled per symbol since the session began, and ``recheck`` brings it up to date with
    the broker. ``stream_healthy`` says whether order news arrives by itself. ``drift`` counts what the broker said and nobody knew.
    """

    def __init__(
        self,
        sync: Sync,
        *,
        clock: Clock,
        random: random.Random,
        intervals: SyncIntervals | None = None,
        on_orders: Callable[[Sequence[OrderEvent]], Awaitable[None]],
        stream_healthy: Callable[[], bool],
        positions_from_fills: Callable[[], Mapping[str, Decimal]],
        told: Callable[[Account, Sequence[Position]], Awaitable[None]],
        findings: Findings,
        recheck: Callable[[], Awaitable[None]],
        drift: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        intervals = intervals or SyncIntervals()
        self._sync = sync
        self._clock = clock
        self._deadline = intervals.deadline
        self._on_orders = on_orders
        self._stream_healthy = stream_healthy
        self._fills = positions_from_fills
        self._told = told
        self._findings = findings
        self._recheck = recheck
        self._drift = drift
        self._audit = PositionAudit()
        self._state = SyncState(clock=clock)
        self._readers = tuple(
            _Reader(part=part, interval=interval, read=read, backoff=Backoff(random))
            for part, interval, read in (
                (Part.ACCOUNT, intervals.account, self._read_account),
                (Part.POSITIONS, intervals.positions, self._read_positions),
                (Part.ORDERS, intervals.orders, self._read_orders),
            )
        )
        self._closed = False
        self._tasks: list[asyncio.Task[None]] = []
        self._subscriptions: dict[Subscription, CallbackTask[SyncState]] = {}

    @property
    def state(self) -> SyncState:
        """What is known now."""
        return self._state

    async def start(self) -> None:
        """Read all three parts once, then keep reading them. Raises AuthError; any other failure is shown in ``state`` and tried again."""
        await self.refresh()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._poll(reader), name=f"sync {reader.part}") for reader in self._readers]

    async def refresh(self) -> SyncState:
        """Read all three parts now and return the new state. Raises AuthError when the broker refuses the credentials."""
        done = await asyncio.gather(*(self._read(reader) for reader in self._readers))
        if any(success and reader.part is not Part.ORDERS for success, reader in zip(done, self._readers, strict=True)):
            await self._tell()
        for reader in self._readers:
            if reader.refusal is not None:
                raise AuthError(str(reader.refusal))
        return self._state

    def on_change(self, callback: Callable[[SyncState], object]) -> Subscription:
        """Call ``callback``, plain or ``async``, with the state after every read; with the latest only, where it is slow."""
        inbox: NewestInbox[SyncState] = NewestInbox(1)
        subscription = Subscription(None, (), inbox, self._forget)
        self._subscriptions[subscription] = CallbackTask("sync changes", inbox, callback, subscription.callback_raised)
        return subscription

    async def close(self) -> None:
        """Stop reading."""
        self._closed = True
        # One of them may be what is closing us, from `told`.
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for callback in tuple(self._subscriptions.values()):
            await callback.cancel()

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)

    async def _poll(self, reader: _Reader) -> None:
        while reader.refusal is None and not self._closed:
            await self._pause(reader)
            if await self._read(reader) and reader.part is not Part.ORDERS:
                await self._tell()

    async def _pause(self, reader: _Reader) -> None:
        if reader.retry_in is not None:
            await self._clock.sleep(reader.retry_in)
            return
        await self._clock.sleep(reader.interval)
        if reader.part is Part.ORDERS:
            # In steps, so that a stream that has fallen ill tightens the polling within one interval.
            for _ in range(RELAXED - 1):
                if not self._stream_healthy():
                    return
                await self._clock.sleep(reader.interval)

    async def _read(self, reader: _Reader) -> bool:
        """Read one part and note how it went; whether it succeeded. Never raises what the read raised."""
        async with reader.lock:
            if reader.refusal is not None:
                return False
            failure: BaseException | None = None
            started = self._clock.now()
            try:
                await reader.read()
            except AuthError as error:
                failure = reader.refusal = error
                log.error("sync: reading %s is refused and stops: %s", reader.part, error)  # noqa: TRY400  # the traceback adds nothing
            except (BrokerError, TimeoutError) as error:
                failure = error
                log.warning("sync: reading %s failed: %s", reader.part, error)
            except asyncio.CancelledError as error:
                # A plugin may stumble over something else that was cancelled; only our own end is ours.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                failure = error
                log.exception("sync: reading %s was cancelled from within", reader.part)
            except Exception as error:
                failure = error
                log.exception("sync: reading %s raised", reader.part)
            self._note(reader, started, failure)
            return failure is None

    def _note(self, reader: _Reader, started: datetime, failure: BaseException | None) -> None:
        before = self._state.health[reader.part]
        if failure is None:
            reader.retry_in = None
            reader.backoff.reset()
            # The answer may be as old as the question.
            health = PartHealth(ok=True, last_success=started, last_attempt=started)
        else:
            reader.retry_in = reader.backoff.next(failure.wait if isinstance(failure, RateLimited) else None)
            health = attrs.evolve(
                before,
                ok=False,
                last_attempt=started,
                failures=before.failures + 1,
                error=f"{type(failure).__name__}: {failure}",
                stopped=reader.refusal is not None,
            )
        healths = MappingProxyType({**self._state.health, reader.part: health})
        self._state = attrs.evolve(self._state, health=healths, drift=MappingProxyType(dict(self._drift())))
        for subscription in self._subscriptions:
            subscription.inbox.put(self._state)

    async def _read_account(self) -> None:
        account = await within(self._clock, self._deadline, self._sync.account())
        self._state = attrs.evolve(self._state, account=account)

    async def _read_orders(self) -> None:
        listing = await within(self._clock, self._deadline, self._sync.open_orders())
        self._state = attrs.evolve(self._state, open_orders=len(listing))
        await self._on_orders(listing)

    async def _read_positions(self) -> None:
        positions, fills, moving = await self._positions_and_fills()
        if self._audit.is_open:
            positions, mismatches, moving, rechecked = await self._audited(positions, fills, moving)
            self._report(mismatches, moving, rechecked=rechecked)
        else:
            positions = await self._open_audit(positions, fills, moving)
        self._state = attrs.evolve(self._state, positions=MappingProxyType({position.symbol: position for position in positions}))

    async def _audited(
        self, positions: Sequence[Position], fills: Mapping[str, Decimal], moving: set[str]
    ) -> tuple[Sequence[Position], Mapping[str, Mismatch], set[str], bool]:
        """What does not agree once nothing moves any more.

        With it the positions, the symbols of which nothing can be said, and whether the orders could be rechecked. A fill may have
        happened that nobody has told us of yet, also between the recheck and the read that follows it. So a difference counts when both
        of its sides have outlived a recheck; a symbol that never stands still is looked at again by the next poll.
        """
        mismatches = self._audit.compare(positions, fills, skip=moving)
        unsettled = self._news(mismatches)
        for _ in range(_AUDIT_TRIES):
            if not unsettled:
                break
            before = mismatches
            if not await self._rechecked():
                return positions, mismatches, moving, False
            positions, fills, moving = await self._positions_and_fills()
            mismatches = self._audit.compare(positions, fills, skip=moving)
            unsettled = {symbol for symbol in self._news(mismatches) if before.get(symbol) != mismatches[symbol]}
        settled = {symbol: mismatch for symbol, mismatch in mismatches.items() if symbol not in unsettled}
        return positions, settled, moving | unsettled, True

    def _news(self, mismatches: Mapping[str, Mismatch]) -> set[str]:
        return {symbol for symbol, mismatch in mismatches.items() if self._state.audit.get(symbol) != mismatch.difference}

    async def _positions_and_fills(self) -> tuple[Sequence[Position], Mapping[str, Decimal], set[str]]:
        """The broker's positions, our fills, and the symbols whose fills moved during the read, of which nothing can be said."""
        before = dict(self._fills())
        positions = await within(self._clock, self._deadline, self._sync.positions())
        after = dict(self._fills())
        moving = {symbol for symbol in before.keys() | after.keys() if before.get(symbol, ZERO) != after.get(symbol, ZERO)}
        return positions, after, moving

    async def _open_audit(self, positions: Sequence[Position], fills: Mapping[str, Decimal], moving: Collection[str]) -> Sequence[Position]:
        """Begin the audit with positions read while nothing was filled; returns the positions read last.

        A fill that is part of these positions may still be on its way to us and would later be counted twice. Rechecking brings it here:
        when that changes our fills, the positions are read again. Where nothing stands still for long enough, the next poll tries again.
        """
        for _ in range(_OPENING_TRIES):
            opened_at = self._clock.now()
            if not await self._rechecked():
                break
            if not moving and dict(self._fills()) == fills:
                self._audit.open(positions, fills)
                self._state = attrs.evolve(self._state, audited_since=opened_at)
                break
            positions, fills, moving = await self._positions_and_fills()
        return positions

    async def _rechecked(self) -> bool:
        try:
            await self._recheck()
        except Exception:
            log.exception("sync: the orders could not be rechecked against the broker")
            return False
        return True

    def _report(self, mismatches: Mapping[str, Mismatch], moving: Collection[str], *, rechecked: bool) -> None:
        """Find what is new among the mismatches, and note what agrees again; symbols that move stay as they were."""
        known = self._state.audit
        unsure = "" if rechecked else "; the orders could not be rechecked"
        for symbol, mismatch in mismatches.items():
            if known.get(symbol) != mismatch.difference:
                self._findings.critical(
                    symbol,
                    f"position of {symbol}: opening and fills make {mismatch.expected}, the broker holds {mismatch.actual}, "
                    f"difference {mismatch.difference:+}{unsure}",
                )
        for symbol in known.keys() - mismatches.keys() - set(moving):
            self._findings.note(symbol, f"position of {symbol}: opening and fills make what the broker holds again")
        kept = {symbol: difference for symbol, difference in known.items() if symbol in moving}
        self._state = attrs.evolve(
            self._state, audit=MappingProxyType(kept | {symbol: mismatch.difference for symbol, mismatch in mismatches.items()})
        )

    async def _tell(self) -> None:
        state = self._state
        if state.account is None or state.health[Part.POSITIONS].last_success is None:
            return
        try:
            await self._told(state.account, tuple(state.positions.values()))
        except Exception:
            log.exception("sync: telling that the account was read failed")

"""One feed kept alive: sign in, deliver, and after every end wait and sign in again.

``want`` → ``connect`` → first batch ``[SignedIn]`` → batches → end or error → wait by ``Backoff`` → again. A clean close is an end like any
other and waits too. The backoff begins anew only after a real item has followed a sign-in: a broker that lets us in and throws us out
is not hammered. AuthError ends the feed for good.

Silence alone never ends a connection: a feed that has been quiet for longer than its own rhythm makes likely is asked by its ``probe``,
and only a probe that fails counts; or news that the broker tells when it is asked, and the feed, quiet since before, does not bring.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from broker_core.backoff import Backoff
from broker_core.clock import Clock, from_ns, to_ns
from broker_core.errors import AuthError, BrokerError, PluginError, RateLimited, Unavailable
from broker_core.families import Feed
from broker_core.feed_status import FeedState, FeedStatus
from broker_core.gaps import Gaps, Recover
from broker_core.liveness import Arrears, watch
from broker_core.models import Channel, Gap, SignedIn, StreamItem, Wish
from broker_core.orders import OrderEvent

log = logging.getLogger(__name__)

# A plugin whose socket has many frames ready may never let the loop turn; after so many items the consumers get theirs.
_STRETCH = 256
# Market data held back while orders are recovered.
_HELD = 10_000
# A sentence about lost data names this many symbols.
_NAMED = 10
_RECOVERING = "what was missed is being recovered"


class FeedRunner:
    """Runs one feed in a task.

    ``wish`` gives what is wanted of it now, ``route`` takes its items and ``tell`` every gap; ``recover`` is given for a feed that carries
    orders. ``changed`` is called with its name, state and reason, also when only the reason has changed: a connected feed that has a reason
    is not healthy yet.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        clock: Clock,
        chance: random.Random,
        wish: Callable[[], Wish],
        route: Callable[[Sequence[StreamItem]], None],
        recover: Recover | None,
        tell: Callable[[Gap], None],
        changed: Callable[[str, FeedState, str | None], None],
    ) -> None:
        self.name = feed.name
        self.channels = frozenset(feed.channels)
        self.refusal: AuthError | None = None
        self._feed = feed
        self._clock = clock
        self._wish = wish
        self._route = route
        self._tell = tell
        self._changed = changed
        self._recovers = recover is not None
        self._gaps = Gaps(feed.name, recover=recover, tell=self._tell_and_release, clock=clock, chance=chance)
        self._backoff = Backoff(chance)
        self._state = FeedState.IDLE
        self._since = clock.now()
        self._reason: str | None = None
        self._attempts = 0
        self._sign_ins = 0
        self._signed_in = False
        self._proven = False
        self._frames = 0
        self._heard_ns = 0
        self._item_ns: int | None = None
        self._told: Wish | None = None
        self._arrears = Arrears(feed.name, clock=clock, heard_ns=lambda: self._heard_ns)
        self._held: deque[StreamItem] = deque(maxlen=_HELD)
        self._too_many = 0
        self._releasing = False
        self._wish_changed = asyncio.Event()
        self._telling = asyncio.Lock()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"feed {self.name}")

    async def close(self) -> None:
        """End the connection and everything with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._gaps.close()
        if self._state is not FeedState.STOPPED:
            self._move(FeedState.STOPPED)

    def wish_changed(self) -> None:
        """Tell the feed the new wish soon: once for all changes made before the loop turns."""
        self._wish_changed.set()

    def order_missed(self, since: datetime) -> None:
        """An order event that happened at ``since`` arrived, but could not be processed: recover it."""
        self._gaps.recover_from(since)
        if self._state is FeedState.CONNECTED:
            self._move(FeedState.CONNECTED, _RECOVERING)

    def news_came_another_way(self, at: datetime) -> None:
        """The broker told, because it was asked, of something at this moment that the feed has not brought."""
        self._arrears.came_another_way(to_ns(at))

    @property
    def healthy(self) -> bool:
        """Whether it is signed in and nothing missed is still to be recovered."""
        return self._state is FeedState.CONNECTED and not self._gaps.missing

    async def ready(self) -> None:
        """Return when it is healthy. Raises AuthError when it was refused for good, Unavailable when it was closed."""
        while not self.healthy:
            if self.refusal is not None:
                raise AuthError(str(self.refusal))
            if self._state is FeedState.STOPPED:
                raise Unavailable(f"feed {self.name} is closed; open a new session")
            self._settled.clear()
            await self._settled.wait()

    @property
    def status(self) -> FeedStatus:
        """How it stands."""
        return FeedStatus(
            name=self.name,
            state=self._state,
            since=self._since,
            attempts=self._attempts,
            last_item_at=None if self._item_ns is None else from_ns(self._item_ns),
            reason=self._reason,
            reconnects=max(self._sign_ins - 1, 0),
        )

    async def _run(self) -> None:
        while True:
            await self._until_wanted()
            self._attempts += 1
            self._move(FeedState.CONNECTING)
            wish, reason = None, "the broker closed the connection"
            try:
                await self._connection()
            except AuthError as error:
                log.error("feed %s: stopped, the broker refused the credentials (%s)", self.name, error)  # noqa: TRY400  # the traceback adds nothing
                self.refusal = error
                self._contact_lost()
                self._move(FeedState.STOPPED, str(error))
                return
            except RateLimited as error:
                wish, reason = error.wait, str(error)
            except BrokerError as error:
                reason = str(error)
            except Exception as error:
                log.exception("feed %s: the plugin raised; this counts as a lost connection", self.name)
                reason = f"{type(error).__name__}: {error}"
            self._contact_lost()
            wait = self._backoff.next(wish)
            log.warning("feed %s: %s; next try in %.1f s", self.name, reason, wait)
            self._move(FeedState.WAITING, reason)
            await self._clock.sleep(wait)

    async def _until_wanted(self) -> None:
        if not self._wish().symbols and self._state is not FeedState.IDLE:
            self._move(FeedState.IDLE, self._reason)
        while not self._wish().symbols:
            self._wish_changed.clear()
            await self._wish_changed.wait()

    async def _connection(self) -> None:
        """Run one connection to its end; raises what ended it."""
        watching = watch(
            self.name,
            getattr(self._feed, "probe", None),
            clock=self._clock,
            signed_in=lambda: self._signed_in,
            frames=lambda: self._frames,
        )
        tasks = [
            asyncio.create_task(work, name=f"feed {self.name}") for work in (self._read(), self._steer(), watching, self._arrears.watch())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended = next(task for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if ended.cancelled():
            raise PluginError(f"feed {self.name}: its connection was cancelled from within")
        ended.result()

    async def _read(self) -> None:
        await self._state_wish()
        connection = self._feed.connect()
        unyielded = 0
        try:
            async for batch in connection:
                self._take(batch)
                unyielded += len(batch)
                if unyielded >= _STRETCH:
                    unyielded = 0
                    await asyncio.sleep(0)
        finally:
            # A generator has one and needs it; an iterator of another kind may have none.
            close = getattr(connection, "aclose", None)
            if close is not None:
                await close()

    async def _steer(self) -> None:
        while True:
            await self._wish_changed.wait()
            self._wish_changed.clear()
            if self._wish() != self._told:
                await self._state_wish()

    async def _state_wish(self) -> None:
        """Tell the feed all that is wanted of it, one telling after the other."""
        async with self._telling:
            self._told = self._wish()
            answer = self._feed.want(self._told)
            if answer is not None:
                await answer

    def _take(self, batch: Sequence[StreamItem]) -> None:
        self._frames += 1
        self._heard_ns = self._clock.now_ns()
        if not batch:
            return
        if not self._proven:
            self._take_first(batch)
        if self._proven:
            self._item_ns = self._heard_ns
        if self._gaps.owed or self._releasing:
            self._hold(batch)
        else:
            self._route(batch)

    def _take_first(self, batch: Sequence[StreamItem]) -> None:
        """What comes before the connection has proven itself: the sign-in, and the first real item."""
        if not self._signed_in:
            if not isinstance(batch[0], SignedIn):
                raise PluginError(f"feed {self.name}: its first item is a {type(batch[0]).__name__}; a connection begins with SignedIn")
            self._signed_in = True
            self._sign_ins += 1
            self._attempts = 0
            self._move(FeedState.CONNECTED, _RECOVERING if self._recovers and self._gaps.missing else None)
            self._gaps.contact_made()
        if not all(isinstance(item, SignedIn) for item in batch):
            self._proven = True
            self._backoff.reset()

    def _contact_lost(self) -> None:
        if self._signed_in:
            lost = self._data_wanted()
            if lost or Channel.ORDERS in self.channels:
                self._gaps.contact_lost(from_ns(self._heard_ns), lost)
        self._signed_in = self._proven = False

    def _data_wanted(self) -> tuple[str, ...]:
        wanted = {} if self._told is None else self._told.symbols
        return tuple(f"{channel}: {_enumerated(symbols)}" for channel, symbols in sorted(wanted.items()) if symbols)

    def _hold(self, batch: Sequence[StreamItem]) -> None:
        """A gap is to be told first: market data waits, order events do not."""
        self._route([item for item in batch if isinstance(item, OrderEvent)])
        for item in batch:
            if not isinstance(item, OrderEvent | SignedIn):
                self._too_many += len(self._held) == _HELD
                self._held.append(item)

    def _tell_and_release(self, gap: Gap) -> None:
        if self._too_many:
            gap = attrs.evolve(gap, lost=(*gap.lost, f"{self._too_many} items of market data that arrived during the recovery"))
            self._too_many = 0
        self._tell(gap)
        # A turn of the loop later, so that whoever awaits gaps has this one first.
        self._releasing = True
        asyncio.get_running_loop().call_soon(self._release)
        if self.healthy and self._reason is not None:
            self._move(FeedState.CONNECTED)

    def _release(self) -> None:
        self._releasing = False
        held = tuple(self._held)
        self._held.clear()
        self._route(held)

    def _move(self, state: FeedState, reason: str | None = None) -> None:
        if state is not self._state:
            self._state = state
            self._since = self._clock.now()
        self._reason = reason
        self._settled.set()
        self._changed(self.name, state, reason)


def _enumerated(symbols: frozenset[str]) -> str:
    named = sorted(symbols)
    return " ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")

"""The Alpaca account: sends calls over the chosen transport, within the rate limit and a deadline, and repeats what may be repeated.

Only reads are ever repeated. A call that changes something is sent once; what became of one without an answer is found out by looking,
which is the order manager's business.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from broker_alpaca.config import AlpacaSettings
from broker_alpaca.exchange import Lost, NotSent, Transport
from broker_alpaca.rate_limit import RateLimit
from broker_alpaca.watchlists import AlpacaWatchlists
from broker_alpaca.wire import account
from broker_alpaca.wire.answers import Answer, error_of, not_sent, unanswered
from broker_alpaca.wire.call import Call, Host
from broker_alpaca.wire.drift import Drift
from broker_core.backoff import Backoff
from broker_core.clock import Clock, within
from broker_core.errors import RateLimited, RemoteError, Unavailable, WireError
from broker_core.families import HOOK_API
from broker_core.models import Account, Capabilities, Channel, Environment
from broker_core.requests import OrderClass, OrderType, TimeInForce
from broker_core.timeframe import Unit

T = TypeVar("T")

_TRIES = 3
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_LARGE = 200_000
"""Bytes from which on an answer is read in a thread, so that the streams on this loop do not wait for it."""
_PATIENCE = 20.0
"""Seconds that a read may be told to wait by the broker and still be repeated here."""

CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    order_classes=frozenset(OrderClass),
    times_in_force=frozenset(TimeInForce),
    channels=frozenset(Channel),
    timeframes=frozenset(Unit),
    notional=True,
    fractional=True,
    short=True,
    extended_hours=True,
    replace=True,
)


class AlpacaClient:
    """One account at Alpaca. ``send`` takes any call of ``broker_alpaca.wire``; the families use nothing else."""

    name = "alpaca"
    hook_api = HOOK_API
    capabilities = CAPABILITIES

    def __init__(self, settings: AlpacaSettings, transport: Transport, *, clock: Clock, random: random.Random) -> None:
        self.settings = settings
        self.mode: str = transport.mode
        self.environment: Environment = settings.environment
        self.clock = clock
        self.wire_drift = Drift()
        self.watchlists = AlpacaWatchlists(self)
        self._transport = transport
        self._random = random
        # Two at a time would not be done sooner; in turn, the first can ask for its next page while the second is read.
        self._reading = asyncio.Lock()
        self._limits = {
            Host.TRADING: RateLimit(clock, settings.rate_limit),
            Host.DATA: RateLimit(clock, settings.data_rate_limit),
        }
        self._others: list[Callable[[], Awaitable[None]]] = []

    @property
    def drift(self) -> Mapping[str, int]:
        """What the broker said that is not in the book, and how often."""
        return self.wire_drift.counts

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the settings come from, and what they lead to: for ``broker doctor``."""
        settings = self.settings
        found = ", ".join(f"{setting} from {name}" for setting, name in settings.origins.items()) or "given as arguments"
        return (found, f"trading at {settings.trading_url}, data at {settings.data_url}, streams at {settings.stream_url}")

    async def open(self) -> Account:
        """Read the account, which proves the credentials. Raises AuthError, Unavailable, RateLimited."""
        found = await self.send(account.get())
        return account.to_account(found)

    async def close(self) -> None:
        """Let go of every connection."""
        for close in self._others:
            await close()
        await self._transport.close()

    def close_with(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have something else of this account closed together with it."""
        self._others.append(close)

    async def send(self, call: Call[T]) -> T:
        """Send one call and return its answer's value.

        Raises AuthError, RequestRefused, RateLimited (nothing was done), Unavailable (nothing was done, or it was only asked), InDoubt (a
        call that changes something has no answer), WireError (the answer to a read cannot be understood).
        """
        if not call.is_read:
            return await self._once(call)
        backoff = Backoff(self._random, first=_FIRST_WAIT, cap=_LONGEST_WAIT)
        while True:
            try:
                return await self._once(call)
            except (RateLimited, Unavailable) as error:
                wish = error.wait if isinstance(error, RateLimited) else None
                if backoff.tries + 1 >= _TRIES or (wish is not None and wish > _PATIENCE):
                    raise
                await self.clock.sleep(backoff.next(wish))

    async def pages(self, call_for: Callable[[str | None], Call[T]], token_of: Callable[[T], str | None]) -> AsyncIterator[T]:
        """Every page of a list: ``call_for`` makes the call for a token, the first for None. Raises what ``send`` raises."""
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = await self.send(call_for(token))
            yield page
            token = token_of(page)
            if token is None:
                return
            if token in seen:
                raise WireError(f"alpaca: {call_for(token)}: the broker gave the same page token twice: {token[:40]!r}")
            seen.add(token)

    async def _once(self, call: Call[T]) -> T:
        limit = self._limits[call.host]
        await limit.take(call.lane)
        try:
            answer = await within(self.clock, self.settings.deadline, self._transport.exchange(call))
        except NotSent as error:
            raise not_sent(call, self._masked(str(error))) from None
        except Lost as error:
            raise unanswered(call, self._masked(str(error))) from None
        except TimeoutError:
            raise unanswered(call, f"no answer within {self.settings.deadline:g} s") from None
        wait = limit.learn(answer)
        if not answer.is_success:
            raise self._error(call, answer, wait)
        try:
            if len(answer.body) < _LARGE:
                return call.read(answer.body, self.wire_drift)
            async with self._reading:
                return await asyncio.to_thread(call.read, answer.body, self.wire_drift)
        except WireError as error:
            if call.is_read:
                raise WireError(self._masked(str(error))) from None
            raise unanswered(call, self._masked(f"{answer.status}, but the answer is unreadable: {error}")) from None

    def _error(self, call: Call[T], answer: Answer, wait: float) -> RemoteError:
        error = error_of(call, answer, wait)
        error.args = (self._masked(str(error)),)
        return error

    def _masked(self, text: str) -> str:
        """The text without the credentials, should the other side have sent them back."""
        for secret in self.settings.secrets:
            text = secret.mask(text)
        return text

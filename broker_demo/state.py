"""A demo account in a file, so that it survives the process.

The file is a journal of lines of JSON: the first says what it is, each further one what has changed, and together they make the account.
The first save of a session writes the whole account beside the file and puts it in the file's place in one step; later ones append a line.
A process that dies while writing leaves at most a line without an end, which does not count. A second file with the ending
``.lock`` is held for as long as the account is in use, and let go of by the system when the process dies.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import IO, Any, get_args

import attrs

from broker_core.errors import ConfigError, StorageError
from broker_core.order_terms import as_terms, from_terms
from broker_core.requests import OrderRequest, to_decimal
from broker_demo.account import AccountState, Depth, EquityPoint, SeededIds
from broker_demo.ledger import Bust, Fill, Ledger
from broker_demo.paper_order import PaperOrder
from broker_demo.whole_file import write_whole

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FORMAT = "broker demo account"
VERSION = 1
_LATER = frozenset({"submitted_ns", "group_class", "cancels_ns"})
"""What files of this version may lack, because it was added when there were some already."""


class StateFile:
    """The file of one account."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None
        self._journal: IO[bytes] | None = None
        self._written = _Written()

    def lock(self) -> None:
        """Take the account for this process. Raises ConfigError when another has it, or the folder cannot be written."""
        if not self.path.name:
            raise ConfigError(f"{self.path}: the demo account cannot be kept here: this is a folder")
        lock_path = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock_path.open("ab")
        except OSError as error:
            raise ConfigError(f"{self.path}: the demo account cannot be kept here: {error.strerror or error}") from None
        try:
            _lock(self._lock)
        except OSError:
            self.release()
            raise ConfigError(f"{self.path}: this demo account is in use by another session; close it or name another file") from None

    def release(self) -> None:
        """Let others have the account. Does nothing when it was not taken."""
        self._leave_journal()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def load(self) -> AccountState | None:
        """The account; None when there is no file yet. Raises ConfigError for a damaged or newer one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.path}: the demo account cannot be read: {error.strerror or error}") from None
        # Behind the last line's end there is at most a line that was being written when the process died.
        complete = content[: content.rfind(b"\n") + 1]
        try:
            head, *changes = [json.loads(line) for line in complete.splitlines()] or [None]
            self._check_head(head)
            return _account(head, changes)
        except KeyError as error:
            raise self._damaged(f"{error.args[0]} is missing") from None
        except (TypeError, ValueError) as error:
            raise self._damaged(error) from None

    def _check_head(self, head: object) -> None:
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise ValueError("its format is unknown")
        version = _maker(int)(head["version"])
        if version > VERSION:
            raise ConfigError(
                f"{self.path}: the demo account was written by a newer release (version {version}, this one reads {VERSION}); "
                "update broker-core or name another file"
            )

    def _damaged(self, reason: object) -> ConfigError:
        return ConfigError(f"{self.path}: the demo account is damaged ({reason}); restore the file, or remove it to begin anew")

    def save(self, state: AccountState) -> None:
        """Write down what is new. Raises StorageError when that cannot be done; what the file held before, it still holds."""
        try:
            if self._journal is None:
                self._begin_journal(state)
            else:
                self._journal.write(_line(self._written.changes(state)))
                self._journal.flush()
        except OSError as error:
            # A line may be there in part, so nothing can follow it: the next save writes the whole account again.
            self._leave_journal()
            raise StorageError(f"{self.path}: the demo account cannot be written: {error.strerror or error}") from None

    def _begin_journal(self, state: AccountState) -> None:
        self._written = _Written()
        head = {
            "format": FORMAT,
            "version": VERSION,
            "account_id": state.account_id,
            "seed": state.ids.seed,
            "opening_cash": _plain(state.ledger.opening_cash),
        }
        write_whole(self.path, _line(head) + _line(self._written.changes(state)))
        self._journal = self.path.open("ab")

    def _leave_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            with contextlib.suppress(OSError):
                journal.close()


class _Written:
    """What of an account the file has already."""

    def __init__(self) -> None:
        self._orders = self._fills = self._busts = self._closes = 0
        self._open: list[tuple[PaperOrder, tuple[Any, ...]]] = []
        self._depths: dict[str, tuple[Any, ...]] = {}

    def changes(self, state: AccountState) -> dict[str, Any]:
        """What it does not have yet; from now on it counts as written."""
        ledger = state.ledger
        orders = self._changed_orders(state)
        fills, self._fills = ledger.fills[self._fills :], len(ledger.fills)
        busts, self._busts = ledger.busts[self._busts :], len(ledger.busts)
        closes, self._closes = state.closes[self._closes :], len(state.closes)
        return {
            "now_ns": state.now_ns,
            "ids_made": state.ids.made,
            "unmatched": state.unmatched,
            "orders": _plain(orders),
            "fills": _plain(fills),
            "busts": _plain(busts),
            "closes": _plain(closes),
            "depths": {symbol: _plain(depth) for symbol, depth in state.depths.items() if self._is_new_depth(symbol, depth)},
        }

    def _changed_orders(self, state: AccountState) -> list[PaperOrder]:
        if len(state.ledger.busts) > self._busts:
            # The only thing that changes orders which have ended.
            changed = state.orders
        else:
            changed = [order for order, written in self._open if attrs.astuple(order, recurse=False) != written]
            changed += state.orders[self._orders :]
        still_open = [order for order, _ in self._open] + state.orders[self._orders :]
        self._open = [(order, attrs.astuple(order, recurse=False)) for order in still_open if order.is_open]
        self._orders = len(state.orders)
        return changed

    def _is_new_depth(self, symbol: str, depth: Depth) -> bool:
        now = attrs.astuple(depth)
        before, self._depths[symbol] = self._depths.get(symbol), now
        return now != before


def _account(head: dict[str, Any], changes: list[Any]) -> AccountState:
    """The account out of the first line and all that followed."""
    fills: list[Fill] = []
    busts: list[Bust] = []
    closes: list[EquityPoint] = []
    orders: dict[str, PaperOrder] = {}
    depths: dict[str, Depth] = {}
    if not changes:
        raise ValueError("it ends after its first line")
    for change in changes:
        fills += map(_maker(Fill), _checked(change, dict)["fills"])
        busts += map(_maker(Bust), change["busts"])
        closes += map(_maker(EquityPoint), change["closes"])
        orders.update((order.order_id, order) for order in map(_maker(PaperOrder), change["orders"]))
        depths.update((symbol, _maker(Depth)(depth)) for symbol, depth in _checked(change["depths"], dict).items())
    last = changes[-1]
    return AccountState(
        account_id=_maker(str)(head["account_id"]),
        ids=SeededIds(_maker(int)(head["seed"]), _maker(int)(last["ids_made"])),
        now_ns=_maker(int)(last["now_ns"]),
        ledger=Ledger(_maker(Decimal)(head["opening_cash"]), fills, busts),
        orders=list(orders.values()),
        unmatched=[_maker(str)(order_id) for order_id in last["unmatched"]],
        depths=depths,
        closes=closes,
    )


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _plain(value: Any) -> Any:
    """The value in terms of JSON."""
    if isinstance(value, OrderRequest):
        return as_terms(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return value


@cache
def _maker(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of this kind out of its JSON, and raises KeyError, TypeError or ValueError where it is none."""
    if isinstance(kind, UnionType):
        (inner,) = (option for option in get_args(kind) if option is not NoneType)
        make = _maker(inner)
        return lambda value: None if value is None else make(value)
    if kind is OrderRequest:
        return lambda value: from_terms(_checked(value, dict))
    if attrs.has(kind):
        makers = [(field.name, _maker(field.type)) for field in attrs.fields(attrs.resolve_types(kind))]
        return lambda value: kind(
            **{name: make(_checked(value, dict)[name]) for name, make in makers if name in value or name not in _LATER}
        )
    if kind is Decimal:
        return lambda value: to_decimal(_checked(value, str))
    if issubclass(kind, StrEnum):
        return lambda value: kind(_checked(value, str))
    return lambda value: _checked(value, kind)


def _checked(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is not a {kind.__name__}")
    return value

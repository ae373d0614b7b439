"""What Alpaca keeps of an account beside its orders and positions: its number, its configurations, its watchlists."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import attrs

from broker_demo.sandbox.identity import identity
from broker_demo.sandbox.papers import Configurations, Papers, Watchlist
from broker_demo.sandbox.profile_file import ProfileFile

_NUMBERS = 10**10


class Profile:
    """The account's papers as they stand now, kept in ``file`` where there is one."""

    def __init__(self, papers: Papers, file: ProfileFile | None = None) -> None:
        self._papers = papers
        self._file = file

    @classmethod
    def open(cls, account_id: str, now_ns: int, file: ProfileFile | None = None) -> Profile:
        """The kept papers of this account of the exchange, or new ones where there are none or they are another account's.

        Raises ConfigError for a file that is damaged.
        """
        kept = None if file is None else file.load()
        if kept is None or kept.account_id != account_id:
            number = UUID(identity("account", account_id)).int % _NUMBERS
            kept = Papers(account_id=account_id, account_number=f"PA{number:010d}", created_at_ns=now_ns)
            if file is not None:
                file.save(kept)
        return cls(kept, file)

    @property
    def account_id(self) -> str:
        """The account's id on the wire, a UUID."""
        return identity("account", self._papers.account_id)

    @property
    def account_number(self) -> str:
        """``PA`` and ten digits, as paper accounts have."""
        return self._papers.account_number

    @property
    def created_at_ns(self) -> int:
        """The market's moment at which the account was first opened here, in nanoseconds since the Unix epoch."""
        return self._papers.created_at_ns

    @property
    def configurations(self) -> Configurations:
        """What the owner has chosen."""
        return self._papers.configurations

    @property
    def watchlists(self) -> Sequence[Watchlist]:
        """The owner's lists, the oldest first."""
        return self._papers.watchlists

    def configure(self, configurations: Configurations) -> None:
        """Write down other choices, which count from then on. Raises StorageError."""
        self._change(attrs.evolve(self._papers, configurations=configurations))

    def watch(self, watchlists: Sequence[Watchlist]) -> None:
        """Write down other lists in the place of the former. Raises StorageError."""
        self._change(attrs.evolve(self._papers, watchlists=tuple(watchlists)))

    def _change(self, papers: Papers) -> None:
        if self._file is not None:
            self._file.save(papers)
        self._papers = papers

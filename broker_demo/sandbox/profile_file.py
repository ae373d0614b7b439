"""The papers of an account in a file beside the demo account's, so that they survive the process.

The file is one object of JSON, and is always replaced as a whole. Nobody else writes it: whoever has the demo account has this too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import msgspec

from broker_core.errors import ConfigError, StorageError
from broker_demo.sandbox.papers import Papers
from broker_demo.whole_file import write_whole

FORMAT = "broker sandbox profile"
VERSION = 1


@attrs.frozen(kw_only=True)
class _Head:
    format: str = ""
    version: int = 0


class ProfileFile:
    """The file of one account's papers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, account: Path) -> ProfileFile:
        """The one that belongs to a demo account's file."""
        return cls(account.with_name(f"{account.name}.profile.json"))

    def load(self) -> Papers | None:
        """The papers; None when there is no file yet. What is missing has its default. Raises ConfigError for a damaged or newer one."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self.path}: the sandbox's profile cannot be read: {error.strerror or error}") from None
        try:
            head = msgspec.json.decode(content, type=_Head)
            if head.format == FORMAT and head.version > VERSION:
                raise ConfigError(
                    f"{self.path}: the sandbox's profile was written by a newer release "
                    f"(version {head.version}, this one reads {VERSION}); update broker-core or name another account file"
                )
            if head.format != FORMAT:
                raise ValueError("its format is unknown")
            return msgspec.json.decode(content, type=Papers)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{self.path}: the sandbox's profile is damaged ({reason}); restore the file, or remove it to begin anew"
            ) from None

    def save(self, papers: Papers) -> None:
        """Put these papers in the place of the former in one step. Raises StorageError; what the file held before, it then still holds."""
        content: dict[str, Any] = {"format": FORMAT, "version": VERSION, **attrs.asdict(papers)}
        try:
            write_whole(self.path, msgspec.json.encode(content) + b"\n")
        except OSError as error:
            raise StorageError(f"{self.path}: the sandbox's profile cannot be written: {error.strerror or error}") from None

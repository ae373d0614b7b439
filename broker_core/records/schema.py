"""The schema's history, kept by Peewee's own migration runner.

The numbered scripts in ``broker_core/migrations`` serve every broker: each finds the prefix of its tables in ``migrator.prefix``. What
has been applied stands beside those tables, in ``<prefix>_schema_migration``. A script declares its tables anew and never imports
the record types, which are always those of today.
"""

from __future__ import annotations

from importlib.resources import files

import attrs
import peewee as pw
from playhouse.migrations import Runner

from broker_core.records.engine import Engine
from broker_core.records.models import ORDER_LOG

HISTORY = "schema_migration"


@attrs.frozen
class Schema:
    """What of the history a database has, script names in order. ``unknown`` were applied by a newer version than this."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def version(self) -> str | None:
        """The newest script applied; None before the first."""
        return max((*self.applied, *self.unknown), default=None)

    @property
    def newest(self) -> str | None:
        """The newest script there is in this version."""
        return max((*self.applied, *self.pending), default=None)


def state(database: pw.Database, prefix: str) -> Schema:
    """Compare the scripts with what was applied to the tables of this prefix."""
    rows = _runner(database, prefix).status()
    return Schema(
        applied=tuple(row.name for row in rows if row.applied and row.path),
        pending=tuple(row.name for row in rows if not row.applied),
        unknown=tuple(row.name for row in rows if not row.path),
    )


def prefixes(database: pw.Database) -> list[str]:
    """The prefixes that have tables here. Another program may keep a history of its own in a table named alike, so that is not enough."""
    tables = set(database.get_tables())
    found = sorted(name.removesuffix(f"_{HISTORY}") for name in tables if name.endswith(f"_{HISTORY}"))
    return [prefix for prefix in found if f"{prefix}_{ORDER_LOG}" in tables]


def upgrade(engine: Engine, prefix: str) -> list[str]:
    """Apply what is pending and return its names; several hosts may do so at once. For use within ``engine.attempt``.

    Raises StorageError when the database is ahead of this version.
    """
    if not _known(engine, prefix).pending:
        return []
    with engine.writing():
        engine.lock_schema()
        _known(engine, prefix)
        applied: list[str] = _runner(engine.database, prefix).up()
        return applied


def downgrade(engine: Engine, prefix: str, target: str | None = None) -> list[str]:
    """Take back the newest script, or every one down to and including ``target``, and return their names. Drops what they made.

    For use within ``engine.attempt``. Raises StorageError for a target that is not applied, or scripts not known here.
    """
    with engine.writing():
        engine.lock_schema()
        found = _known(engine, prefix)
        if target is not None and target not in found.applied:
            raise engine.failure(f"migration {target} is not applied for {prefix}; applied are {', '.join(found.applied) or 'none'}")
        reverted: list[str] = _runner(engine.database, prefix).down(target) if found.applied else []
        return reverted


def _known(engine: Engine, prefix: str) -> Schema:
    """The state of these tables, unless scripts were applied that this version does not have: it cannot know what they changed."""
    found = state(engine.database, prefix)
    if found.unknown:
        raise engine.failure(
            f"the tables of {prefix} are at {found.version}, this version of broker-core knows only up to {found.newest}; "
            "install the newer broker-core, or run its `broker db downgrade`"
        )
    return found


def _runner(database: pw.Database, prefix: str) -> Runner:
    runner = Runner(database, str(files("broker_core") / "migrations"), table_name=f"{prefix}_{HISTORY}")
    runner.migrator.prefix = prefix
    return runner

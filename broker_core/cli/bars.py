"""``broker bars``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from broker_core.cli.invocation import Invocation, shared_options
from broker_core.cli.items import BAR_COLUMNS
from broker_core.cli.running import run

if TYPE_CHECKING:
    from pandas import DataFrame

    from broker_core.bar_download import Progress


@click.command()
@click.argument("symbols", metavar="SYMBOL...", nargs=-1, required=True)
@click.option("--timeframe", metavar="1Min|15Min|1Hour|1Day|…", default="1Day", show_default=True)
@click.option("--start", metavar="MOMENT", help="First bar: a date, or a moment with its time zone, in ISO 8601.")
@click.option("--end", metavar="MOMENT", help="Bars before this; by default up to the running one.")
@click.option("--days", metavar="N", type=click.IntRange(min=1), help="The last N trading days, instead of --start.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="The last N bars of each symbol.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Save to this .csv or .parquet file.")
@shared_options
@click.pass_obj
def bars(invocation: Invocation, /, symbols: tuple[str, ...], *, out: Path | None, **terms: Any) -> None:
    """Show or save bars: open, high, low, close, volume. Without --start, --days and --limit: the last 100."""
    writer = None if out is None else _writer(out)
    run(invocation, _bars(invocation, symbols, terms, out, writer))


async def _bars(
    invocation: Invocation,
    symbols: tuple[str, ...],
    terms: dict[str, Any],
    out: Path | None,
    writer: Callable[[DataFrame, Path], None] | None,
) -> None:
    async with invocation.session() as session:
        with _progress() as progress:
            frame = await session.market_data.bars(symbols, progress=progress, **terms)
    if out is not None and writer is not None:
        writer(frame, out)
        invocation.output.facts({"kind": "file", "path": str(out), "rows": len(frame), "symbols": list(symbols)})
    elif invocation.output.as_json:
        for item in bar_items(frame):
            invocation.output.item(item)
    else:
        title = f"{frame.attrs['timeframe']} bars from {frame.attrs['broker']} ({frame.attrs['environment']})"
        invocation.output.items(list(bar_items(frame)), title=title, columns=BAR_COLUMNS, empty="no bars")


def bar_items(frame: DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a frame of several symbols as items, oldest first within each symbol."""
    columns = [frame[name].tolist() for name in frame.columns]
    for (symbol, timestamp), *values in zip(frame.index, *columns, strict=True):
        yield {
            "kind": "bar",
            "symbol": symbol,
            "timestamp": timestamp.to_pydatetime(warn=False),
            **dict(zip(frame.columns, values, strict=True)),
        }


def _writer(path: Path) -> Callable[[DataFrame, Path], None]:
    """How to save under this name; decided before anything is downloaded. Raises ValueError."""
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}")
    if path.suffix == ".csv":
        return _save_csv
    if path.suffix == ".parquet":
        if importlib.util.find_spec("pyarrow") is None:
            raise ValueError(f"--out {path}: Parquet needs an extra; pip install 'broker-core[parquet]', or save as .csv")
        return _save_parquet
    raise ValueError(f"--out {path}: the name must end in .csv or .parquet")


def _save_csv(frame: DataFrame, path: Path) -> None:
    frame.to_csv(path, date_format="%Y-%m-%dT%H:%M:%SZ")


def _save_parquet(frame: DataFrame, path: Path) -> None:
    frame.reset_index().to_parquet(path, engine="pyarrow", index=False)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    """A progress bar on standard error, where a person looks at it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.fields[bars]:,} bars"), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("bars", total=None, bars=0)
        yield lambda progress: shown.update(task, total=progress.total, completed=progress.done, bars=progress.bars)

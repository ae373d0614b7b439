"""Several calls at once, of which the first failure is everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

T = TypeVar("T")


async def at_once(work: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """The results of all, in order. The first failure cancels the others, waits for them and is raised itself, not in a group."""
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        failure = failures.exceptions[0]
    # Raised out here, so that the group does not hang on it as its context.
    if failure is not None:
        raise failure
    return [task.result() for task in tasks]

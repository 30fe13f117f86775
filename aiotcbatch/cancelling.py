"""Cancelling: telling the end of a task from that of something which it has awaited."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiotcbatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.errors import AiotcbatchError

__all__ = ["only_ours"]


@contextmanager
def only_ours(what: str, kind: type[AiotcbatchError] = UsageError) -> Iterator[None]:
    """
    Run something of the user's, and let its cancellation through only if it is that of this task.

    Otherwise it has awaited what somebody else has cancelled. Nobody asks this task to end, so it
    would end unseen, and who waits for it would wait for ever.

    Args:
        what: What is run, for the error.
        kind: The class of the error.

    Raises:
        AiotcbatchError: When it raises a cancellation that is not of this task.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise kind(
            f"{what} has raised {error!r}, though nobody has cancelled who called it: what it"
            " awaits was cancelled; raise an Exception to have that fail"
        ) from error

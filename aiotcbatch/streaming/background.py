"""Tasks that run beside a block, and what goes wrong in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

__all__ = ["Background"]


class Background:
    """
    Tasks that run beside the block of whoever begins them, from then until it ends them.

    What goes wrong in one of them ends neither the others nor the block: the first failure is
    kept for where the user awaits something.

    Args:
        on_failure: Called with whatever goes wrong, each time.
    """

    def __init__(self, on_failure: Callable[[Exception], None]) -> None:
        self._on_failure = on_failure
        #: The first that went wrong.
        self.failure: Exception | None = None
        #: Whether tasks run, or have run.
        self.has_begun = False
        self._outer: TaskGroup
        self._workers: TaskGroup

    async def begin(self, *tasks: Callable[[], Awaitable[None]]) -> None:
        """Run tasks; the one that calls this has to call `end`."""
        self._outer, self._workers = anyio.create_task_group(), anyio.create_task_group()
        await self._outer.__aenter__()
        self.has_begun = True
        self._outer.start_soon(self._run, tasks)

    def add(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run another task; one of those that run calls this."""
        self._workers.start_soon(self._guard, task)

    async def end(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        # Those alone, and not the task that calls this: where it has caught a cancellation, as a
        # service does that is asked to stop, nobody could tell that one from this.
        self._workers.cancel_scope.cancel()
        await self._outer.__aexit__(None, None, None)

    def raise_failure(self) -> None:
        """
        Raise the first failure, if there was one.

        Raises:
            Exception: What a task was ended by.
        """
        if self.failure is not None:
            raise self.failure

    async def _run(self, tasks: tuple[Callable[[], Awaitable[None]], ...]) -> None:
        async with self._workers:
            for task in tasks:
                self.add(task)

    async def _guard(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except Exception as error:  # noqa: BLE001 - raised where the user awaits something
            self.failure = self.failure or error
            self._on_failure(error)

"""The state of one sandbox, without its way in and without its controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiotcbatch.sandbox.access import Gate
    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.clock import Clock
    from aiotcbatch.sandbox.faults import Faults
    from aiotcbatch.sandbox.settings import Settings
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Instance"]


class Instance:
    """
    What every part of the sandbox shares.

    Args:
        store: What it keeps.
        catalog: The types that it knows.
        gate: Who may come in.
        settings: Its limits; replaced as a whole when they change.
        clock: Its time.
        faults: What goes wrong on purpose.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        gate: Gate,
        settings: Settings,
        clock: Clock,
        faults: Faults,
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.gate = gate
        self.settings = settings
        self.clock = clock
        self.faults = faults
        #: Awaited for the time at which something happens, in the place of the clock.
        self.chronicle: Callable[[str], Awaitable[float]] | None = None
        self.worker = Worker(self)

    async def moment(self, what: str) -> float:
        """
        Return the time at which something happens, now.

        Every time that is stored or answered comes from here, so that a replay can put everything
        that happens back into its order.

        Args:
            what: What happens, such as ``job 3 completed``.
        """
        if self.chronicle is not None:
            return await self.chronicle(what)
        return self.clock.time()

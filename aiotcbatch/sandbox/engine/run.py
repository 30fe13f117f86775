"""One batch job from its document to its result, in steps that each take a few milliseconds."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from aiotcbatch.sandbox.engine.associations import Joiner, Resolver
from aiotcbatch.sandbox.engine.batch import Context, StopError
from aiotcbatch.sandbox.engine.create import Creator
from aiotcbatch.sandbox.engine.document import Document, DocumentError
from aiotcbatch.sandbox.engine.incoming import MalformedError, RefusedError
from aiotcbatch.sandbox.engine.remove import Remover
from aiotcbatch.sandbox.engine.report import Report
from aiotcbatch.sandbox.store import entities as table
from aiotcbatch.sandbox.store import jobs

if TYPE_CHECKING:
    from aiotcbatch.sandbox.catalog import Catalog
    from aiotcbatch.sandbox.engine.batch import Readers
    from aiotcbatch.sandbox.engine.config import Config
    from aiotcbatch.sandbox.engine.document import Part
    from aiotcbatch.sandbox.settings import Settings
    from aiotcbatch.sandbox.store.database import Connection
    from aiotcbatch.sandbox.store.jobs import Job
    from aiotcbatch.sandbox.store.store import Store

__all__ = ["Run"]

#: The position of a job that has nothing left to do but to be called completed.
ALL_DONE = -1
#: How many elements are read at once where none is written.
_MANY = 500


class Run:
    """
    The processing of one job.

    Every step is one transaction that also notes how far the job is, so that a job whose process
    died goes on with the first element that was not done.

    Args:
        store: Where the data goes.
        catalog: The types of the instance.
        readers: What reads groups and indicators of these types.
        settings: Its limits.
        job: The job.
        config: Its configuration, checked.
        body: Its document.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        readers: Readers,
        settings: Settings,
        job: Job,
        config: Config,
        body: bytes,
    ) -> None:
        self.job = job
        owner_id = store.owners[config.owner][0]
        self._report = Report(job)
        self._context = Context(
            store=store,
            catalog=catalog,
            settings=settings,
            config=config,
            owner_id=owner_id,
            readers=readers,
            resolver=Resolver(owner_id, readers.indicators),
            report=self._report,
        )
        self._joiner = Joiner(self._context)
        self._creator = Creator(self._context, self._joiner)
        self._remover = Remover(self._context)
        self._document = Document(body, config.version)
        self._read = False

    @property
    def share(self) -> float:
        """How much of the document has been read, from 0 to 1."""
        return self._document.share

    @property
    def unneeded(self) -> list[str]:
        """Spooled files that nobody needs any more since what they belonged to was deleted."""
        return self._remover.files

    def resume(self, connection: Connection) -> None:
        """Go past what was done before the process died, and find its open links again."""
        if self.job.position <= 0:
            return
        failed = {(error.section, error.position) for error in jobs.errors(connection, self.job.id)}
        self._report.remember(failed)
        left = self.job.position
        while left and (part := self._document.read(min(left, _MANY))) is not None:
            left -= len(part.values)
            if part.section != "association" and not self._context.config.delete:
                for position, value in enumerate(part.values, part.first):
                    if (part.section, position) not in failed:
                        self._find_again(connection, part.section, position, value)

    def step(self, connection: Connection, limit: int, now: float) -> int:
        """
        Do the next part of the job.

        Args:
            connection: The database, in a transaction.
            limit: The most elements to do.
            now: The time.

        Returns:
            How many were done. When there is nothing left, `over` is true.
        """
        done = 0
        # Nothing that a step makes is in circles: to look for some took a sixth of its time.
        collects = gc.isenabled()
        gc.disable()
        try:
            if not self._read:
                done = self._advance(connection, limit, now)
            elif self._joiner.pending:
                self._joiner.link(connection, limit)
            else:
                self.job.position = ALL_DONE
        except StopError:
            self._joiner.drop()
            self.job.position = ALL_DONE
        finally:
            if collects:
                gc.enable()
        self._context.store.save_numbers(connection)
        jobs.add_errors(connection, self.job.id, self._report.taken())
        jobs.save(connection, self.job)
        return done

    @property
    def over(self) -> bool:
        """Whether all is done."""
        return self.job.position == ALL_DONE

    def _advance(self, connection: Connection, limit: int, now: float) -> int:
        """Read the next elements of one section and do what they ask for."""
        try:
            part = self._document.read(limit)
        except DocumentError as fault:
            self._report.critical(fault.reason, fault.path)
            raise StopError(0) from None
        if part is None:
            self._read = True
            return 0
        try:
            self._process(connection, part, now)
        except StopError as stop:
            self._report.leave_out(self._rest(part, stop.index + 1))
            raise
        self.job.position += len(part.values)
        return len(part.values)

    def _process(self, connection: Connection, part: Part, now: float) -> None:
        if part.section == "association":
            self._joiner.process(connection, part)
        elif self._context.config.delete:
            self._remover.process(connection, part)
        else:
            self._creator.process(connection, part, now)

    def _rest(self, part: Part, done: int) -> int:
        """Count the groups and indicators that follow; 0 if what follows is not JSON."""
        number = 0 if part.section == "association" else len(part.values) - done
        try:
            while (following := self._document.read(_MANY)) is not None:
                if following.section != "association":
                    number += len(following.values)
        except DocumentError:
            return 0
        return number

    def _find_again(self, connection: Connection, section: str, position: int, value: Any) -> None:
        if not isinstance(value, dict):
            return
        try:
            entity = self._context.readers.of(section).read(value, position)
        except (RefusedError, MalformedError):
            return
        if not entity.links:
            return
        found = table.match(connection, self._context.owner_id, [entity.identity])
        if entity.identity in found:
            entity.id = found[entity.identity]
            self._joiner.later(entity, entity.links)

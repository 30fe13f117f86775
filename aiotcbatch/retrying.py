"""Sending again what failed: from a result in memory, or from a file of dead letters."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Literal

from aiotcbatch.checking import checked_path
from aiotcbatch.collecting.dicts import DictBuilder
from aiotcbatch.collecting.extending import take_all
from aiotcbatch.entities.contents import LostContent
from aiotcbatch.entities.indicator import INDICATOR_CLASSES
from aiotcbatch.entities.summaries import join_summary
from aiotcbatch.errors import (
    AiotcbatchError,
    ConfigurationError,
    DeadLettersError,
    ValidationError,
)
from aiotcbatch.results.dead_letters import Letter, read_letters, write_letters
from aiotcbatch.results.outcomes import Outcomes
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.submitting.job import Job
from aiotcbatch.xid import unique_xid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from os import PathLike

    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.entities.contents import FileContent
    from aiotcbatch.results.outcomes import Outcome
    from aiotcbatch.submitting.job import JobSettings

__all__ = ["Retrying", "add_letter", "with_xid"]

_FAILED = "the result of a submit, or the path of a file of dead letters"
#: What the server does not have for sure, so that it can be sent again whatever the write types.
_NOT_THERE = frozenset({"rejected", "unprocessed"})
#: The same of lines of a journal's export.
_UNSENT = frozenset({"waiting", "cut"})
#: What of an accepted group is sent again, so that its file can go up.
_IDENTITY = ("type", "name", "xid", "fileName")


class Retrying(DictBuilder):
    """A builder that can take back what failed, and keep what it gives up in a file."""

    _settings: JobSettings
    #: Asked for contents that are not at hand; None if nobody is.
    _contents: Callable[[str], FileContent | None] | None
    #: Where dead letters go; None for nowhere.
    _dead_letters: str | PathLike[str] | None
    #: Why the last of them could not be written.
    _unburied: DeadLettersError | None = None

    def _wants_all(self) -> bool:
        # What is to be deleted is found by its xid.
        return super()._wants_all() and self._settings.action != "Delete"

    async def add_failed(self, failed: BatchStatus | str | PathLike[str]) -> int:
        """
        Add what failed once more, and drain it; it has its source and its file as before.

        Args:
            failed: The result of a submit, or of a job of a stream: what was rejected or not
                processed is added, and groups whose file was not uploaded. What may be on the
                server is not: what was accepted without a part, and what is unknown. Nor is what
                is still in this batch, and goes on with the next submit anyway.
                Or the path of a file of dead letters, which has those too: all that is in it is
                added, as it is now.

        Returns:
            How many groups, indicators and associations were added.

        Raises:
            ConfigurationError: When it is for another owner or another ``action``, or no such
                file can be read.
            ValidationError: When an entity cannot be right, or a line cannot be understood; or
                when, with ``attribute_write_type="Append"``, a line says that the entity is or
                may be on the server, where it would get its attributes a second time. Those
                before it are added.
            UsageError: When the result is a copy, which does not have its entities any more.
            JournalError: When the journal cannot be written.
        """
        if isinstance(failed, BatchStatus):
            letters = self._failed_in(failed)
        else:
            letters = self._letters_in(_path_of(failed))
        async with aclosing(letters):
            return await take_all(letters, self._add_again, self.drain)

    def _add_again(self, letter: Letter) -> None:
        """Add what failed, or say where what cannot be right stands."""
        try:
            self._add_letter(letter)
        except ValidationError as error:
            raise ValidationError(
                error.field, error.value, error.accepted, about=letter.where
            ) from None

    async def _failed_in(self, status: BatchStatus) -> AsyncGenerator[Letter, None]:
        known = status.outcomes.records
        records = [record for record in known if not self._has_still(record.chunk)]
        async for outcome in Outcomes(records):
            letter = _again(outcome)
            if letter is not None:
                yield letter

    async def _letters_in(self, path: str | PathLike[str]) -> AsyncGenerator[Letter, None]:
        async with aclosing(read_letters(path)) as letters:
            async for letter in letters:
                self._check_state(letter)
                yield letter

    def _check_state(self, letter: Letter) -> None:
        if letter.state not in _NOT_THERE | _UNSENT and not self._settings.repeatable:
            accepted = (
                "rejected, unprocessed, waiting or cut with attribute_write_type='Append', which"
                " would add its attributes a second time; look on the server, and correct the line"
            )
            raise ValidationError("state", letter.state, accepted, about=letter.where)

    def _has_still(self, chunk: Chunk) -> bool:
        """Whether the entities of a job are here, and go on by themselves."""
        del chunk
        return False

    def _check_target(self, letter: Letter) -> None:
        for name, wanted, found in (
            ("owner", self._settings.owner, letter.owner),
            ("action", self._settings.action, letter.action),
        ):
            if found is not None and found != wanted:
                accepted = f"{found!r}, which {letter.where} is for"
                raise ConfigurationError(name, wanted, accepted)

    def _add_letter(self, letter: Letter) -> None:
        self._check_target(letter)
        if letter.kind == "association":
            self.add_association(letter.entity, source=letter.source)
        elif letter.kind == "indicator":
            self.add_indicator(with_xid(letter.entity, "summary"), source=letter.source)
        else:
            data = with_xid(letter.entity, "name")
            content = self._content_of(letter, str(data.get("xid")))
            if content is not None:
                data = data | {"fileContent": content}
            self.add_group(data, source=letter.source)

    def _content_of(self, letter: Letter, xid: str) -> FileContent | None:
        """Give the content of a letter's file, from whoever has it."""
        if isinstance(letter.content, LostContent) and self._contents is not None:
            asked = self._contents(xid)
            if asked is not None:
                return asked
        return letter.content

    async def _bury(self, jobs: Iterable[Job]) -> None:
        """Write down what failed in jobs that are over, if it is to be."""
        if self._dead_letters is not None:
            for job in jobs:
                try:
                    await write_letters(self._dead_letters, job.result.outcomes.failed)
                except DeadLettersError as error:
                    self._unburied = error
                    raise

    async def _keep_records(self, jobs: Iterable[Job]) -> None:
        """Copy what outcomes are made of out of the journal, which is to forget it."""
        for job in jobs:
            # Where that cannot be, the job is done all the same: who asks for outcomes is told.
            with suppress(AiotcbatchError, OSError):
                await job.records.keep(self._spool)

    async def _give_up(self, jobs: Iterable[Job]) -> None:
        """Write down what is left of jobs, and what was drained, if it is to be."""
        if self._dead_letters is None:
            return
        known = self._unburied
        try:
            await self._bury(jobs)
            while (chunk := self._cut()) is not None:
                await self._bury([Job(self._settings, chunk)])
        except DeadLettersError:
            if known is not None:  # which tells what had been done, and may be on its way out
                raise known from known.__cause__
            raise


def add_letter(builder: Retrying, letter: Letter) -> None:
    """
    Add a dead letter that was read.

    Raises:
        ConfigurationError: When it is for another owner or another action.
        ValidationError: As for `Retrying.add_failed`.
    """
    builder._check_state(letter)  # noqa: SLF001 (its own)
    builder._add_letter(letter)  # noqa: SLF001


def with_xid(data: dict[str, Any], field: Literal["name", "summary"]) -> dict[str, Any]:
    """
    Give an entity without xid the one that is made of its type and name.

    Args:
        data: A group or an indicator, as in a document.
        field: What it is named by. The summary of an indicator may be in parts, as ``md5``.

    Raises:
        ValidationError: When it has neither an xid nor a name.
    """
    if data.get("xid") is not None:
        return data
    name = data.get(field)
    if name is None and field == "summary":
        name = _joined(data)
    if not isinstance(name, str) or not name:
        raise ValidationError(field, name, "text; an entity without xid is known by it")
    return data | {"xid": unique_xid(str(data.get("type")), name)}


def _joined(data: dict[str, Any]) -> str | None:
    cls = INDICATOR_CLASSES.get(str(data.get("type")))
    names = () if cls is None else cls.VALUE_FIELDS
    parts = [data[name] for name in names if data.get(name) is not None]
    return join_summary(parts, "summary") if parts else None


def _path_of(failed: str | PathLike[str] | None) -> str | PathLike[str]:
    """Refuse what is neither a result nor a path."""
    if failed is None:
        raise ConfigurationError("failed", failed, _FAILED)
    return checked_path("failed", failed, _FAILED)


def _again(outcome: Outcome) -> Letter | None:
    """Give what is to be sent again of what failed; None if nothing is."""
    data = outcome.data
    if outcome.state not in _NOT_THERE:
        if outcome.state != "accepted" or outcome.file is None or outcome.upload is None:
            return None
        data = {name: data[name] for name in _IDENTITY if name in data}
    return Letter(
        entity=data,
        kind=outcome.kind,
        state=outcome.state,
        source=outcome.source,
        owner=outcome.owner,
        action=outcome.action,
        content=None if outcome.file is None else outcome.file.content,
        where="the result",
    )

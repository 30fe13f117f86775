"""What became of a job's entities: the counts, and the errors in the API's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiotcbatch.sandbox.store.jobs import JobError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiotcbatch.sandbox.engine.incoming import Incoming, RefusedError
    from aiotcbatch.sandbox.store.jobs import Counts, Job

__all__ = ["Report"]

_SYNTAX = "0x1003"
_PARTIAL_LOSS = {"indicator": "0x2001", "group": "0x2002"}
_CRITICAL = "Encountered an unexpected Exception while processing batch job."


class Report:
    """
    Counts outcomes and words errors; an entity has one error at most, its first.

    Args:
        job: Whose counts are kept.
    """

    def __init__(self, job: Job) -> None:
        #: The job's counts.
        self.counts: Counts = job.counts
        self._failed: set[tuple[str, int]] = set()
        self._errors: list[JobError] = []
        self._last: Incoming | None = None

    def taken(self) -> list[JobError]:
        """Return the errors since the last time."""
        errors, self._errors = self._errors, []
        return errors

    def remember(self, failed: Iterable[tuple[str, int]]) -> None:
        """Take note of elements that had an error before a restart, by section and position."""
        self._failed.update(failed)

    def failed(self, section: str, position: int) -> bool:
        """Tell whether an element has an error already."""
        return (section, position) in self._failed

    def stored(self, entity: Incoming) -> None:
        """Count an entity that is stored, perhaps without some part."""
        self._last = entity
        if not entity.loss:
            if entity.section == "group":
                self.counts.success_groups += 1
            else:
                self.counts.success_indicators += 1
            return
        self._fail(entity)
        self._add(entity, _PARTIAL_LOSS[entity.section], "Warning", entity.loss)

    def refused(self, entity: Incoming, error: RefusedError) -> None:
        """Count an entity that is not stored."""
        self._last = entity
        self._fail(entity)
        self._add(entity, error.code, "Error", error.reason, error.field)

    def noted(self, entity: Incoming, code: str, severity: str, reason: str) -> None:
        """Note something about an entity that is no failure."""
        self._add(entity, code, severity, reason)

    def unlinked(self, entity: Incoming, missing: str) -> None:
        """Note that what an entity is associated with does not exist."""
        if self.failed(entity.section, entity.position):
            return
        if entity.section == "group":
            self.counts.success_groups -= 1
        else:
            self.counts.success_indicators -= 1
        self._fail(entity)
        reason = f"{entity.title} cannot be associated: {missing} was not found."
        self._add(entity, "0x1009", "Error", reason)

    def association_refused(self, position: int, error: RefusedError) -> None:
        """Count an element of the ``association`` array that links nothing."""
        self.counts.error_associations += 1
        path = f"$.association[{position}]"
        path = f"{path}.{error.field}" if error.field else path
        self._errors.append(
            JobError(
                "association",
                position,
                error.code,
                "Error",
                error.reason,
                f"association[{position}] is not valid.",
                f"{error.reason} JSON path: '{path}'.",
            )
        )

    def critical(self, reason: str, path: str, last: tuple[str, int, str] | None = None) -> None:
        """Note that the document cannot be read any further."""
        if last is None and self._last is not None and self._last.xid:
            last = (self._last.section, self._last.position, self._last.xid)
        shown = f": Last processed {last[0]}[{last[1]}] '{last[2]}'" if last else ""
        message = f"{_CRITICAL} Last known JSON path: '{path}'{shown}."
        self.whole(_SYNTAX, reason, message, last[2] if last else None)

    def malformed(self, section: str, position: int, reason: str, xid: str | None) -> None:
        """Note that an element has the wrong JSON shape, at which the server gives up."""
        self.critical(
            f"com.google.gson.JsonSyntaxException: {reason}",
            f"$.{section}[{position}]",
            (section, position, xid) if xid else None,
        )

    def whole(self, code: str, reason: str, message: str, xid: str | None = None) -> None:
        """Note an error about the document as a whole."""
        self.counts.critical += 1
        self._errors.append(JobError("", 0, code, "Error", reason, message, message, xid))

    def leave_out(self, number: int) -> None:
        """Count entities that were not looked at."""
        self.counts.unprocessed += number

    def _fail(self, entity: Incoming) -> None:
        self._failed.add((entity.section, entity.position))
        if entity.section == "group":
            self.counts.error_groups += 1
        else:
            self.counts.error_indicators += 1

    def _add(
        self, entity: Incoming, code: str, severity: str, reason: str, field: str = ""
    ) -> None:
        place = f"{entity.section}[{entity.position}]"
        path = f"$.{place}.{field}" if field else f"$.{place}"
        shown = f" '{entity.xid}'" if entity.xid else ""
        self._errors.append(
            JobError(
                entity.section,
                entity.position,
                code,
                severity,
                reason,
                f"{entity.summary or entity.xid or place} is not valid.",
                f"{reason} JSON path: '{path}': {place}{shown}.",
                entity.xid,
            )
        )

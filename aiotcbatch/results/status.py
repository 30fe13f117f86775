"""What a job came to: its counts, its errors tied to the entities they are about, its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiotcbatch.errors import ERROR_CODES
from aiotcbatch.results.dead_letters import write_letters
from aiotcbatch.results.outcomes import outcomes_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from aiotcbatch.errors import ErrorCode
    from aiotcbatch.results.outcomes import JobRecord, Outcomes

__all__ = ["COUNTS", "BatchError", "BatchStatus", "UploadResult"]

#: The server's names of what is counted. Source: v2 Batch API, status.
COUNTS = (
    "successCount",
    "errorCount",
    "unprocessCount",
    "successIndicatorCount",
    "errorIndicatorCount",
    "successGroupCount",
    "errorGroupCount",
    "successAssociationCount",
    "errorAssociationCount",
)

#: Texts of critical failures. Source: v2 Batch API, halting.
_UNEXPECTED = "Encountered an unexpected Exception while processing batch job"
_QUOTA = "would exceed the number of allowed indicators"
_ASSOCIATION = "0x1009"


class BatchError(dict[str, Any]):
    """
    One error of a job: what the server sent, and what it is about.

    The server's fields are ``code``, ``severity``, ``errorReason``, ``errorMessage`` and
    ``errorSource``; every one of them may be missing. ``xid``, or ``association`` where it is
    about an association of its own, is there only if the answer allows to tell it.
    """

    @property
    def xid(self) -> str | None:
        """The entity that it is about, None if the answer does not tell."""
        return self.get("xid")

    @property
    def association(self) -> dict[str, Any] | None:
        """The association that it is about, as it was sent; None if it is about none."""
        return self.get("association")

    @property
    def code(self) -> str | None:
        """Such as ``0x1005``, None on servers that send none."""
        return self.get("code")

    @property
    def severity(self) -> str | None:
        """Such as ``Error`` or ``Warning``, None on servers that send none."""
        return self.get("severity")

    @property
    def reason(self) -> str:
        """The server's short text, "" if there is none."""
        return str(self.get("errorReason") or "")

    @property
    def message(self) -> str:
        """The server's long text, the short one if there is none."""
        return str(self.get("errorMessage") or self.reason)

    @property
    def meaning(self) -> str:
        """What the code stands for, "" if it is not known."""
        known = self._known_code
        return known.meaning if known else ""

    @property
    def hint(self) -> str:
        """What can be done about it, "" if the code is not known."""
        known = self._known_code
        return known.hint if known else ""

    @property
    def _known_code(self) -> ErrorCode | None:
        return ERROR_CODES.get(f"0x{str(self.code or '')[2:].upper()}")

    @property
    def critical(self) -> bool:
        """
        Whether the server gave up on the whole document.

        Older servers put the text in ``errorReason``, newer ones in ``errorMessage``.
        """
        return self.unexpected or self._says(_QUOTA)

    @property
    def unexpected(self) -> bool:
        """Whether the server gave up on the whole document since it failed somewhere in it."""
        return self._says(_UNEXPECTED)

    def _says(self, text: str) -> bool:
        return text in f"{self.reason}\n{self.message}"

    @property
    def refused(self) -> bool:
        """
        Whether what it is about is not on the server.

        An entity is there, without a part of it, when it is a warning or information, or about
        one of its associations (inferred from the names of the codes).
        """
        severity = str(self.severity or "error").lower()
        return severity.startswith("err") and self.code != _ASSOCIATION

    @property
    def harmless(self) -> bool:
        """Whether nothing is lost, since it is information."""
        return str(self.severity or "").lower().startswith("info")

    def __str__(self) -> str:
        code = f"{self.code} {self.meaning}: ".lstrip() if self.code else ""
        about = f"{self.xid!r}: " if self.xid else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{about}{code}{self.reason or self.message}{hint}"


class UploadResult(dict[str, Any]):
    """
    What became of one file.

    It is a dict with the keys ``uploaded``, ``xid``, ``error`` (text, None if it is uploaded) and
    ``bytes`` (how many were uploaded), and has them as properties too.
    """

    @property
    def uploaded(self) -> bool:
        """Whether the content is on the server."""
        return bool(self["uploaded"])

    @property
    def xid(self) -> str:
        """The xid of the group."""
        return str(self["xid"])

    @property
    def error(self) -> str | None:
        """Why it is not uploaded, None if it is."""
        error: str | None = self.get("error")
        return error

    @property
    def size(self) -> int:
        """Number of bytes that were uploaded."""
        return int(self.get("bytes") or 0)


class BatchStatus(dict[str, Any]):
    """
    What one job, or all jobs of a ``submit()``, came to.

    It is a dict with the server's names, so ``status.get("errors")`` works as in the documents
    of TcEx: ``status``, ``successCount``, ``errorCount``, ``unprocessCount`` and the counts by
    kind; with ``errors`` (a list of `BatchError`), ``uploads`` (a list of ``UploadResult``) and,
    for several jobs, ``jobs`` (a list of `BatchStatus`). A single job has its ``id``, unless it
    was processed inline.

    Beside what is in the dict, it knows what became of each entity, see `outcomes`. A copy, such
    as one that was pickled, does not.
    """

    #: What the job was given; None for a total.
    record: JobRecord | None = None

    def __getstate__(self) -> None:
        """Leave the document behind when copied or pickled; what is in the dict goes along."""

    @classmethod
    def total(cls, jobs: Sequence[BatchStatus]) -> BatchStatus:
        """Add up the counts of several jobs, and join their errors and uploads."""
        total = cls(status=_common_status(jobs))
        for name in COUNTS:
            total[name] = sum(job.count(name) for job in jobs)
        total["errors"] = [error for job in jobs for error in job.errors]
        total["uploads"] = [upload for job in jobs for upload in job.uploads]
        total["jobs"] = list(jobs)
        return total

    def count(self, name: str) -> int:
        """Read a count by the server's name; one that is missing is 0."""
        return int(self.get(name) or 0)

    @property
    def id(self) -> int | None:
        """The job's id, None if it was processed inline or if this is a total."""
        return self.get("id")

    @property
    def status(self) -> str:
        """
        The server's word, such as ``Completed`` or ``Running``.

        Where it has said nothing: ``Pending``, ``Created``, ``Uploading`` or ``Queued``, as far
        as the job has come; ``Failed`` if it failed before the server had the document; and
        ``Unknown`` if it cannot be told.
        """
        return str(self.get("status", ""))

    @property
    def completed(self) -> bool:
        """Whether the server has done its work, with or without errors."""
        return self.status.lower() == "completed"

    @property
    def ok(self) -> bool:
        """Whether everything that was handed over is on the server."""
        return (
            self.completed
            and not self.error_count
            and not self.unprocess_count
            and not self.error_association_count
            and self.failure is None
            and all(job.failure is None for job in self.jobs)
            and all(upload.get("uploaded") for upload in self.uploads)
        )

    @property
    def success_count(self) -> int:
        """Groups and indicators that were written."""
        return self.count("successCount")

    @property
    def error_count(self) -> int:
        """Groups and indicators that were refused."""
        return self.count("errorCount")

    @property
    def unprocess_count(self) -> int:
        """Groups and indicators that were not looked at, after a halt."""
        return self.count("unprocessCount")

    @property
    def success_group_count(self) -> int:
        """Groups that were written."""
        return self.count("successGroupCount")

    @property
    def error_group_count(self) -> int:
        """Groups that were refused."""
        return self.count("errorGroupCount")

    @property
    def success_indicator_count(self) -> int:
        """Indicators that were written."""
        return self.count("successIndicatorCount")

    @property
    def error_indicator_count(self) -> int:
        """Indicators that were refused."""
        return self.count("errorIndicatorCount")

    @property
    def success_association_count(self) -> int:
        """Associations of their own that were made."""
        return self.count("successAssociationCount")

    @property
    def error_association_count(self) -> int:
        """Associations of their own that were refused."""
        return self.count("errorAssociationCount")

    @property
    def errors(self) -> list[BatchError]:
        """What was refused and why; empty if nothing was, or if errors were not fetched."""
        return self.get("errors") or []

    @property
    def outcomes(self) -> Outcomes:
        """
        What became of each group, indicator and association, one by one.

        As long as you hold the status, it holds what was sent, encoded: in memory, or where that
        is, in the temporary file of its batch.

        Raises:
            UsageError: When this is a copy, or the ``status`` of a stream, which adds up counts.
        """
        return outcomes_of(self.jobs if "jobs" in self else [self])

    async def write_dead_letters(self, path: str | PathLike[str]) -> int:
        """
        Append what is not on the server, with all its parts and for sure, to a file.

        Each is a line of JSON: the entity as it was sent, every error about it, its source, and
        what is needed to send it again; see `Batch.add_failed`. Only its user can read the file;
        where nothing is to be written it is not made.

        Returns:
            How many there were.

        Raises:
            UsageError: As for `outcomes`.
            ConfigurationError: When it is no path.
            DeadLettersError: When the file cannot be written.
        """
        return await write_letters(path, self.outcomes.failed)

    @property
    def uploads(self) -> list[UploadResult]:
        """One result for each file."""
        return self.get("uploads") or []

    @property
    def jobs(self) -> list[BatchStatus]:
        """The jobs that this is the total of; empty for a single job."""
        return self.get("jobs") or []

    @property
    def failure(self) -> Exception | None:
        """Why a job did not run to its end, with ``halt_on_error=False``; None if it did."""
        return self.get("failure")


def _common_status(jobs: Sequence[BatchStatus]) -> str:
    """``Completed`` if all are; else what the first one that is not says."""
    return next((job.status for job in jobs if not job.completed), "Completed")

"""What a job came to: its counts, its errors tied to the entities they are about, its files."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aiotcbatch.errors import ERROR_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aiotcbatch.files import UploadResult

__all__ = ["COUNTS", "BatchError", "BatchStatus", "EntityLookup", "is_critical", "tie_errors"]

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

_CRITICAL = (
    "Encountered an unexpected Exception while processing batch job",
    "would exceed the number of allowed indicators",
)


class BatchError(dict[str, Any]):
    """
    One error of a job: what the server sent, and the ``xid`` of the entity it is about.

    The server's fields are ``code``, ``severity``, ``errorReason``, ``errorMessage`` and
    ``errorSource``; every one of them may be missing. ``xid`` is there only if the answer
    allows to tell it.
    """

    @property
    def xid(self) -> str | None:
        """The entity that it is about, None if the answer does not tell."""
        return self.get("xid")

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
        known = ERROR_CODES.get(self.code or "")
        return known.meaning if known else ""

    @property
    def hint(self) -> str:
        """What can be done about it, "" if the code is not known."""
        known = ERROR_CODES.get(self.code or "")
        return known.hint if known else ""

    @property
    def critical(self) -> bool:
        """Whether the server gave up on the whole document."""
        return is_critical(self)

    def __str__(self) -> str:
        code = f"{self.code} {self.meaning}: ".lstrip() if self.code else ""
        about = f"{self.xid!r}: " if self.xid else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{about}{code}{self.reason or self.message}{hint}"


def is_critical(error: Mapping[str, Any]) -> bool:
    """
    Say whether an error means that the server gave up on the whole document.

    Older servers put the text in ``errorReason``, newer ones in ``errorMessage``.
    """
    texts = f"{error.get('errorReason')}\n{error.get('errorMessage')}"
    return any(text in texts for text in _CRITICAL)


class BatchStatus(dict[str, Any]):
    """
    What one job, or all jobs of a ``submit()``, came to.

    It is a dict with the server's names, so ``status.get("errors")`` works as in the documents
    of TcEx: ``status``, ``successCount``, ``errorCount``, ``unprocessCount`` and the counts by
    kind; with ``errors`` (a list of `BatchError`), ``uploads`` (a list of ``UploadResult``) and,
    for several jobs, ``jobs`` (a list of `BatchStatus`). A single job has its ``id``, unless it
    was processed inline.
    """

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
        """Read a count by the server's name; one that is missing is 0, text is converted."""
        return int(self.get(name) or 0)

    @property
    def id(self) -> int | None:
        """The job's id, None if it was processed inline or if this is a total."""
        return self.get("id")

    @property
    def status(self) -> str:
        """``Completed``, ``Queued``, ``Running``, ``Created``, or ``Failed`` if it never ran."""
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


_ORDINAL = re.compile(r"\b(group|indicator|association)\[(\d+)\]")
_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
#: Names of up to this many words are found without quotes.
_NAME_WORDS = 12


class EntityLookup:
    """
    Finds the entity that a server's text is about.

    Args:
        document: The job's document, as dicts.
    """

    def __init__(self, document: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._document = document
        self._xids: set[str] = set()
        self._titles: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for kind, title in (("group", "name"), ("indicator", "summary")):
            for entity in document.get(kind, ()):
                self._xids.add(entity["xid"])
                self._titles[str(entity[title])].append(entity)

    def find(self, error: Mapping[str, Any]) -> str | None:
        """Give the xid that an error is about, None if it cannot be told for sure."""
        source = error.get("errorSource")
        texts = [str(error.get(name) or "") for name in ("errorMessage", "errorReason")]
        if isinstance(source, dict):
            found = self._known(source.get("xid"), "") or self._known(source.get("summary"), "")
            if found is not None:
                return found
        elif source:
            texts.append(str(source))
        return next((xid for text in texts if (xid := self._in_text(text)) is not None), None)

    def _in_text(self, text: str) -> str | None:
        quoted = (single or double for single, double in _QUOTED.findall(text))
        found = next((xid for phrase in quoted if (xid := self._known(phrase, text))), None)
        return found or self._by_path(text) or self._by_words(text)

    def _by_words(self, text: str) -> str | None:
        """The entity whose name stands in the text without quotes, the longest name first."""
        for phrase in _runs_of_words(text):
            found = self._known(phrase, text)
            # A plain word may be just that, unless its entity's type stands before it.
            if found is not None and (not phrase.isalpha() or self._typed(phrase, text)):
                return found
        return None

    def _typed(self, phrase: str, text: str) -> bool:
        kinds = {str(entity["type"]) for entity in self._titles.get(phrase, ())}
        return any(f"{kind} {phrase}" in text for kind in kinds)

    def _known(self, phrase: object, text: str) -> str | None:
        """The xid of an entity whose xid, name or summary is this phrase."""
        if not isinstance(phrase, str):
            return None
        if phrase in self._xids:
            return phrase
        entities: Sequence[Mapping[str, Any]] = self._titles.get(phrase, ())
        if len(entities) > 1:
            entities = [entity for entity in entities if str(entity["type"]) in text]
        return str(entities[0]["xid"]) if len(entities) == 1 else None

    def _by_path(self, text: str) -> str | None:
        """The last entity that a JSON path such as ``$.group[1]`` names."""
        for kind, number in reversed(_ORDINAL.findall(text)):
            entities = self._document.get(kind, ())
            if int(number) < len(entities):
                xid = entities[int(number)].get("xid")
                return None if xid is None else str(xid)
        return None


def _runs_of_words(text: str) -> Iterator[str]:
    """Give what may be a name in a text, as it stands and without punctuation around it."""
    words = text.split()
    for length in range(min(_NAME_WORDS, len(words)), 0, -1):
        for start in range(len(words) - length + 1):
            phrase = " ".join(words[start : start + length])
            yield phrase
            stripped = phrase.strip("'\".,:;()")
            if stripped != phrase:
                yield stripped


def tie_errors(errors: Iterable[Mapping[str, Any]], lookup: EntityLookup) -> list[BatchError]:
    """Copy the server's errors, each with the xid of the entity it is about."""
    tied = []
    for error in errors:
        copy = BatchError(error)
        xid = lookup.find(error)
        if xid is not None:
            copy["xid"] = xid
        tied.append(copy)
    return tied

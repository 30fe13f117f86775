"""One batch job: its settings, and its life from the chunk to the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from aiotcbatch.entities.contents import LostContent
from aiotcbatch.entities.values import is_encodable, nearest
from aiotcbatch.errors import ConfigurationError, CriticalError
from aiotcbatch.results.outcomes import JobRecord
from aiotcbatch.results.status import BatchStatus, UploadResult
from aiotcbatch.submitting.producers import is_read_once
from aiotcbatch.value import Value

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping

    from aiotcbatch.collecting.chunk import Chunk
    from aiotcbatch.entities.contents import FileItem
    from aiotcbatch.results.outcomes import OutcomeState
    from aiotcbatch.results.status import BatchError
    from aiotcbatch.submitting.isolating import Search

__all__ = ["Job", "JobSettings", "Phase"]

_CHOICES = {
    "action": ("Create", "Delete"),
    "attribute_write_type": ("Append", "Replace", "Singleton", "Static"),
    "tag_write_type": ("Append", "Replace"),
    "security_label_write_type": ("Append", "Replace"),
    "file_merge_mode": ("Merge", "Distribute"),
    "hash_collision_mode": (
        "FavorIncoming",
        "FavorExisting",
        "IgnoreIncoming",
        "IgnoreExisting",
        "Split",
    ),
}
_OPTIONAL = frozenset({"file_merge_mode", "hash_collision_mode"})


class JobSettings(Value):
    """
    How the server is to treat a job's document.

    Source: v2 Batch API, job configuration.

    Raises:
        ConfigurationError: When a value is not one that the server knows.
    """

    owner: str
    action: str = "Create"
    attribute_write_type: str = "Replace"
    tag_write_type: str = "Replace"
    security_label_write_type: str = "Replace"
    halt_on_error: bool = True
    playbook_triggers_enabled: bool = False
    file_merge_mode: str | None = None
    hash_collision_mode: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.owner, str) or not self.owner or not is_encodable(self.owner):
            raise ConfigurationError("owner", self.owner, "the name of an owner")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices and not (value is None and name in _OPTIONAL):
                near = nearest(value, choices, cutoff=0.6)
                hint = f"; did you mean {near!r}?" if near else ""
                raise ConfigurationError(name, value, f"one of {', '.join(choices)}{hint}")
        for name in ("halt_on_error", "playbook_triggers_enabled"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ConfigurationError(name, value, "True or False")

    @property
    def repeatable(self) -> bool:
        """
        Whether the same document twice is the same as once.

        Not so with Append: the server adds attributes without looking for duplicates.
        Source: v2 Batch API, job configuration.
        """
        return self.action == "Delete" or self.attribute_write_type != "Append"

    @property
    def harmless_twice(self) -> bool:
        """Whether a document that was processed in part is sent again without harm or errors."""
        # What was deleted would be refused as not there.
        return self.repeatable and self.action != "Delete"

    @property
    def config(self) -> dict[str, Any]:
        """The body of the request that creates the job."""
        config = {
            "action": self.action,
            "attributeWriteType": self.attribute_write_type,
            "haltOnError": self.halt_on_error,
            "owner": self.owner,
            "playbookTriggersEnabled": self.playbook_triggers_enabled,
            "securityLabelWriteType": self.security_label_write_type,
            "tagWriteType": self.tag_write_type,
            "version": "V2",
        }
        if self.file_merge_mode is not None:
            config["fileMergeMode"] = self.file_merge_mode
        if self.hash_collision_mode is not None:
            config["hashCollisionMode"] = self.hash_collision_mode
        return config


class Phase(Enum):
    """How far a job is."""

    #: Its chunk is cut; the server knows nothing.
    CUT = "Pending"
    #: It has an id; the server waits for the document.
    CREATED = "Created"
    #: An upload was begun and its end is not known. The job's status tells whether the server has
    #: the document; without an id, in the one-request form, nothing does.
    UPLOADING = "Uploading"
    #: The server has the document.
    UPLOADED = "Queued"
    #: The server has done its work; its errors may still have to be fetched.
    COMPLETED = "Completed"
    #: The errors are known; files may still have to go up.
    FILING = "Filing"
    #: Nothing is left to do.
    DONE = "Done"
    #: What the server did with the document cannot be told, and it is not safe to send it again.
    LOST = "Unknown"


#: Phases in which the server does not have the document, or may not.
UNSENT = frozenset({Phase.CUT, Phase.CREATED, Phase.UPLOADING})

#: A document that the server denied so often is likely to be why, and not the moment.
MOST_DENIED = 3

#: What can be said of all entities of a job that is no further.
_STANDINGS: Mapping[Phase, OutcomeState] = {
    Phase.CUT: "unprocessed",
    Phase.CREATED: "unprocessed",
    Phase.UPLOADING: "unknown",
    Phase.UPLOADED: "unknown",
    Phase.LOST: "unknown",
}


@dataclass(slots=True, eq=False, repr=False)
class Job:
    """
    One batch job, which can be taken up again in whichever phase it was left.

    It holds its document until nothing needs it any more: neither sending it, nor telling which
    entities the errors are about.
    """

    settings: JobSettings
    chunk: Chunk | None
    batch_id: int | None = None
    phase: Phase = Phase.CUT
    status: BatchStatus = field(default_factory=BatchStatus)
    #: When the document was uploaded, on the clock of who did it.
    uploaded_at: float = 0.0
    #: How often it was taken up.
    attempts: int = 0
    #: How often the server forgot it since it was taken up.
    times_forgotten: int = 0
    #: How often the server has answered, and neither taken it nor told what became of it.
    times_denied: int = 0
    #: Whether it was sent before an earlier job with some of its entities, and is to be sent again.
    was_taken_back: bool = False
    #: The hashes by which it is seen which entities it has; None until somebody asks.
    keys: array[int] | None = None
    #: Contents that are still to be uploaded, by xid.
    files: dict[str, FileItem] = field(default_factory=dict)
    #: What became of each file, by xid in the order of the groups; None until it is known.
    uploads: dict[str, UploadResult | None] = field(default_factory=dict)
    #: The xids of the files whose upload was begun.
    opened: set[str] = field(default_factory=set)
    #: Later jobs have higher numbers.
    number: int = 0
    group_count: int = 0
    indicator_count: int = 0
    association_count: int = 0
    #: Whether it may point to groups of an earlier job.
    refers: bool = False
    #: The search that it belongs to, if it is a part of a job that the server gave up on.
    search: Search | None = None
    #: Whether the server will not give up on it, if the hint is right; None without a hint.
    expected: bool | None = None
    #: Contents that will not be uploaded, by xid.
    unfiled: dict[str, FileItem] = field(default_factory=dict)
    #: Its records, for as long as somebody may ask what became of them.
    records: Chunk = field(init=False)

    def __post_init__(self) -> None:
        chunk = self.document
        self.records = chunk.without_files()
        self.number = chunk.number
        self.group_count = chunk.groups.count
        self.indicator_count = chunk.indicators.count
        self.association_count = chunk.associations.count
        self.refers = chunk.refers
        if self.settings.action != "Delete":
            self.files = {item.xid: item for item in chunk.files}
            self.uploads = dict.fromkeys(self.files)

    @property
    def id(self) -> int:
        """The id of a job that the server has created."""
        if self.batch_id is None:
            raise AssertionError(f"a job in phase {self.phase.name} has no id")
        return self.batch_id

    @property
    def document(self) -> Chunk:
        """The document of a job that still has it."""
        if self.chunk is None:
            raise AssertionError(f"a job in phase {self.phase.name} has given its document up")
        return self.chunk

    @property
    def count(self) -> int:
        """Groups, indicators and associations."""
        return self.group_count + self.indicator_count + self.association_count

    @property
    def entity_count(self) -> int:
        """Groups and indicators, which is what the server counts."""
        return self.group_count + self.indicator_count

    @property
    def unsent(self) -> bool:
        """Whether the server does not have the document, or may not."""
        return self.phase in UNSENT

    @property
    def is_sent(self) -> bool:
        """Whether the server has the document, and its errors are not known."""
        return self.phase in {Phase.UPLOADED, Phase.COMPLETED}

    @property
    def unfinished(self) -> bool:
        """Whether taking it up again can get it further."""
        return self.phase not in {Phase.DONE, Phase.LOST}

    @property
    def settled(self) -> bool:
        """Whether all of it that will ever be on the server is there."""
        if self.phase is Phase.COMPLETED:
            # Else its errors may say that it is to be sent again.
            return self.status.success_count >= self.entity_count
        return self.phase in {Phase.FILING, Phase.DONE, Phase.LOST}

    @property
    def may_be_given_up(self) -> bool:
        """Whether the counts of a completed job leave entities out, and it was not to halt."""
        status = self.status
        processed = status.success_count + status.error_count
        return not self.settings.halt_on_error and bool(
            status.unprocess_count or processed < self.entity_count
        )

    def waits_for(self, earlier: Job) -> bool:
        """Whether it is not to overtake an earlier job, since it may point to what that has."""
        if earlier.settled:
            return False
        if self.was_taken_back or not self.refers:
            return self.was_taken_back
        # Only associations point to indicators.
        return bool(earlier.group_count or self.association_count)

    def holds_up(self, later: Job) -> bool:
        """Whether a later job is to be sent after it, which failed or was not sent yet."""
        return not self.settled and self.times_denied < MOST_DENIED and self.number <= later.number

    @property
    def failure(self) -> Exception | None:
        """Why it did not get further, None if nothing stands in its way."""
        return self.status.failure

    @property
    def result(self) -> BatchStatus:
        """What it came to, as far as it is."""
        result = BatchStatus(self.status)
        if "status" not in result:
            failed = self.unsent and self.failure is not None
            result["status"] = "Failed" if failed else self.phase.value
        if self.batch_id is not None:
            result["id"] = self.batch_id
        result.setdefault("errors", [])
        result["uploads"] = [upload for upload in self.uploads.values() if upload is not None]
        result.record = JobRecord(
            self.records,
            owner=self.settings.owner,
            action=self.settings.action,
            standing=_STANDINGS.get(self.phase),
            status=result,
            uploads=self.uploads,
            files=self.files | self.unfiled,
        )
        return result

    def failed(self, error: Exception) -> None:
        """Note why it did not get further, until it is taken up again."""
        self.status["failure"] = error

    def retried(self) -> None:
        """Note that it is taken up again."""
        if self.unfinished:
            self.status.pop("failure", None)
        self.attempts += 1
        self.times_forgotten = 0

    def created(self, batch_id: int) -> None:
        """Note that the server gave it an id, and does not have the document."""
        self.batch_id, self.phase = batch_id, Phase.CREATED

    def uploading(self) -> None:
        """Note that from now on the server may have the document."""
        self.phase = Phase.UPLOADING

    def uploaded(self, at: float) -> None:
        """Note that the server has the document."""
        self.uploaded_at, self.phase = at, Phase.UPLOADED

    def completed(self, status: Mapping[str, Any]) -> None:
        """Note that the server has done its work."""
        self.status.update(status)
        self.phase = Phase.COMPLETED

    def explained(self, errors: list[BatchError] | None = None) -> None:
        """Note that the errors are known, or that nobody asks for them."""
        if errors is not None:
            self.status["errors"] = errors
        self.chunk = None
        self.phase = Phase.FILING if self.files else Phase.DONE
        critical = next((error for error in self.status.errors if error.critical), None)
        if critical is not None and not self._is_blamed:
            self._given_up(critical)

    @property
    def _is_blamed(self) -> bool:
        """Whether it is what is left of a search, so that the errors of its records say all."""
        blamed = sum(error.unexpected for error in self.status.errors)
        return blamed == self.count and not self.settings.halt_on_error

    def _given_up(self, critical: BatchError) -> None:
        """Note that the server gave up on the document, whatever is tried."""
        name = "an inline job" if self.batch_id is None else f"job {self.batch_id}"
        self.failed(
            CriticalError(
                f"the server gave up on {name}: {critical.message} At most a part of it is there:"
                " correct what is named, and add its entities again.",
                batch_id=self.batch_id,
            )
        )
        self._end(Phase.DONE, "the server gave up on its batch job")

    def refused(self, errors: list[BatchError]) -> None:
        """Note that the server takes nothing of it, whatever is tried."""
        self.status.update(
            status="Failed",
            successCount=0,
            errorCount=self.entity_count,
            errorGroupCount=self.group_count,
            errorIndicatorCount=self.indicator_count,
            errorAssociationCount=self.association_count,
            errors=errors,
        )
        self._end(Phase.DONE, "the server refused its group")

    def filed(self, upload: UploadResult) -> None:
        """Note what became of a file."""
        item = self.files.pop(upload["xid"], None)
        if item is not None and not upload.uploaded:
            if item.xid in self.opened and is_read_once(item.content):
                # What is left of it is not all of it.
                item = item._replace(content=LostContent("it was read, and not to its end"))
            self.unfiled[item.xid] = item
        self.uploads[upload["xid"]] = upload
        if self.phase is Phase.FILING and not self.files:
            self.phase = Phase.DONE

    def unsendable(self, xid: str, why: str) -> None:
        """Note that a file will not be uploaded."""
        self.filed(UploadResult(uploaded=False, xid=xid, error=why, bytes=0))

    def withdrawn(self) -> None:
        """Note that the server certainly does not have the document, under no id."""
        self.batch_id, self.phase = None, Phase.CUT

    def taken_back(self) -> None:
        """Note that it is to be sent again, after an earlier job that it has overtaken."""
        self.status.clear()
        self.was_taken_back = True
        self.withdrawn()

    def forgotten(self) -> None:
        """Note that the server does not know the id any more."""
        self.times_forgotten += 1
        self.withdrawn()

    def lost(self) -> None:
        """Note that what became of it cannot be told, so that it is not sent again."""
        self._end(Phase.LOST, "what became of its batch job is not known")

    def _end(self, phase: Phase, why: str) -> None:
        for xid in list(self.files):
            self.unsendable(xid, why)
        self.chunk = None
        self.phase = phase

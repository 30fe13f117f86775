"""A job: its settings, and what it knows in each phase of its life."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import ConfigurationError, ConnectError, CriticalError
from aiotcbatch.results.status import BatchError, UploadResult
from aiotcbatch.submitting.job import Job, JobSettings, Phase

if TYPE_CHECKING:
    from aiotcbatch.collecting.chunk import Chunk

SETTINGS = JobSettings(owner="MyOrg")


async def cut(files: int = 0) -> Chunk:
    """Cut a chunk of one address, one adversary and some documents."""
    builder = TypedBuilder()
    builder.address("1.2.3.4")
    builder.adversary("a", "a")
    for number in range(files):
        builder.document(f"d-{number}", "f.txt", xid=f"d-{number}", file_content=b"x")
    await builder.drain()
    chunk = builder._cut()
    assert chunk is not None
    return chunk


class TestJobSettings:
    """What the server is told about a job."""

    def test_the_least(self) -> None:
        """What is not given is as the documents have it, and is sent in any case."""
        assert JobSettings(owner="MyOrg").config == {
            "action": "Create",
            "attributeWriteType": "Replace",
            "haltOnError": True,
            "owner": "MyOrg",
            "playbookTriggersEnabled": False,
            "securityLabelWriteType": "Replace",
            "tagWriteType": "Replace",
            "version": "V2",
        }

    def test_all(self) -> None:
        """Every setting has its field on the wire."""
        settings = JobSettings(
            owner="o",
            action="Delete",
            attribute_write_type="Static",
            tag_write_type="Append",
            security_label_write_type="Append",
            halt_on_error=False,
            playbook_triggers_enabled=True,
            file_merge_mode="Distribute",
            hash_collision_mode="Split",
        )

        assert settings.config == {
            "action": "Delete",
            "attributeWriteType": "Static",
            "haltOnError": False,
            "owner": "o",
            "playbookTriggersEnabled": True,
            "securityLabelWriteType": "Append",
            "tagWriteType": "Append",
            "version": "V2",
            "fileMergeMode": "Distribute",
            "hashCollisionMode": "Split",
        }

    @pytest.mark.parametrize(
        ("field", "value", "accepted"),
        [
            ("owner", "", "owner"),
            ("owner", None, "owner"),
            ("action", "create", "did you mean 'Create'"),
            ("action", None, "Create, Delete"),
            ("attribute_write_type", "Merge", "Append, Replace, Singleton, Static"),
            ("tag_write_type", "Static", "Append, Replace"),
            ("security_label_write_type", "append", "did you mean 'Append'"),
            ("halt_on_error", "true", "True or False"),
            ("playbook_triggers_enabled", 1, "True or False"),
            ("file_merge_mode", "merge", "did you mean 'Merge'"),
            ("hash_collision_mode", "favorincoming", "did you mean 'FavorIncoming'"),
        ],
    )
    def test_what_is_refused(self, field: str, value: object, accepted: str) -> None:
        """A value that the server does not know is refused by its name, with what is accepted."""
        with pytest.raises(ConfigurationError, match=accepted) as caught:
            JobSettings(**{"owner": "o", field: value})  # type: ignore[arg-type]

        assert caught.value.field == field

    @pytest.mark.parametrize(
        ("settings", "repeatable"),
        [
            ({}, True),
            ({"attribute_write_type": "Singleton"}, True),
            ({"attribute_write_type": "Append"}, False),
            ({"attribute_write_type": "Append", "action": "Delete"}, True),
            ({"tag_write_type": "Append"}, True),
        ],
    )
    def test_what_can_be_repeated(self, settings: dict[str, Any], repeatable: bool) -> None:
        """Only attributes that are appended come twice when the document does."""
        assert JobSettings(owner="o", **settings).repeatable is repeatable


class TestLife:
    """From the chunk to the result."""

    async def test_the_whole_of_it(self) -> None:
        """A job goes from phase to phase, and its result says how far it is."""
        job = Job(SETTINGS, await cut(files=1))
        assert (job.group_count, job.indicator_count, job.count) == (2, 1, 3)
        phases = [(job.phase, job.result.status, job.unsent, job.unfinished)]
        for step in (
            lambda: job.created(7),
            job.uploading,
            lambda: job.uploaded(12.5),
            lambda: job.completed({"status": "Completed", "successCount": 3}),
            lambda: job.explained([BatchError(code="0x2002")]),
            lambda: job.filed(UploadResult(uploaded=True, xid="d-0", error=None, bytes=1)),
        ):
            step()
            phases.append((job.phase, job.result.status, job.unsent, job.unfinished))

        assert phases == [
            (Phase.CUT, "Pending", True, True),
            (Phase.CREATED, "Created", True, True),
            (Phase.UPLOADING, "Uploading", True, True),
            (Phase.UPLOADED, "Queued", False, True),
            (Phase.COMPLETED, "Completed", False, True),
            (Phase.FILING, "Completed", False, True),
            (Phase.DONE, "Completed", False, False),
        ]
        assert job.result == {
            "status": "Completed",
            "successCount": 3,
            "id": 7,
            "errors": [{"code": "0x2002"}],
            "uploads": [{"uploaded": True, "xid": "d-0", "error": None, "bytes": 1}],
        }

    async def test_without_files_it_is_done_when_it_is_explained(self) -> None:
        """Nothing is left to do then."""
        job = Job(SETTINGS, await cut())
        job.completed({"status": "Completed"})
        job.explained()

        assert job.phase is Phase.DONE
        assert job.result["errors"] == []

    async def test_it_gives_its_document_up(self) -> None:
        """Once its errors are known only who has its result holds the document."""
        chunk = await cut(files=1)
        gone = weakref.ref(chunk.groups.slices[0])
        job = Job(SETTINGS, chunk)
        del chunk
        job.completed({"status": "Completed"})
        assert job.document is not None
        job.explained([])
        with pytest.raises(AssertionError, match="has given its document up"):
            job.document  # noqa: B018 (it raises)
        result = job.result
        del job
        gc.collect()
        assert gone() is not None
        del result
        gc.collect()

        assert gone() is None

    async def test_a_failure(self) -> None:
        """It says why it did not get further, until it is taken up again."""
        job = Job(SETTINGS, await cut())
        error = ConnectError("away")
        job.failed(error)
        assert (job.result.status, job.result.failure, job.failure) == ("Failed", error, error)
        job.retried()
        assert (job.result.status, job.failure, job.attempts) == ("Pending", None, 1)

        job.uploaded(1.0)
        job.failed(error)
        assert job.result.status == "Queued"

        job.forgotten()
        assert (job.phase, job.batch_id, job.times_forgotten) == (Phase.CUT, None, 1)
        job.retried()
        assert job.times_forgotten == 0

    async def test_lost(self) -> None:
        """What cannot be told is said to be unknown, and so are its files."""
        job = Job(SETTINGS, await cut(files=2))
        job.uploading()
        job.lost()

        assert not job.unfinished
        assert job.result.status == "Unknown"
        assert [upload.uploaded for upload in job.result.uploads] == [False, False]
        assert "not known" in str(job.result.uploads[0].error)
        assert job.chunk is None

    async def test_given_up(self) -> None:
        """When the server gave up that is its failure for good, and no file is uploaded."""
        job = Job(SETTINGS, await cut(files=1))
        job.completed({"status": "Completed"})
        job.explained([BatchError(errorReason="would exceed the number of allowed indicators")])
        job.retried()

        assert job.phase is Phase.DONE
        assert isinstance(job.failure, CriticalError)
        assert "gave up" in str(job.result.uploads[0].error)

    async def test_uploads_come_in_the_order_of_the_groups(self) -> None:
        """Whichever file was up first."""
        job = Job(SETTINGS, await cut(files=3))
        for xid in ("d-2", "d-0"):
            job.filed(UploadResult(uploaded=True, xid=xid, error=None, bytes=1))

        assert [upload.xid for upload in job.result.uploads] == ["d-0", "d-2"]
        assert list(job.files) == ["d-1"]

    async def test_a_delete_job_has_no_files(self) -> None:
        """Nothing can be uploaded to groups that are gone."""
        job = Job(JobSettings(owner="o", action="Delete"), await cut(files=1))

        assert job.files == {}
        assert job.result.uploads == []

    async def test_an_id_that_is_not_there(self) -> None:
        """Asking for it is a mistake in this library."""
        job = Job(SETTINGS, await cut())
        with pytest.raises(AssertionError, match="CUT has no id"):
            job.id  # noqa: B018 (it raises)

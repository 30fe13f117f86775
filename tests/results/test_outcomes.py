"""Outcomes: one for each entity, whatever became of its job, with what its caller calls it."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.submitting import OWNER, UPLOAD, Place, fill

from aiotcbatch.collecting.recutting import Records
from aiotcbatch.collecting.typed import TypedBuilder
from aiotcbatch.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigurationError,
    ConnectionLostError,
    UsageError,
    ValidationError,
)
from aiotcbatch.results.outcomes import STATES, Outcomes
from aiotcbatch.results.status import BatchError, BatchStatus
from aiotcbatch.sandbox import PoisonedJob
from aiotcbatch.stream import Stream
from aiotcbatch.submitting.job import Job, JobSettings, Phase

if TYPE_CHECKING:
    from pathlib import Path


def add_all_sorts(batch: Any) -> None:
    """Add two good entities, a partial loss, a bad one, and two links of which one is bad."""
    batch.adversary("Good", "g-1", source="a.csv:1")
    batch.adversary("Lossy", "g-2", source="a.csv:2").attribute("No Such Attribute", "x")
    batch.host("good.example.com", xid="i-1", source={"line": 3})
    batch.add_indicator({"type": "Address", "summary": "1.2.3.400", "xid": "i-2"}, source=[4])
    batch.add_association(ref_1="g-1", ref_2="g-2", source=5)
    batch.add_association({"ref_1": "g-1", "ref_2": "nowhere"}, source=6.5)


def states(status: BatchStatus) -> list[tuple[Any, ...]]:
    """Give the title, the state and the source of each."""
    return [
        (outcome.xid or outcome.data["ref_2"], outcome.state, outcome.source)
        for outcome in status.outcomes
    ]


def counted(status: BatchStatus) -> dict[str, int]:
    """Count all states that there are."""
    return {state: count for state in STATES if (count := status.outcomes.count(state))}


class TestOfASubmit:
    """What became of what was submitted."""

    async def test_each_has_one(self, place: Place) -> None:
        """Each entity has one outcome, with its errors and its source."""
        batch = place.batch(validate=False)
        add_all_sorts(batch)
        status = await batch.submit()

        assert states(status) == [
            ("g-1", "accepted", "a.csv:1"),
            ("g-2", "accepted", "a.csv:2"),
            ("i-1", "accepted", {"line": 3}),
            ("i-2", "rejected", [4]),
            ("g-2", "accepted", 5),
            ("nowhere", "rejected", 6.5),
        ]
        assert counted(status) == {"accepted": 4, "rejected": 2}
        assert len(status.outcomes) == 6
        assert [outcome async for outcome in status.outcomes] == list(status.outcomes)
        lossy, bad = list(status.outcomes)[1], next(iter(status.outcomes.rejected))
        assert [error.code for error in lossy.errors] == ["0x2002"]
        assert (lossy.ok, lossy.type, lossy.summary) == (False, "Adversary", "Lossy")
        assert (bad.type, bad.summary, bad.kind) == ("Address", "1.2.3.400", "indicator")
        assert [error.code for error in bad.errors] == ["0x1005"]
        assert (bad.owner, bad.action, bad.batch_id) == (OWNER, "Create", status.jobs[0].id)
        assert [outcome.source for outcome in status.outcomes.failed] == ["a.csv:2", [4], 6.5]

    async def test_of_many_jobs(self, place: Place) -> None:
        """A total has those of all its jobs, and each job has its own."""
        batch = place.batch(max_entities_per_job=3)
        for number in range(7):
            batch.address(f"10.0.0.{number}", source=number)
        status = await batch.submit()

        assert [outcome.source for outcome in status.outcomes] == list(range(7))
        assert [len(job.outcomes) for job in status.jobs] == [3, 3, 1]
        assert [outcome.source for outcome in status.jobs[2].outcomes] == [6]

    async def test_after_a_halt(self, place: Place) -> None:
        """What stands behind the entity at which the server halted was not processed."""
        batch = place.batch(validate=False, halt_on_error=True)
        fill(batch, 3)
        batch.address("not an address", xid="bad")
        batch.address("10.9.9.9", xid="behind")
        batch.add_association(ref_1="g-1", ref_2="g-2")
        status = await batch.submit()

        assert counted(status) == {"accepted": 3, "rejected": 1, "unprocessed": 2}
        assert next(status.outcomes.rejected).xid == "bad"
        assert [outcome.xid for outcome in status.outcomes.unprocessed] == ["behind", None]

    @pytest.mark.parametrize("before", [0, 1])
    async def test_after_a_halt_at_a_part(self, place: Place, before: int) -> None:
        """The entity that lacks a part is there, also where it is the first and counts for none."""
        batch = place.batch(halt_on_error=True)
        fill(batch, before)
        batch.address("10.9.9.8", xid="lossy").attribute("No Such Attribute", "value")
        batch.address("10.9.9.9", xid="behind")
        status = await batch.submit()

        assert status.success_count == before
        assert [outcome.xid for outcome in status.outcomes.unprocessed] == ["behind"]
        assert [outcome.state for outcome in status.outcomes if outcome.xid == "lossy"] == [
            "accepted"
        ]
        assert place.sandbox.entities()[-1].xid == "lossy"

    async def test_of_one_that_breaks_its_job(self, place: Place) -> None:
        """Where the culprit was found it is rejected, and all others are accepted."""
        batch = place.batch(validate=False)
        for number in range(20):
            batch.address(f"10.0.0.{number}", source=number)
        odd = {"type": "Host", "summary": "x.example.com", "xid": "odd", "tag": [{"name": {}}]}
        batch.add_indicator(odd, source="odd")
        status = await batch.submit()

        assert counted(status) == {"accepted": 20, "rejected": 1}
        assert [outcome.source for outcome in status.outcomes.rejected] == ["odd"]
        assert {outcome.source for outcome in status.outcomes.accepted} == set(range(20))

    async def test_of_a_step_that_failed(self, place: Place) -> None:
        """What the server was not given is not processed, and what it may have is unknown."""
        batch = place.batch(owner="No Such Owner")
        fill(batch, 2)
        with pytest.raises(AccessDeniedError) as refused:
            await batch.submit()
        assert refused.value.partial is not None
        assert counted(refused.value.partial) == {"unprocessed": 2}

        batch = place.batch()
        fill(batch, 2)
        place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=False, times=9)
        status = await batch.submit(halt_on_error=False)
        assert status.jobs[0].status == "Failed"
        assert counted(status) == {"unknown": 2}

    async def test_without_errors(self, place: Place) -> None:
        """Where nobody asked which were refused, none is said to be accepted."""
        batch = place.batch(validate=False)
        fill(batch, 2)
        batch.address("not an address")
        status = await batch.submit(errors=False)

        assert counted(status) == {"unknown": 3}

    async def test_an_association_of_what_may_not_be_there(self, place: Place) -> None:
        """Where nobody can say which entities are there, nobody can say it of their links."""
        place.sandbox.faults.add("job", PoisonedJob("a-1", "none"))
        batch = place.batch(create_and_upload=True)
        batch.adversary("a", "a-1")
        batch.adversary("b", "b-1")
        batch.add_association(ref_1="a-1", type_1="Adversary", ref_2="b-1", type_2="Adversary")
        status = await batch.submit()

        assert place.sandbox.entities() == []
        assert counted(status) == {"unknown": 3}

    async def test_before_it_has_ended(self, place: Place) -> None:
        """What was not polled is unknown."""
        batch = place.batch()
        fill(batch, 2)

        assert counted(await batch.submit(poll=False)) == {"unknown": 2}

    async def test_of_a_file(self, place: Place) -> None:
        """A group whose file did not arrive is accepted, and not all is well."""
        batch = place.batch()
        batch.document("d", "d.txt", lambda xid: None, xid="d")
        outcome = next(iter((await batch.submit(halt_on_error=False)).outcomes))

        assert (outcome.state, outcome.ok) == ("accepted", False)
        assert outcome.upload is not None
        assert not outcome.upload.uploaded

    async def test_from_the_spool(self, place: Place, tmp_path: Path) -> None:
        """What was spooled is read back, with its sources."""
        batch = place.batch(memory_limit=0, spool_directory=tmp_path)
        summaries = fill(batch, 200)
        for number in range(200, 400):
            batch.address(f"10.0.{number >> 8}.{number & 255}", source=f"line {number}")
        await batch.drain()
        assert sum(shelf.buffer.memory_bytes for shelf in (batch._groups, batch._indicators)) == 0
        status = await batch.submit()

        found = {outcome.summary: outcome.source async for outcome in status.outcomes}
        assert [found[summary] for summary in summaries] == [None] * 200
        assert [source for source in found.values() if source] == [
            f"line {number}" for number in range(200, 400)
        ]

    async def test_from_a_journal(self, place: Place, tmp_path: Path) -> None:
        """Sources survive the process, and outcomes the journal."""
        path = tmp_path / "journal"
        async with place.batch(journal=path, validate=False) as batch:
            add_all_sorts(batch)
            batch.add_group({"type": "Tool", "name": "no source", "xid": "g-3"})
            await batch.drain()
        async with place.batch(journal=path) as batch:
            status = await batch.submit()
        assert not path.exists()

        assert states(status)[:3] == [
            ("g-1", "accepted", "a.csv:1"),
            ("g-2", "accepted", "a.csv:2"),
            ("g-3", "accepted", None),
        ]
        assert counted(status) == {"accepted": 5, "rejected": 2}

    async def test_what_a_journal_cannot_give(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a document cannot be copied the job is done all the same, and who asks is told."""
        path = tmp_path / "journal"
        async with place.batch(journal=path) as batch:
            fill(batch, 2)
            await batch.drain()

        async def full(*_: object) -> None:
            raise OSError(28, "no space")

        async with place.batch(journal=path) as batch:
            monkeypatch.setattr(batch._spool, "write", full)
            status = await batch.submit()

        assert status.ok
        assert counted(status) == {"accepted": 2}
        with pytest.raises(ClosedError, match="is closed"):
            list(status.outcomes)

    async def test_of_a_stream(self, place: Place) -> None:
        """The status of each job has them, and a link that was held back has its source."""
        seen: list[BatchStatus] = []
        settings = JobSettings(owner=OWNER, halt_on_error=False)
        stream = Stream(place.wire, settings, on_job=seen.append, clock=place.time.clock)
        async with stream:
            stream.add_association(ref_1="late", ref_2="g-1", source="held")
            stream.adversary("g", "g-1", source="first")
            await stream.drain()
            stream.adversary("late", "late", source="second")

        sources = [outcome.source for status in seen for outcome in status.outcomes]
        assert sorted(sources) == ["first", "held", "second"]
        with pytest.raises(UsageError, match="running total"):
            _ = stream.status.outcomes


async def job_of(count: int, **status: Any) -> Job:
    """Make a completed job of some addresses."""
    builder = TypedBuilder()
    for number in range(count):
        builder.address(f"10.0.0.{number}", xid=f"i-{number}")
    await builder.drain()
    chunk = builder._cut()
    assert chunk is not None
    job = Job(JobSettings(owner=OWNER), chunk)
    job.completed({"status": "Completed", **status})
    return job


class TestWhatIsSaid:
    """No more is said than is known."""

    @given(
        errors=st.sets(st.integers(0, 5)),
        error_count=st.integers(0, 6),
        success_count=st.integers(0, 6),
        unprocess_count=st.integers(0, 6),
    )
    async def test_whatever_the_counts(
        self, errors: set[int], error_count: int, success_count: int, unprocess_count: int
    ) -> None:
        """What is refused is rejected; of the rest no more is accepted than the server says."""
        job = await job_of(
            6,
            errorCount=error_count,
            successCount=success_count,
            unprocessCount=unprocess_count,
        )
        job.explained([BatchError(xid=f"i-{number}", code="0x1005") for number in sorted(errors)])
        outcomes = job.result.outcomes

        rejected = {outcome.xid for outcome in outcomes.rejected}
        assert rejected == {f"i-{number}" for number in errors}
        assert sum(outcomes.count(state) for state in STATES) == len(list(outcomes)) == 6
        for state in STATES:
            assert outcomes.count(state) == len(list(outcomes.having(state)))
        if error_count > len(errors):
            assert outcomes.count("accepted") == 0
        if unprocess_count and not success_count:
            assert outcomes.count("accepted") == 0
        if outcomes.count("unprocessed") and success_count:
            assert outcomes.count("unprocessed") == unprocess_count

    @pytest.mark.parametrize(
        ("phase", "state"),
        [
            (Phase.CUT, "unprocessed"),
            (Phase.CREATED, "unprocessed"),
            (Phase.UPLOADING, "unknown"),
            (Phase.UPLOADED, "unknown"),
            (Phase.COMPLETED, "accepted"),
            (Phase.LOST, "unknown"),
        ],
    )
    async def test_in_each_phase(self, phase: Phase, state: str) -> None:
        """How far its job is tells what is known of an entity."""
        job = await job_of(1)
        job.phase = phase

        assert [outcome.state for outcome in job.result.outcomes] == [state]

    async def test_where_the_server_gave_up(self) -> None:
        """The culprit is rejected, and of all others nothing is known."""
        job = await job_of(2, errorCount=1, unprocessCount=1)
        text = "Encountered an unexpected Exception while processing batch job."
        job.explained([BatchError(xid="i-0", errorMessage=text)])

        assert [outcome.state for outcome in job.result.outcomes] == ["rejected", "unknown"]

    async def test_information_is_no_loss(self) -> None:
        """What is told and loses nothing leaves all well."""
        job = await job_of(1, successCount=1)
        job.explained([BatchError(xid="i-0", code="0x3001", severity="Info")])

        assert [outcome.ok for outcome in job.result.outcomes] == [True]

    async def test_jobs_without_errors_are_not_read(self) -> None:
        """Counting, and looking for what failed, decodes nothing of a job that is well."""
        job = await job_of(3, successCount=3)
        job.explained([])
        result = job.result
        job.records.indicators.slices.clear()

        assert result.outcomes.count("accepted") == 3
        assert list(result.outcomes.rejected) == list(result.outcomes.failed) == []

    async def test_copies_have_none(self) -> None:
        """A status that was copied or pickled says that it does not have them."""
        result = (await job_of(1)).result

        for other in (pickle.loads(pickle.dumps(result)), copy.copy(result)):  # noqa: S301
            assert other == result
            with pytest.raises(UsageError, match="copied"):
                _ = other.outcomes

    def test_of_nothing(self) -> None:
        """A submit of nothing has no outcomes, and a state that is none is refused."""
        outcomes = BatchStatus.total([]).outcomes

        assert list(outcomes) == []
        assert repr(Outcomes([])) == "<Outcomes of 0 entities and associations>"
        with pytest.raises(ConfigurationError, match="state is 'refused', accepted is one of"):
            outcomes.count("refused")  # type: ignore[arg-type]


class TestSource:
    """What a caller says of an entity."""

    async def sources(self, builder: TypedBuilder) -> dict[str, Any]:
        """Drain, cut, and give the sources by xid."""
        await builder.drain()
        chunk = builder._cut()
        assert chunk is not None
        kinds = ("group", "indicator")
        return {data["xid"]: source for kind in kinds for data, source in chunk.records(kind)}

    async def test_on_all_calls(self) -> None:
        """Every call that adds takes one, and it is not sent."""
        builder = TypedBuilder()
        builder.incident("one", xid="1", source="one")
        builder.file("a" * 32, xid="2", source="two")
        builder.host("three.example.com", True, xid="3", source="three")  # type: ignore[call-overload]
        builder.group("Threat", "four", "4", source="four")
        builder.indicator("Host", "five.example.com", xid="5", source="five")
        builder.add({"type": "Tool", "name": "six", "xid": "6"}, source="six")
        items = [{"type": "Host", "summary": f"{n}.example.com", "xid": str(n)} for n in (7, 8)]
        await builder.extend(items, source=lambda number, item: [number, item["xid"]])

        assert await self.sources(builder) == {
            "1": "one",
            "2": "two",
            "3": "three",
            "4": "four",
            "5": "five",
            "6": "six",
            "7": [0, "7"],
            "8": [1, "8"],
        }

    async def test_in_jobs_that_are_cut_again(self) -> None:
        """Whichever way a chunk is cut, each entity keeps its own."""
        builder = TypedBuilder()
        for number in range(5):
            builder.adversary(str(number), f"g-{number}", source=f"g-{number}")
            builder.address(f"10.0.0.{number}", xid=f"i-{number}", source=f"i-{number}")
        await builder.drain()
        chunk = builder._cut()
        assert chunk is not None
        for bounds in ([1], [2, 6], range(1, 10)):
            found = [
                (data["xid"], source)
                for part in Records(chunk).parts(bounds)
                for kind in ("group", "indicator")
                for data, source in part.records(kind)
            ]
            assert len(found) == 10
            assert all(xid == source for xid, source in found)

    async def test_the_last_one_counts(self) -> None:
        """Naming an entity again keeps its source, unless another one is given."""
        builder = TypedBuilder()
        for xid in "ab":
            builder.host(f"{xid}.example.com", xid=xid, source="first")
            builder.adversary(xid, xid.upper(), source="first")
        await builder.drain()
        builder.host("a.example.com", xid="a").tag("again")
        builder.add_indicator(
            {"type": "Host", "summary": "b.example.com", "xid": "b"}, source="last"
        )
        builder.adversary("a", "A").tag("again")
        builder.adversary("b", "B", source="last")

        sources = await self.sources(builder)
        assert sources == {"a": "first", "b": "last", "A": "first", "B": "last"}
        assert builder._indicators.buffer.sources == builder._groups.buffer.sources == {}

    async def test_of_what_was_discarded(self) -> None:
        """It goes with its entity, and not to the next one of that xid."""
        builder = TypedBuilder()
        builder.discard(builder.host("a.example.com", xid="a", source="gone"))
        builder.host("b.example.com", xid="b", source="gone")
        await builder.drain()
        builder.discard(builder.host("b.example.com", xid="b"))
        for xid in "ab":
            builder.host(f"{xid}.example.com", xid=xid)

        assert await self.sources(builder) == {"a": None, "b": None}

    @pytest.mark.parametrize("interface", [1, 3])
    async def test_what_json_cannot_hold(self, interface: int) -> None:
        """Such a source is refused at the call, and nothing is added."""
        builder = TypedBuilder()
        with pytest.raises(ValidationError, match="source is <object"):
            if interface == 1:
                builder.adversary("a", "a", source=object())
            else:
                builder.add_group({"type": "Tool", "name": "a", "xid": "a"}, source=object())

        assert len(builder) == 0

    async def test_it_takes_little(self) -> None:
        """Of what is encoded, a source takes its own bytes and no object."""
        builder = TypedBuilder()
        for number in range(2_000):
            summary = f"10.1.{number >> 8}.{number & 255}"
            data = {"type": "Address", "summary": summary, "xid": summary}
            builder.add_indicator(data, source=number)
        await builder.drain()
        builder._indicators.buffer.close_segment()

        assert builder._indicators.buffer.sources == {}
        for segment in builder._indicators.buffer._segments:
            assert isinstance(segment.sources, memoryview)
            assert segment.sourced is None

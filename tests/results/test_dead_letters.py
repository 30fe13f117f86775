"""Dead letters: what failed is written down whole, can be put right, and is sent again."""

from __future__ import annotations

import base64
import json
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from support.submitting import CREATE, FILE, OWNER, STATUS, UPLOAD, Place, Time, Wire, fill

from aiotcbatch.errors import (
    AiotcbatchError,
    ConfigurationError,
    ConnectionLostError,
    DeadLettersError,
    UnavailableError,
    UsageError,
    ValidationError,
)
from aiotcbatch.results.status import BatchStatus
from aiotcbatch.sandbox import Sandbox, forbidden
from aiotcbatch.stream import Stream
from aiotcbatch.submitting.job import JobSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiotcbatch import Client


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Give a sandbox and a wire to it."""
    async with Sandbox(owners=[OWNER, "Other"]) as sandbox:
        wire = Wire(sandbox.api_url, sandbox.auth)
        yield Place(sandbox, wire, Time(sandbox))
        await wire.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give where dead letters go."""
    return tmp_path / "failed.ndjson"


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Read a file as anybody would; [] if there is none."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def is_there(path: Path) -> bool:
    """Tell whether there is a file yet."""
    return path.exists()


def mode_of(path: Path) -> int:
    """Tell who can read a file."""
    return stat.S_IMODE(path.stat().st_mode)


def put_right(path: Path, **changes: Any) -> None:
    """Change the entity of every line, as somebody does by hand."""
    lines = lines_of(path)
    for line in lines:
        line["entity"] |= changes
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n", "utf-8")


def add_document(batch: Any, content: Any = b"\x00\xff", **fields: Any) -> None:
    """Add a document that the server refuses as long as it has no password."""
    data = {"type": "Document", "name": "doc", "xid": "doc", "fileName": "d.bin", "malware": True}
    batch.add_group({**data, "fileContent": content, **fields}, source="docs.csv:7")


def add_bad(batch: Any) -> None:
    """Add a good address, a bad one, a partial loss and a link to nowhere."""
    batch.address("10.0.0.1", xid="good")
    batch.address("not an address", xid="bad", source="feed:2")
    batch.adversary("lossy", "lossy").attribute("No Such Attribute", "x")
    batch.add_association(ref_1="lossy", ref_2="nowhere", source="feed:4")


class TestWriting:
    """What is in the file."""

    async def test_a_line_for_each(self, place: Place, path: Path) -> None:
        """All that is not well is there, as it was sent and with every error; the rest is not."""
        batch = place.batch(validate=False)
        add_bad(batch)
        status = await batch.submit()

        assert await status.write_dead_letters(path) == 3
        lossy, bad, link = lines_of(path)
        assert (lossy["kind"], lossy["state"], "source" in lossy) == ("group", "accepted", False)
        assert lossy["entity"]["attribute"] == [{"type": "No Such Attribute", "value": "x"}]
        assert [error["code"] for error in lossy["errors"]] == ["0x2002"]
        assert bad["entity"] == {"type": "Address", "summary": "not an address", "xid": "bad"}
        assert (bad["state"], bad["source"]) == ("rejected", "feed:2")
        assert (bad["owner"], bad["action"]) == (OWNER, "Create")
        assert bad["job"] == status.jobs[0].id
        assert "$.indicator[1].summary" in bad["errors"][0]["errorMessage"]
        assert bad["errors"][0]["meaning"] == "Invalid indicator"
        assert link["entity"] == {"ref_1": "lossy", "ref_2": "nowhere"}
        assert (link["kind"], link["source"]) == ("association", "feed:4")

    async def test_only_its_user_can_read_it(self, place: Place, path: Path) -> None:
        """So it is also where it was there for others; and without a failure it is not made."""
        batch = place.batch(validate=False)
        fill(batch, 1)
        assert await (await batch.submit()).write_dead_letters(path) == 0
        assert not await anyio.Path(path).exists()
        await anyio.Path(path).touch(0o644)
        batch.address("bad")
        await (await batch.submit()).write_dead_letters(path)

        assert mode_of(path) == 0o600
        assert len(lines_of(path)) == 1

    async def test_names_are_data(self, place: Place, path: Path) -> None:
        """Whatever is in a name or a source, it is one line."""
        batch = place.batch(validate=False)
        odd = 'line\nbreak\u2028 "quoted" \x1b[31m'
        batch.address(odd, xid=odd, source=odd)
        await (await batch.submit()).write_dead_letters(path)

        (line,) = (await anyio.Path(path).read_text("utf-8")).split("\n")[:-1]
        assert json.loads(line)["entity"]["xid"] == json.loads(line)["source"] == odd
        assert "\x1b" not in line

    async def test_by_itself(self, place: Place, path: Path) -> None:
        """With the option each job is written when it is told, once."""
        batch = place.batch(validate=False, dead_letters=path, max_entities_per_job=2)
        for number in range(4):
            batch.address(f"bad {number}")
        async for _ in batch.submit_iter():
            break
        first = len(lines_of(path))
        await batch.submit()
        await batch.aclose()

        assert first == 2
        assert [line["entity"]["summary"] for line in lines_of(path)] == [
            f"bad {number}" for number in range(4)
        ]

    async def test_with_the_error_that_ends_a_submit(self, place: Place, path: Path) -> None:
        """What an error tells of jobs that had ended is written; what goes on is not."""
        batch = place.batch(validate=False, dead_letters=path, max_entities_per_job=1, max_jobs=1)
        batch.address("bad")
        fill(batch, 2)

        async def at(asked: str, done: bool) -> None:
            if asked == UPLOAD and not done and len(place.documents()) == 1:
                await place.sandbox.idle()
                raise UnavailableError("not now", status=503)

        place.wire.at = at
        with pytest.raises(UnavailableError):
            await batch.submit()
            await batch.submit()
        place.wire.at = None

        await batch.submit()
        assert [line["entity"]["summary"] for line in lines_of(path)] == ["bad"]

    async def test_what_is_given_up(self, place: Place, path: Path) -> None:
        """Closing a batch writes what was drained and what its jobs have left, but no secret."""
        batch = place.batch(dead_letters=path, max_entities_per_job=2)
        fill(batch, 5)
        place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=False, times=3)
        with pytest.raises(AiotcbatchError):
            await batch.submit()
        assert lines_of(path) == []
        await batch.aclose()

        states = [line["state"] for line in lines_of(path)]
        assert sorted(states) == ["unknown"] * 2 + ["unprocessed"] * 3

    async def test_a_stream(self, place: Place, path: Path) -> None:
        """A stream writes what failed, and what it gives up when it is left by an error."""
        settings = JobSettings(owner=OWNER, halt_on_error=False)
        options: dict[str, Any] = {"validate": False, "dead_letters": path}
        async with Stream(place.wire, settings, clock=place.time.clock, **options) as stream:
            add_bad(stream)
        assert len(lines_of(path)) == 3

        await anyio.Path(path).unlink()
        with pytest.raises(ZeroDivisionError):
            async with Stream(place.wire, settings, linger=1e9, **options) as stream:
                fill(stream, 2)
                stream.add_association(ref_1="never", ref_2="10.0.0.0", type_2="Address")
                await stream.drain()
                raise ZeroDivisionError
        assert [(line["kind"], line["state"]) for line in lines_of(path)] == [
            ("indicator", "unprocessed"),
            ("indicator", "unprocessed"),
            ("association", "unprocessed"),
        ]

    @pytest.mark.parametrize("is_cancelled", [False, True])
    async def test_a_stream_that_is_left_while_it_tells(
        self, place: Place, path: Path, is_cancelled: bool
    ) -> None:
        """What was written before a callback has failed, or was cancelled, is written once."""
        scope = anyio.CancelScope()

        async def on_job(status: BatchStatus) -> None:
            if not is_cancelled:
                raise ZeroDivisionError
            scope.cancel()
            await anyio.sleep_forever()

        settings = JobSettings(owner=OWNER, halt_on_error=False)
        options: dict[str, Any] = {"validate": False, "dead_letters": path, "on_job": on_job}
        with suppress(ZeroDivisionError), scope:
            async with Stream(place.wire, settings, clock=place.time.clock, **options) as stream:
                add_bad(stream)

        assert len(lines_of(path)) == 3

    async def test_where_it_cannot_be_written(self, place: Place, tmp_path: Path) -> None:
        """The submit raises what was done, and the next one tells that and writes it."""
        directory = tmp_path / "gone"
        directory.mkdir()
        batch = place.batch(validate=False, dead_letters=directory / "failed")
        batch.address("bad")
        directory.rmdir()
        with pytest.raises(DeadLettersError, match="No such file") as raised:
            await batch.submit()
        directory.mkdir()
        status = await batch.submit()

        assert raised.value.partial is not None
        assert raised.value.partial.error_count == status.error_count == 1
        assert raised.value.path == str(directory / "failed")
        assert "tells of these jobs again" in raised.value.__notes__[-1]
        assert len(lines_of(directory / "failed")) == 1

    async def test_where_a_stream_cannot_write_it(self, place: Place, tmp_path: Path) -> None:
        """It ends with the error, which has the counts of the stream."""
        directory = tmp_path / "gone"
        directory.mkdir()
        settings = JobSettings(owner=OWNER, halt_on_error=False)
        options = {"validate": False, "dead_letters": directory / "failed"}
        stream = Stream(place.wire, settings, clock=place.time.clock, **options)
        with pytest.raises(DeadLettersError) as raised:
            async with stream:
                stream.address("bad")
                directory.rmdir()

        assert raised.value.partial is stream.status

    async def test_where_it_cannot_be_written_at_the_end_either(
        self, place: Place, tmp_path: Path
    ) -> None:
        """Who leaves the block by the error gets that one, and not another without results."""
        directory = tmp_path / "gone"
        directory.mkdir()
        batch = place.batch(validate=False, dead_letters=directory / "failed")
        with pytest.raises(DeadLettersError) as raised:
            async with batch:
                batch.address("bad")
                directory.rmdir()
                await batch.submit()

        assert raised.value.partial is not None
        assert raised.value.partial.error_count == 1

    @pytest.mark.parametrize("kind", ["batch", "stream"])
    @pytest.mark.parametrize(
        ("given", "accepted"),
        [
            ("missing/failed", "a file in a directory that exists"),
            ("file/failed", "a file in a directory that exists"),
            (".", "a file, which this is not"),
            ("", "a path, as text or as a Path"),
            ("a\0b", "a path, as text or as a Path"),
            ("\ud800", "a path, as text or as a Path"),
            (b"bytes", "a path, as text or as a Path"),
            (5, "a path, as text or as a Path"),
        ],
    )
    async def test_what_can_be_no_file(
        self,
        client: Client,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
        given: Any,
        accepted: str,
    ) -> None:
        """It is refused before anything is done, and nothing is made."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(ConfigurationError) as raised:
            getattr(client, kind)(OWNER, dead_letters=given)

        error = raised.value
        assert (error.field, error.value, error.accepted) == ("dead_letters", given, accepted)
        assert [name async for name in anyio.Path(tmp_path).iterdir()] == [tmp_path / "file"]

    @pytest.mark.parametrize("name", ["mine", "new"])
    async def test_what_may_not_be_written(
        self, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A file that is there, or the directory of one that is not, must be open to us."""
        (tmp_path / "mine").touch()
        looked: list[Path] = []

        def refuse(path: Path, mode: int) -> bool:
            looked.append(path)
            return False

        monkeypatch.setattr("os.access", refuse)
        with pytest.raises(ConfigurationError, match="a file that you may write"):
            client.batch(OWNER, dead_letters=tmp_path / name)

        assert looked == [tmp_path / name if name == "mine" else tmp_path]


class TestFiles:
    """The contents of documents."""

    @pytest.mark.parametrize("content", [b"\x00\xff", "text", ""])
    async def test_they_are_kept(self, place: Place, path: Path, content: bytes | str) -> None:
        """Bytes and text are in the line, and go up when it is put right."""
        batch = place.batch(validate=False, dead_letters=path)
        add_document(batch, content)
        await batch.submit()
        (line,) = lines_of(path)
        kept = line["file"].get("text", line["file"].get("base64"))
        assert kept == (content if isinstance(content, str) else base64.b64encode(content).decode())
        assert line["file"]["file_name"] == "d.bin"
        assert "requires a password" in line["file"]["error"]

        put_right(path, malware=False)
        status = await place.batch().retry(path)

        assert status.ok
        data = content.encode() if isinstance(content, str) else content
        assert place.sandbox.files["doc"].content == data

    async def test_a_path_is_kept_by_its_name(
        self, place: Place, path: Path, tmp_path: Path
    ) -> None:
        """What is in a file is read when it goes up."""
        (tmp_path / "d.bin").write_bytes(b"old")
        batch = place.batch(validate=False, dead_letters=path)
        add_document(batch, tmp_path / "d.bin")
        await batch.submit()
        (tmp_path / "d.bin").write_bytes(b"new")
        put_right(path, malware=False)

        assert (await place.batch().retry(path)).ok
        assert place.sandbox.files["doc"].content == b"new"

    async def test_what_can_be_had_from_nowhere(self, place: Place, path: Path) -> None:
        """It is asked for, and told as a file that was not uploaded where nobody has it."""
        batch = place.batch(validate=False, dead_letters=path)
        add_document(batch, lambda xid: b"made")
        await batch.submit()
        assert "lost" in lines_of(path)[0]["file"]
        put_right(path, malware=False)

        again = path.with_name("again.ndjson")
        status = await place.batch(dead_letters=again).retry(path)
        assert (status.ok, status.success_count, status.uploads[0].uploaded) == (False, 1, False)
        assert status.uploads[0].error == (
            "failed.ndjson:1 has no content for it (a function):"
            ' its "file" needs "text", "base64" or "path"'
        )
        assert [line["file"]["lost"] for line in lines_of(again)] == ["a function"]
        status = await place.batch(contents=lambda xid: f"asked for {xid}").retry(path)
        assert status.ok
        assert place.sandbox.files["doc"].content == b"asked for doc"

    async def test_what_was_read_once(self, place: Place, path: Path) -> None:
        """The rest of a stream is never taken for all of it."""

        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            yield b"two"

        batch = place.batch(dead_letters=path)
        batch.document("doc", "d.bin", chunks(), xid="doc")
        place.wire.fail(FILE, UnavailableError("not now", status=503), done=False)
        status = await batch.submit(halt_on_error=False)

        assert "read" in lines_of(path)[0]["file"]["lost"]
        again = await batch.retry(status, halt_on_error=False)
        (upload,) = again.uploads
        assert not upload.uploaded
        assert upload.error.startswith("its content is lost: it was read, and not to its end; ")

    async def test_from_a_journal(self, place: Place, path: Path, tmp_path: Path) -> None:
        """A content that only the journal has is in the line."""
        options = {"journal": tmp_path / "journal", "validate": False}
        async with place.batch(**options) as batch:
            add_document(batch, b"kept")
            await batch.drain()
        async with place.batch(**options, dead_letters=path) as batch:
            status = await batch.submit()
        (line,) = lines_of(path)
        assert base64.b64decode(line["file"]["base64"]) == b"kept"
        assert line["source"] == "docs.csv:7"

        await anyio.Path(path).unlink()
        await status.write_dead_letters(path)
        assert base64.b64decode(lines_of(path)[0]["file"]["base64"]) == b"kept"

    @pytest.mark.parametrize("kind", ["batch", "stream"])
    async def test_from_a_journal_that_has_forgotten_it(
        self, place: Place, tmp_path: Path, kind: str
    ) -> None:
        """What a result has of a job that is done can be sent again, in and after the block."""
        contents = {"a": b"a", "b": "\N{LATIN SMALL LETTER E WITH ACUTE}"}
        options: dict[str, Any] = {"journal": tmp_path / "journal"}
        async with place.batch(**options) as batch:
            for xid, content in contents.items():
                batch.document(xid, "d.bin", content, xid=xid)
            await batch.drain()
        place.sandbox.faults.add("file_upload", forbidden(), times=4 if kind == "batch" else 2)
        told: list[BatchStatus] = []
        if kind == "batch":
            async with place.batch(**options) as batch:
                told.append(await batch.submit(halt_on_error=False))
                told.append(await batch.retry(told[0], halt_on_error=False))
        else:
            options |= {"on_job": told.append, "halt_on_failure": False}
            settings, clock = JobSettings(owner=OWNER, halt_on_error=False), place.time.clock
            async with Stream(place.wire, settings, clock=clock, **options):
                pass
        assert not any(upload.uploaded for status in told for upload in status.uploads)

        assert (await place.batch().retry(told[-1])).ok
        assert {xid: file.content for xid, file in place.sandbox.files.items()} == {
            "a": b"a",
            "b": "\N{LATIN SMALL LETTER E WITH ACUTE}".encode(),
        }


class TestRetry:
    """Only what failed is sent again."""

    async def test_a_line_that_is_still_wrong(self, place: Place, path: Path) -> None:
        """It is named by its line."""
        letter = {"kind": "indicator", "state": "rejected", "owner": OWNER, "action": "Create"}
        entities = [{"type": "Host", "summary": name} for name in ("a.example", "a b")]
        lines = [json.dumps({**letter, "entity": entity, "errors": []}) for entity in entities]
        await anyio.Path(path).write_text("\n".join(lines), "utf-8")

        with pytest.raises(ValidationError, match=r"failed\.ndjson:2: summary is 'a b'"):
            await place.batch().retry(path)

    async def test_from_memory(self, place: Place) -> None:
        """What was rejected and what was not processed goes, with its source; no more."""
        batch = place.batch(validate=False, halt_on_error=True)
        fill(batch, 2)
        batch.address("bad", xid="bad", source="feed:3")
        batch.address("10.9.9.9", xid="behind", source="feed:4")
        status = await batch.submit()
        batch = place.batch(validate=False)
        again = await batch.retry(status)

        document = place.documents()[-1]
        assert [entity["xid"] for entity in document["indicator"]] == ["bad", "behind"]
        assert [outcome.source for outcome in again.outcomes] == ["feed:3", "feed:4"]
        assert [outcome.state for outcome in again.outcomes] == ["rejected", "accepted"]
        assert len(batch) == 0

    async def test_what_goes_on_anyway(self, place: Place) -> None:
        """What is still in the batch is sent once, though the result says that it is not there."""
        batch = place.batch(attribute_write_type="Append")
        summaries = fill(batch, 3)
        place.wire.fail(CREATE, UnavailableError("not now", status=503), done=False)
        status = await batch.submit(halt_on_error=False)
        assert status.outcomes.count("unprocessed") == 3

        assert (await batch.retry(status)).success_count == 3
        assert place.stored() == summaries
        assert len(place.sent()) == 3

    async def test_of_what_is_unknown(self, place: Place, path: Path) -> None:
        """What the server may have is not sent blindly where that would do harm."""
        batch = place.batch(attribute_write_type="Append", dead_letters=path)
        fill(batch, 1)
        place.wire.fail(UPLOAD, ConnectionLostError("lost"), done=True, times=9)
        place.wire.at, at = None, place.wire.at
        await batch.drain()

        async def both(asked: str, done: bool) -> None:
            if asked == STATUS:
                raise UnavailableError("not now", status=503)
            assert at is not None
            await at(asked, done)

        place.wire.at = both
        await batch.submit(halt_on_error=False)
        await batch.aclose()
        place.wire.at = None

        assert [line["state"] for line in lines_of(path)] == ["unknown"]
        careful = place.batch(attribute_write_type="Append")
        with pytest.raises(ValidationError, match=r"failed\.ndjson:1: state is 'unknown'"):
            await careful.retry(path)
        assert len(careful) == 0
        assert await place.batch().add_failed(path) == 1

    async def test_a_file_that_failed(self, place: Place) -> None:
        """Its group goes with no more than its name, so that nothing is added twice."""
        batch = place.batch(attribute_write_type="Append")
        batch.document("doc", "d.bin", b"content", xid="doc").attribute("Description", "x")
        place.wire.fail(FILE, UnavailableError("not now", status=503), done=False)
        status = await batch.submit(halt_on_error=False)
        again = await batch.retry(status)

        assert again.ok
        (group,) = place.documents()[-1]["group"]
        assert group == {"type": "Document", "name": "doc", "xid": "doc", "fileName": "d.bin"}
        assert place.sandbox.files["doc"].content == b"content"

    async def test_put_right_by_hand(self, place: Place, path: Path) -> None:
        """What was corrected in the file is accepted."""
        batch = place.batch(validate=False, dead_letters=path)
        batch.address("bad", xid="x", source="feed:9")
        await batch.submit()
        put_right(path, summary="10.0.0.9")
        status = await place.batch(dead_letters=path).retry(path)

        assert status.ok
        assert [outcome.source for outcome in status.outcomes] == ["feed:9"]
        assert place.stored() == ["10.0.0.9"]

    async def test_what_fails_again(self, place: Place, path: Path) -> None:
        """It may be appended to the file that is read, and is read the next time."""
        batch = place.batch(validate=False, dead_letters=path)
        batch.address("bad")
        await batch.submit()
        await batch.retry(path)

        assert len(lines_of(path)) == 2

    async def test_an_export_of_a_journal(self, place: Place, tmp_path: Path) -> None:
        """Lines of `aiotcbatch journal export` can be sent like dead letters."""
        from aiotcbatch.journal import export  # noqa: PLC0415

        async with place.batch(journal=tmp_path / "journal") as batch:
            summaries = fill(batch, 3)
            batch.address("10.1.0.0", source="feed:4")
            await batch.drain()
        lines = await anyio.to_thread.run_sync(lambda: list(export(tmp_path / "journal")))
        (tmp_path / "left.ndjson").write_bytes(b"".join(lines))
        status = await place.batch().retry(tmp_path / "left.ndjson")

        assert place.stored() == sorted([*summaries, "10.1.0.0"])
        assert [outcome.source for outcome in status.outcomes][-1] == "feed:4"

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "failed.ndjson:2: line is '{', accepted is JSON"),
            ("[]", "accepted is an object with an"),
            ('{"entity": {}, "kind": "host"}', "kind is 'host', accepted is one of"),
            ('{"entity": {}, "kind": "group", "file": 1}', "file is 1, accepted is an object"),
            (
                '{"entity": {}, "kind": "group", "file": {"base64": "?"}}',
                "file base64 is '.', accepted is base64",
            ),
            ('{"entity": {}, "kind": "group", "file": {"path": 1}}', "file path is 1"),
            (
                '{"entity": {"type": "Host"}, "kind": "indicator"}',
                "summary is None, accepted is text",
            ),
            ('{"entity": {"type": "Threat"}, "kind": "group"}', "name is None, accepted is text"),
        ],
    )
    async def test_a_line_that_is_none(
        self, place: Place, path: Path, line: str, said: str
    ) -> None:
        """It is said which line it is, and what would be right."""
        await anyio.Path(path).write_text(f"\n{line}\n", "utf-8")

        with pytest.raises(ValidationError, match=said):
            await place.batch().add_failed(path)

    async def test_for_somebody_else(self, place: Place, path: Path) -> None:
        """What is for another owner or action is refused, and so is what is not there."""
        batch = place.batch(validate=False, dead_letters=path)
        batch.address("bad")
        status = await batch.submit()

        for failed in (path, status):
            with pytest.raises(ConfigurationError, match="owner is 'Other', accepted is 'MyOrg'"):
                await place.batch(owner="Other").retry(failed)
            with pytest.raises(ConfigurationError, match="action is 'Delete'"):
                await place.batch(action="Delete").retry(failed)
        with pytest.raises(ConfigurationError, match="accepted is a file that exists"):
            await place.batch().retry(path.with_name("no"))
        with pytest.raises(ConfigurationError, match=r"a file that can be read \(Is a directory\)"):
            await place.batch().retry(".")
        for nothing in (None, 5, "", "\0"):
            with pytest.raises(ConfigurationError, match=r"failed is .* the result of a submit"):
                await place.batch().retry(nothing)
        with pytest.raises(UsageError, match="copied"):
            await place.batch().retry(BatchStatus())


async def test_cancelled_while_writing(place: Place, path: Path) -> None:
    """Lines are written whole, whenever it is broken off."""
    batch = place.batch(validate=False)
    for number in range(600):
        batch.address(f"bad {number}")
    status = await batch.submit()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(status.write_dead_letters, path)
        while not is_there(path):  # not what is in it, which may be half a line just then
            await checkpoint()
        tasks.cancel_scope.cancel()

    assert len(lines_of(path)) in {256, 512}

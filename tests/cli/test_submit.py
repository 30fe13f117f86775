"""`submit`, `owners` and `get` against a sandbox."""

from __future__ import annotations

import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from rich.console import Console

from aiotcbatch.cli.display import Display
from aiotcbatch.cli.get import as_sent, get
from aiotcbatch.cli.owners import owners
from aiotcbatch.cli.submit import Submission, submit
from aiotcbatch.client import Client
from aiotcbatch.errors import AccessDeniedError, ConfigurationError, ValidationError
from aiotcbatch.sandbox import Sandbox, forbidden
from aiotcbatch.xid import unique_xid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_GROUP = {"type": "Adversary", "name": "Bad Guy", "xid": "a", "tag": [{"name": "APT"}]}
_HOST = {"type": "Host", "summary": "bad.example.com", "associatedGroups": [{"groupXid": "a"}]}
_LINK = {"ref_1": "a", "ref_2": "bad.example.com", "type_2": "Host"}
_REPORT = {
    "type": "Report",
    "name": "On Bad Guy",
    "xid": "r",
    "fileName": "r.txt",
    "fileContent": "all about him",
}
_UNKNOWN_STATUS = {"type": "Incident", "name": "i", "xid": "i", "status": "Nobody Knows"}
_UNKNOWN_LINK = {"ref_1": "a", "ref_2": "nobody"}


class _Screen:
    """A display, and what it has shown."""

    def __init__(self) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        hours = itertools.count(0.0, 3600.0)  # so long between two looks that every step is shown
        self.display = Display(
            Console(file=self._out, width=200),
            Console(file=self._err, width=200),
            clock=lambda: next(hours),
        )

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


@pytest.fixture
def screen() -> _Screen:
    """Somewhere to show things."""
    return _Screen()


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A sandbox that the environment points to."""
    async with Sandbox(owners=["MyOrg"]) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield sandbox


def _written(directory: Path, *entities: dict[str, Any]) -> str:
    path = directory / "feed.ndjson"
    path.write_text("".join(f"{json.dumps(entity)}\n" for entity in entities))
    return str(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _change(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


async def test_everything_in_a_file_arrives(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """Groups, indicators, associations and file contents arrive; the exit code is 0."""
    name = _written(tmp_path, _GROUP, _HOST, _LINK, _REPORT)

    code = await submit(screen.display, Submission(files=(name,), owner="MyOrg"))

    assert code == 0, screen.err
    assert [entity.summary for entity in sandbox.entities()] == [
        "Bad Guy",
        "On Bad Guy",
        "bad.example.com",
    ]
    assert sandbox.entities(type="Host")[0].associated_groups
    assert sandbox.files["r"].content == b"all about him"
    assert "1 of 1" in screen.out


async def test_an_indicator_without_xid_may_have_its_summary_in_parts(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """As the documents of the API show it; the xid is that of the whole summary."""
    md5, sha1 = "a" * 32, "b" * 40
    name = _written(tmp_path, {"type": "File", "md5": md5, "sha1": sha1})

    assert await submit(screen.display, Submission(files=(name,), owner="MyOrg", as_json=True)) == 0
    (indicator,) = sandbox.jobs[0].document["indicator"]
    assert indicator["summary"] == f"{md5} : {sha1}"
    assert indicator["xid"] == unique_xid("File", indicator["summary"])


@pytest.mark.parametrize(
    ("entity", "field"),
    [
        ({"type": "Threat"}, "name"),
        ({"type": "Host"}, "summary"),
        ({"type": "File", "md5": None}, "summary"),
    ],
)
async def test_an_entity_without_xid_and_name(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path, entity: dict[str, Any], field: str
) -> None:
    """It is its name that it lacks, of which an xid could be made."""
    asked = Submission(files=(_written(tmp_path, entity),), owner="MyOrg")

    with pytest.raises(ValidationError, match=rf"feed.ndjson:1: {field} is None, accepted is text"):
        await submit(screen.display, asked)


async def test_an_entity_without_xid_gets_one(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """Without an xid the documented one of type and name is taken, so that repeats update."""
    group = {"type": "Threat", "name": "T"}
    for _ in range(2):
        asked = Submission(files=(_written(tmp_path, group),), owner="MyOrg")
        assert await submit(screen.display, asked) == 0

    assert [entity.xid for entity in sandbox.entities()] == [unique_xid("Threat", "T")]


async def test_a_bad_record_stops_before_anything_is_sent(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """By default a record that cannot be right ends it, named by its line; nothing was sent."""
    name = _written(tmp_path, _GROUP, _UNKNOWN_STATUS)

    with pytest.raises(ValidationError, match=r"feed\.ndjson:2: status is 'Nobody Knows'"):
        await submit(screen.display, Submission(files=(name,), owner="MyOrg"))

    assert sandbox.jobs == []


async def test_keep_going_submits_the_rest_and_says_what_was_refused(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """With --keep-going good records arrive, bad ones are told, and the exit code is 1."""
    name = _written(tmp_path, _UNKNOWN_STATUS, _GROUP, _UNKNOWN_LINK)

    code = await submit(
        screen.display, Submission(files=(name,), owner="MyOrg", halt_on_error=False)
    )

    assert code == 1
    assert [entity.summary for entity in sandbox.entities()] == ["Bad Guy"]
    assert "feed.ndjson:1: status is 'Nobody Knows'" in screen.err
    assert "nobody" in screen.err


async def test_lines_without_an_entity_are_told_and_left_out(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """With --keep-going a line that is no JSON, or no entity, costs nothing but itself."""
    path, failed = tmp_path / "feed.ndjson", tmp_path / "failed.ndjson"
    lines = [orjson.dumps(_GROUP), b"{not json", b'{"foo": 1}', orjson.dumps(_UNKNOWN_LINK)]
    path.write_bytes(b"\n".join(lines))
    asked = Submission(
        files=(str(path),), owner="MyOrg", halt_on_error=False, dead_letters=str(failed)
    )

    assert await submit(screen.display, asked) == 1
    assert [entity.summary for entity in sandbox.entities()] == ["Bad Guy"]
    assert "feed.ndjson:2: input is" in screen.err
    assert "feed.ndjson:3: type is None" in screen.err
    assert [letter["source"] for letter in _lines(failed)] == [f"{path}:4"]


async def test_what_is_no_entity_in_a_document_is_told_and_left_out(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """With --keep-going an element that is no object costs nothing but itself."""
    path = tmp_path / "document.json"
    path.write_bytes(orjson.dumps({"group": [_GROUP], "indicator": [7, _HOST]}))
    asked = Submission(files=(str(path),), owner="MyOrg", halt_on_error=False)

    assert await submit(screen.display, asked) == 1
    assert [entity.summary for entity in sandbox.entities()] == ["Bad Guy", "bad.example.com"]
    assert "document.json indicator[0]: indicator is 7, accepted is an object" in screen.err


async def test_files_that_are_no_json_cost_only_themselves(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """With --keep-going the other files are read, and a long list of errors is cut."""
    table, broken = tmp_path / "feed.csv", tmp_path / "broken.json"
    table.write_text("type,name\nAdversary,a\nAdversary,b\n")
    broken.write_text('{"group": [\n  {"type":\n')
    files = (str(broken), str(table), _written(tmp_path, _GROUP))
    asked = Submission(files=files, owner="MyOrg", halt_on_error=False, shown_errors=2)

    assert await submit(screen.display, asked) == 1
    assert [entity.summary for entity in sandbox.entities()] == ["Bad Guy"]
    assert "broken.json: input is" in screen.err
    assert "feed.csv:1: input is 'type,name', accepted is one JSON object a line" in screen.err
    assert "... and 2 more that were refused before anything was sent" in screen.err


async def test_a_slip_in_a_key_of_a_document_stops_before_anything_is_sent(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """The indicators under a key that is not known would be lost, so nothing is sent at all."""
    name = _written(tmp_path, {"group": [_GROUP], "indicators": [_HOST]})

    with pytest.raises(ValidationError, match=r"feed\.ndjson:1: key is 'indicators'"):
        await submit(screen.display, Submission(files=(name,), owner="MyOrg"))

    assert sandbox.jobs == []


async def test_what_has_no_xid_is_written_down_and_submitted_again(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """It gets its xid when it is read again, and its line stays that of the first file."""
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    name = _written(tmp_path, {"type": "Host", "summary": "a.example", "rating": 9})
    options = {"owner": "MyOrg", "halt_on_error": False}

    asked = Submission(files=(name,), dead_letters=str(first), **options)
    assert await submit(screen.display, asked) == 1
    asked = Submission(files=(str(first),), dead_letters=str(second), **options)
    assert await submit(screen.display, asked) == 1
    assert [letter["source"] for letter in _lines(second)] == [f"{name}:1"]

    _change(second, '"rating":9', '"rating":5')
    assert await submit(screen.display, Submission(files=(str(second),), owner="MyOrg")) == 0
    assert [entity.xid for entity in sandbox.entities()] == [unique_xid("Host", "a.example")]


async def test_errors_name_the_line(sandbox: Sandbox, screen: _Screen, tmp_path: Path) -> None:
    """An error of the server says where its entity stands."""
    name = _written(tmp_path, _GROUP, _UNKNOWN_LINK)

    await submit(screen.display, Submission(files=(name,), owner="MyOrg", halt_on_error=False))

    assert f"error: {name}:2: 0x1009" in screen.err


async def test_what_failed_is_written_down_and_submitted_again(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """Dead letters have what either side refused; put right, they are a file like any other."""
    failed = tmp_path / "failed.ndjson"
    name = _written(tmp_path, _UNKNOWN_STATUS, _GROUP, _UNKNOWN_LINK)
    asked = Submission(files=(name,), owner="MyOrg", halt_on_error=False, dead_letters=str(failed))

    assert await submit(screen.display, asked) == 1
    link, group = _lines(failed)
    assert (link["source"], link["errors"][0]["code"]) == (f"{name}:3", "0x1009")
    assert (group["source"], group["entity"]) == (f"{name}:1", _UNKNOWN_STATUS)
    assert "status is 'Nobody Knows'" in group["errors"][0]["errorReason"]
    assert "Not in the table: 1 that could not be sent." in screen.err
    assert f"What failed is in {failed}; put it right" in screen.err
    assert f"`aiotcbatch submit {failed} --owner MyOrg` sends it again" in screen.err

    _change(failed, "Nobody Knows", "Open")
    _change(failed, "nobody", "i")
    again = _Screen()
    asked = Submission(files=(str(failed),), owner="MyOrg", dead_letters=f"{failed}.2")
    assert await submit(again.display, asked) == 0
    assert "What failed" not in again.err
    assert "Not in the table" not in again.err
    assert [entity.summary for entity in sandbox.entities()] == ["Bad Guy", "i"]
    asked = Submission(files=(str(failed),), owner="Elsewhere")
    with pytest.raises(ConfigurationError, match="owner is 'Elsewhere', accepted is 'MyOrg'"):
        await submit(screen.display, asked)


async def test_dead_letters_are_not_read_and_written_at_once(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """What would grow while it is read is refused before anything is sent."""
    name = _written(tmp_path, _GROUP)
    asked = Submission(files=(name,), owner="MyOrg", dead_letters=name)

    with pytest.raises(ConfigurationError, match="accepted is another file"):
        await submit(screen.display, asked)
    assert sandbox.jobs == []


async def test_a_bad_record_leaves_no_dead_letters(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """What ends it before anything is sent has its input still."""
    failed = tmp_path / "failed.ndjson"
    name = _written(tmp_path, _GROUP, _UNKNOWN_STATUS)
    asked = Submission(files=(name,), owner="MyOrg", dead_letters=str(failed))

    with pytest.raises(ValidationError):
        await submit(screen.display, asked)
    assert _lines(failed) == []


async def test_more_errors_than_are_shown(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """A long list of errors is cut, and how many are missing is said."""
    links = [_UNKNOWN_LINK | {"ref_2": f"nobody-{number}"} for number in range(5)]
    name = _written(tmp_path, _GROUP, *links)
    asked = Submission(files=(name,), owner="MyOrg", halt_on_error=False, shown_errors=2)

    assert await submit(screen.display, asked) == 1
    assert screen.err.count("error:") == 2
    assert "... and 3 more errors" in screen.err


async def test_a_json_status_for_each_job(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """With --json stdout has one line of JSON for each job, and nothing else."""
    name = _written(tmp_path, _GROUP, _HOST | {"xid": "h"})
    asked = Submission(files=(name,), owner="MyOrg", as_json=True, job={"max_entities_per_job": 1})

    assert await submit(screen.display, asked) == 0
    statuses = [json.loads(line) for line in screen.out.splitlines()]
    assert [status["successCount"] for status in statuses] == [1, 1]
    assert all(status["status"] == "Completed" for status in statuses)


async def test_nothing_to_submit(sandbox: Sandbox, screen: _Screen, tmp_path: Path) -> None:
    """An empty file is no error, and makes no job."""
    name = _written(tmp_path)

    assert await submit(screen.display, Submission(files=(name,), owner="MyOrg")) == 0
    assert "nothing to submit" in screen.err
    assert sandbox.jobs == []


async def test_delete_takes_entities_away(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """The job settings of the command line reach the job."""
    name = _written(tmp_path, _GROUP)
    await submit(screen.display, Submission(files=(name,), owner="MyOrg"))
    asked = Submission(files=(name,), owner="MyOrg", job={"action": "Delete"})

    assert await submit(screen.display, asked) == 0
    assert sandbox.entities() == []

    failed = str(tmp_path / "failed.ndjson")
    asked = Submission(files=(name,), owner="MyOrg", job={"action": "Delete"}, dead_letters=failed)
    assert await submit(screen.display, asked) == 1
    assert f"`aiotcbatch submit {failed} --owner MyOrg --action delete`" in screen.err


async def test_jobs_of_a_journal_are_not_counted_against_what_is_read(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """Where earlier jobs are still on the server, no total is claimed that they would exceed."""
    sandbox.faults.add("status", forbidden(), times=1)
    journal = str(tmp_path / "feed.journal")
    async with Client.from_env() as client, client.batch("MyOrg", journal=journal) as batch:
        batch.add_group({**_GROUP, "xid": "before"})
        with pytest.raises(AccessDeniedError):
            await batch.submit()
    asked = Submission(files=(_written(tmp_path, _GROUP),), owner="MyOrg", journal=journal)

    assert await submit(screen.display, asked) == 0
    shown = [line.split(" (")[0] for line in screen.err.splitlines() if "Submitting" in line]
    assert shown == ["Submitting: 1 entity", "Submitting: 2 entities", "Submitting: 2 entities"]


async def test_an_owner_that_is_not_there(
    sandbox: Sandbox, screen: _Screen, tmp_path: Path
) -> None:
    """A wrong owner is an error of its own kind, and how to find the right one is said."""
    name = _written(tmp_path, _GROUP)

    with pytest.raises(AccessDeniedError):
        await submit(screen.display, Submission(files=(name,), owner="Elsewhere"))

    assert "The owner was 'Elsewhere'; `aiotcbatch owners` lists those that exist" in screen.err
    assert "Not sent: 1 entity." in screen.err
    asked = Submission(files=(name,), owner="Elsewhere", halt_on_error=False)
    assert await submit(screen.display, asked) == 1
    assert [line.split() for line in screen.out.splitlines()][-1][:2] == ["none", "Failed"]


async def test_a_file_that_is_not_there(sandbox: Sandbox, screen: _Screen) -> None:
    """A missing file is found before anything is read."""
    with pytest.raises(FileNotFoundError):
        await submit(screen.display, Submission(files=("nowhere.json",), owner="MyOrg"))


async def test_owners_are_listed(sandbox: Sandbox, screen: _Screen) -> None:
    """The table has every owner with its type."""
    assert await owners(screen.display) == 0
    assert "MyOrg" in screen.out
    assert "Organization" in screen.out


async def test_get_writes_json_and_files(
    sandbox: Sandbox,
    screen: _Screen,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """JSON comes indented, a file byte by byte."""
    await submit(screen.display, Submission(files=(_written(tmp_path, _REPORT),), owner="MyOrg"))

    assert await get(screen.display, '/v3/groups?tql=summary = "On Bad Guy"') == 0
    found = json.loads(capfdbinary.readouterr().out)
    assert [group["xid"] for group in found["data"]] == ["r"]
    assert await get(screen.display, "v3/groups/r/download?owner=MyOrg") == 0
    assert capfdbinary.readouterr().out == b"all about him"


async def test_get_says_what_the_server_warns_of(
    sandbox: Sandbox, screen: _Screen, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Fields that were passed over are named; from the answer alone they seem to be empty."""
    assert await get(screen.display, "/v3/groups?fields=tags&fields=attributes") == 0
    assert screen.err == ""
    assert await get(screen.display, "/v3/groups?fields=tags,attributes") == 0
    assert "fields passed over: tags,attributes" in screen.err
    assert b"passed over" not in capfdbinary.readouterr().out


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/v2/owners", "/v2/owners"),
        ("v2/owners", "/v2/owners"),
        ("/api/v2/owners", "/v2/owners"),
        ("https://tc.example/api/v2/owners", "/v2/owners"),
        ('/v3/groups?tql=name = "é"', "/v3/groups?tql=name%20=%20%22%C3%A9%22"),
        ("/v3/groups/a%2Fb", "/v3/groups/a%2Fb"),
    ],
)
def test_paths_go_out_encoded(typed: str, sent: str) -> None:
    """What people type becomes a path that can be signed; what is encoded stays so."""
    assert as_sent(typed, "https://tc.example/api") == sent


@pytest.mark.parametrize(
    "typed", ["", "/", "https://other.example/api/v2/owners", "HTTP://tc.example/api/v2/owners"]
)
def test_paths_that_are_none(typed: str) -> None:
    """Nothing is asked for under a name that is made of two URLs."""
    with pytest.raises(
        ConfigurationError, match=r"PATH is .*, accepted is a path below https://tc"
    ):
        as_sent(typed, "https://tc.example/api")

"""The batch endpoints over HTTP."""

from __future__ import annotations

import gzip
import io
import json

import aiohttp
import anyio
import pytest

from aiotcbatch.sandbox import Sandbox, State, User
from tests.sandbox.conftest import calling, configuration

HOST = {"type": "Host", "summary": "bad.example.com", "xid": "h-1"}
GOOD = {"indicator": [HOST]}
BAD = {"indicator": [{"type": "Address", "summary": "1.2.3.999", "xid": "a-1"}]}


async def test_two_requests_make_a_job(call):
    """A job is created with 201, its data is accepted with 202, then it completes."""
    created = await call("POST", "/v2/batch", json=configuration())
    job_id = created.json["data"]["batchId"]
    before = await call("GET", f"/v2/batch/{job_id}")
    uploaded = await call("POST", f"/v2/batch/{job_id}", data=json.dumps(GOOD))
    await call.sandbox.idle()
    after = await call("GET", f"/v2/batch/{job_id}")

    assert created.status == 201
    assert before.batch == {"id": job_id, "status": "Created"}
    assert uploaded.status == 202
    assert uploaded.batch["status"] == "Queued"
    assert after.batch == {
        "id": job_id,
        "status": "Completed",
        "errorCount": 0,
        "successCount": 1,
        "unprocessCount": 0,
    }


async def test_data_is_taken_once(call):
    """A second upload to a job is refused and changes nothing."""
    job_id, _ = await call.job(GOOD)

    again = await call("POST", f"/v2/batch/{job_id}", data=json.dumps(BAD))

    assert again.status == 400
    assert call.sandbox.jobs[0].document == GOOD


@pytest.mark.parametrize("path", ["/v2/batch/99", "/v2/batch/x", f"/v2/batch/{'9' * 40}"])
async def test_an_unknown_job_is_not_found(call, path):
    """Ids that no job has are 404 everywhere."""
    replies = [await call("GET", path + tail) for tail in ("", "/errors", "/results")]
    replies.append(await call("POST", path, data=b"{}"))

    assert [reply.status for reply in replies] == [404] * 4


async def test_too_large_a_document(call):
    """The documented text names the limit in bytes, and the job can still be given its data."""
    call.sandbox.configure(upload_limit=100)
    created = await call("POST", "/v2/batch", json=configuration())
    job_id = created.json["data"]["batchId"]

    large = await call("POST", f"/v2/batch/{job_id}", data=b" " * 101)
    small = await call("POST", f"/v2/batch/{job_id}", data=b'{"group":[]}')

    assert large.status == 400
    assert large.json == {
        "status": "Invalid",
        "description": "File size greater than allowable limit of 100",
    }
    assert small.status == 202


async def test_small_documents_are_answered_inline(call):
    """Under the synchronous limit createAndUpload answers 200 with counts and without an id."""
    reply = await call.inline(GOOD)

    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("application/json")
    assert "id" not in reply.batch
    assert reply.batch["status"] == "Completed"
    assert reply.batch["successCount"] == reply.batch["successIndicatorCount"] == 1
    assert call.sandbox.jobs[0].inline


async def test_larger_documents_are_queued(call):
    """At the synchronous limit createAndUpload answers 202 with an id."""
    call.sandbox.configure(synchronous_limit=1)

    reply = await call.inline(GOOD)
    await call.sandbox.idle()

    assert reply.status == 202
    assert reply.batch == {"id": 1, "status": "Queued"}
    assert call.sandbox.jobs[0].state is State.COMPLETED
    assert not call.sandbox.jobs[0].inline


async def test_parts_need_no_file_names(call):
    """A form is taken with plain text parts too."""
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("config", json.dumps(configuration()), content_type="text/plain")
    form.add_field("content", json.dumps(GOOD), content_type="text/plain")

    reply = await call("POST", "/v2/batch/createAndUpload", data=form)

    assert reply.batch["successCount"] == 1


async def test_inline_errors_only_when_asked_for(call):
    """Whether an inline answer lists errors is a switch, since no document says."""
    without = await call.inline(BAD)
    call.sandbox.configure(inline_errors=True)
    with_errors = await call.inline(BAD)

    assert "errors" not in without.batch
    assert without.batch["errorCount"] == 1
    assert with_errors.batch["errors"][0]["errorReason"] == "1.2.3.999 is not a valid Address."


async def test_errors_have_the_documented_form(call):
    """/errors is gzip that is not called JSON, with errorReason and errorSource."""
    job_id, _ = await call.job(BAD)

    reply = await call("GET", f"/v2/batch/{job_id}/errors")

    assert reply.headers["Content-Type"] == "application/octet-stream ; boundary="
    assert reply.headers["Content-Encoding"] == "gzip"
    assert reply.json == [
        {
            "errorReason": "1.2.3.999 is not a valid Address.",
            "errorSource": "1.2.3.999 is not valid.",
        }
    ]


async def test_errors_are_compressed_on_the_wire(call):
    """Without automatic decompression a client sees gzip's magic."""
    job_id, _ = await call.job(BAD)
    url = f"{call.sandbox.api_url}/v2/batch/{job_id}/errors"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(url, headers=call.headers) as answer,
    ):
        raw = await answer.read()

    assert raw[:2] == b"\x1f\x8b"
    assert json.loads(gzip.decompress(raw))[0]["errorSource"]


async def test_no_errors_are_not_found(call):
    """A completed job without errors has neither /errors nor /results."""
    job_id, _ = await call.job(GOOD)

    assert (await call("GET", f"/v2/batch/{job_id}/errors")).status == 404
    assert (await call("GET", f"/v2/batch/{job_id}/results")).status == 404


async def test_errors_of_a_job_that_is_not_completed(call):
    """Asking too early is 400 with the state in the text."""
    created = await call("POST", "/v2/batch", json=configuration())
    job_id = created.json["data"]["batchId"]

    reply = await call("GET", f"/v2/batch/{job_id}/errors")

    assert reply.status == 400
    assert reply.json == {"status": "Invalid", "description": "Batch still in Created state"}


async def test_results_can_be_filtered(call):
    """/results takes a code, a text and a severity, alone and together."""
    lost = {**HOST, "tag": [{"name": ""}]}
    job_id, _ = await call.job({"indicator": [BAD["indicator"][0], lost]})

    everything = await call.results(job_id)
    by_code = await call.results(job_id, "?code=0x1005")
    by_text = await call.results(job_id, "?contains=tag")
    by_severity = await call.results(job_id, "?severity=warn")
    by_both = await call.results(job_id, "?severity=err&code=0x2001")

    assert [error["code"] for error in everything] == ["0x1005", "0x2001"]
    assert by_code == everything[:1]
    assert by_text == by_severity == everything[1:]
    assert by_both == []
    assert everything[0] == {
        "code": "0x1005",
        "severity": "Error",
        "errorReason": "1.2.3.999 is not a valid Address.",
        "errorMessage": "1.2.3.999 is not a valid Address. JSON path: '$.indicator[0].summary':"
        " indicator[0] 'a-1'.",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"action": "create"},
        {"action": "Update"},
        {"attributeWriteType": "replace"},
        {"tagWriteType": "Static"},
        {"version": "V3"},
        {"haltOnError": "yes"},
        {"fileMergeMode": "Join"},
        {"hashCollisionMode": "Favor"},
        {"owner": ""},
        {"owner": 5},
    ],
)
async def test_a_wrong_configuration_is_refused(call, change):
    """Names and values of a configuration must be exact."""
    reply = await call("POST", "/v2/batch", json=configuration(**change))

    assert reply.status == 400
    assert next(iter(change)) in reply.json["description"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff"])
async def test_a_configuration_that_is_no_object(call, body):
    """What is not a JSON object is 400 and makes no job."""
    reply = await call("POST", "/v2/batch", data=body)

    assert reply.status == 400
    assert call.sandbox.jobs == []


@pytest.mark.parametrize("halt", [True, "true", "TRUE"])
async def test_booleans_may_be_strings(call, halt):
    """A halt is taken as a boolean or its name in any letter case."""
    _, status = await call.job({"indicator": [BAD["indicator"][0], HOST]}, haltOnError=halt)

    assert status["unprocessCount"] == 1


async def test_an_owner_that_does_not_exist(call):
    """A job for an owner that nobody knows is 403."""
    reply = await call("POST", "/v2/batch", json=configuration(owner="Nobody"))

    assert reply.status == 403


async def test_an_owner_that_the_user_does_not_see(call):
    """A job for somebody else's owner is 403, and its jobs are not found."""
    job_id, _ = await call.job(GOOD)
    call.sandbox.add_user(
        User(access_id="2", secret_key="s", token="t2", owners=frozenset({"Other"}))
    )
    headers = {"Authorization": "TC-Token t2"}

    refused = await call("POST", "/v2/batch", json=configuration(), headers=headers)
    hidden = await call("GET", f"/v2/batch/{job_id}", headers=headers)

    assert (refused.status, refused.json["message"]) == (403, "Access Denied")
    assert hidden.status == 404


async def test_a_read_only_user_may_not_create(call):
    """The refusal is the documented plain text."""
    call.sandbox.add_user(User(access_id="2", secret_key="s", token="t2", role="Read Only User"))

    reply = await call(
        "POST", "/v2/batch", json=configuration(), headers={"Authorization": "TC-Token t2"}
    )

    assert reply.status == 401
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert reply.body.startswith(b"Unable to perform the requested operation due to")


async def test_a_read_only_user_may_not_upload_either(call):
    """The data of somebody else's job is refused as the job itself would be."""
    call.sandbox.add_user(User(access_id="2", secret_key="s", token="t2", role="Read Only User"))
    created = await call("POST", "/v2/batch", json=configuration())
    path = f"/v2/batch/{created.json['data']['batchId']}"

    reply = await call("POST", path, data=b"{}", headers={"Authorization": "TC-Token t2"})

    assert reply.status == 401
    assert (await call("GET", path)).batch["status"] == "Created"


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain"])
async def test_data_is_said_to_be_bytes(call, kind):
    """The data of a job comes as application/octet-stream, and can be sent again."""
    created = await call("POST", "/v2/batch", json=configuration())
    path = f"/v2/batch/{created.json['data']['batchId']}"
    headers = {**call.headers} if kind is None else {**call.headers, "Content-Type": kind}

    reply = await call(
        "POST", path, data=b"{}", headers=headers, skip_auto_headers=["Content-Type"]
    )
    again = await call("POST", path, data=b"{}")

    assert reply.status == 415
    assert "application/octet-stream" in reply.json["message"]
    assert again.status == 202


@pytest.mark.parametrize("one_request", [True, False])
async def test_the_feature_can_be_off(call, one_request):
    """Without the Batch API both ways in are 503 with the documented plain text."""
    call.sandbox.configure(batch_enabled=False)
    if one_request:
        reply = await call.inline(GOOD)
    else:
        reply = await call("POST", "/v2/batch", json=configuration())

    assert reply.status == 503
    assert reply.body.startswith(b"Batch job api is not available.  Ensure that")


async def test_jobs_keep_what_was_sent(call):
    """Configuration and document can be looked at byte by byte, and times are in order."""
    body = b'{ "indicator" : [ {"type":"Host","summary":"a.example"} ] , "file":{} }'
    await call.job(body, playbookTriggersEnabled="false")

    job = call.sandbox.jobs[0]

    assert job.body == body
    assert job.config == configuration(playbookTriggersEnabled="false")
    assert job.created <= job.queued <= job.started <= job.completed
    assert job.counts.success == 1


async def test_jobs_are_done_in_the_order_of_their_data():
    """Processing is first in, first out, by when the data came."""
    async with calling(Sandbox(entities_per_second=1000)) as call:
        ids = []
        for _ in range(3):
            created = await call("POST", "/v2/batch", json=configuration())
            ids.append(created.json["data"]["batchId"])
        for job_id in reversed(ids):
            await call("POST", f"/v2/batch/{job_id}", data=json.dumps(GOOD))
        await call.sandbox.idle()
        completed = {job.id: job.completed for job in call.sandbox.jobs}

    assert sorted(ids, key=completed.get) == [3, 2, 1]


async def test_processing_can_be_slow(clock):
    """entities_per_second sets how long a job takes, to the entity."""
    async with calling(Sandbox(entities_per_second=100, clock=clock)) as call:
        many = [{"type": "Host", "summary": f"h{n}.example"} for n in range(250)]
        await call.job({"indicator": many})
        job = call.sandbox.jobs[0]

    assert job.completed - job.started == pytest.approx(2.5)


async def test_large_documents_go_through_a_file(call):
    """A document of several megabytes is spooled, processed and still there to look at."""
    filler = "x" * 60_000
    hosts = [{"type": "Host", "summary": f"h{n}.example", "note": filler} for n in range(50)]
    _, status = await call.job({"indicator": hosts})

    job = call.sandbox.jobs[0]

    assert status["successCount"] == 50
    assert job.body_size == len(job.body) > 3_000_000


async def test_old_documents_are_dropped():
    """Only the latest completed jobs keep their documents, so that memory stays bounded."""
    async with calling(Sandbox(keep_bodies=2)) as call:
        for _ in range(4):
            await call.job(GOOD)
        kept = [job.body is not None for job in call.sandbox.jobs]

    assert kept == [False, False, True, True]


async def test_jobs_leave_little_behind():
    """Jobs whose documents are not kept take a row each, whatever the size of what was sent."""
    hosts = [{"type": "Host", "summary": f"h{n}.example", "note": "x" * 500} for n in range(20)]

    def pages(connection):
        return connection.execute("PRAGMA page_count").fetchone()[0]

    async with calling(Sandbox(keep_bodies=2)) as call:
        run = call.sandbox.instance.store.database.run
        for _ in range(10):
            await call.job({"indicator": hosts})
        before = await run(pages)
        for _ in range(40):
            await call.job({"indicator": hosts})
        after = await run(pages)

    assert after - before < 40 / 4


async def test_a_configuration_has_a_size(call):
    """What is far too large for one is not read as one."""
    reply = await call("POST", "/v2/batch", data=io.BytesIO(b" " * (2 << 20)))

    assert (reply.status, reply.json["description"]) == (400, "The request was not properly formed")


async def test_of_two_uploads_at_once_one_is_taken(call):
    """The other one is told so, though it had begun before, and leaves nothing behind."""
    job_id = (await call("POST", "/v2/batch", json=configuration())).json["data"]["batchId"]
    begun, go = anyio.Event(), anyio.Event()

    async def slow():
        yield bytes(2 << 20)
        begun.set()
        await go.wait()
        yield b"{}"

    replies = []

    async def upload():
        headers = {**call.headers, "Content-Type": "application/octet-stream"}
        path = f"/v2/batch/{job_id}"
        replies.append(await call("POST", path, headers=headers, data=slow()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upload)
        await begun.wait()
        quick = await call("POST", f"/v2/batch/{job_id}", data=b"{}")
        go.set()

    assert (quick.status, [reply.status for reply in replies]) == (202, [400])
    assert "uploaded already" in replies[0].json["description"]


async def test_a_large_document_without_its_job_is_dropped(tmp_path):
    """CreateAndUpload for an owner that is not there keeps nothing of what came."""
    async with calling(Sandbox(db=tmp_path / "tc.db")) as call:
        form = aiohttp.FormData()
        form.add_field("content", io.BytesIO(bytes(3 << 20)), filename="content")
        form.add_field("config", json.dumps(configuration(owner="Nobody")), filename="config")
        reply = await call("POST", "/v2/batch/createAndUpload", data=form)
        left = [path.name async for path in anyio.Path(tmp_path / "tc.db.files").iterdir()]

    assert (reply.status, left) == (403, [])


async def test_the_document_of_a_large_job_goes_when_it_is_not_kept(tmp_path):
    """With keep_bodies=0 its file is gone as soon as the job is done."""
    async with calling(Sandbox(db=tmp_path / "tc.db", keep_bodies=0)) as call:
        body = b'{"group":[]' + b" " * (3 << 20) + b"}"
        _, status = await call.job(body)
        left = [path.name async for path in anyio.Path(tmp_path / "tc.db.files").iterdir()]

    assert (status["status"], status["errorCount"], left) == ("Completed", 0, [])

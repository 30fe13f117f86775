"""Hostile input harms nothing and comes back as the text that it is."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import aiohttp
import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.leaks import tasks_left

from aiotcbatch.sandbox import Sandbox
from aiotcbatch.sandbox.engine.document import Document, DocumentError, count
from tests.sandbox.conftest import calling, configuration
from tests.sandbox.test_model import Engine

NASTY = [
    "'; DROP TABLE entity; --",
    '" OR ""="',
    "%' OR 1=1 --",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "/",
    "\u0000",
    "a\u0000b",
    "\ufeff",
    "\u202e",
    "\U0001f4a9",
    "e\u0301",
    "\ud800",
    "{{7*7}}",
    "$(reboot)",
    "\r\nX-Header: x",
    "x" * 10_000,
]


def as_stored(text):
    """Return how a text comes back: what no UTF-8 can hold is replaced."""
    return text.replace("\ud800", "\ufffd")


@pytest.mark.parametrize("text", NASTY)
async def test_text_is_text(call, text):
    """In every field of an entity any text is stored and shown as it is, and nothing else moves."""
    group = {
        "type": "Signature",
        "name": text,
        "xid": text,
        "fileName": text,
        "fileText": text,
        "fileType": "YARA",
        "attribute": [{"type": "Description", "value": text, "source": text}],
        "tag": [{"name": text}] if len(text) <= 128 else [],
        "securityLabel": [{"name": text, "description": text, "color": text}],
    }
    indicators = [
        {"type": "Mutex", "summary": text, "xid": text, "associatedGroups": [{"groupXid": text}]},
        {"type": "File", "md5": "a" * 32, "fileOccurrence": [{"fileName": text, "path": text}]},
    ]
    link = {"ref_1": text, "ref_2": text, "type_2": "Mutex"}
    before = call.sandbox.jobs
    _, status = await call.job({"group": [group], "indicator": indicators, "association": [link]})
    stored, mutex, file = call.sandbox.entities()
    shown = (await call("GET", "/v3/groups?fields=tags&fields=attributes")).json["data"][0]

    text = as_stored(text)
    assert before == []
    assert (status["successCount"], status["errorCount"]) == (3, 0)
    assert status["successAssociationCount"] == 1
    assert (stored.summary, stored.xid, stored.fields["fileText"]) == (text, text, text)
    assert (stored.attributes[0].value, stored.attributes[0].source) == (text, text)
    assert stored.tags == ([text] if len(text) <= 128 else [])
    assert stored.labels == [text]
    assert mutex.associated_groups == [stored.id]
    assert file.occurrences == [(text, text, None)]
    assert (shown["name"], shown["attributes"]["data"][0]["value"]) == (text, text)


@pytest.mark.parametrize("text", [text for text in NASTY if len(text) < 1000])
async def test_xids_in_paths(call, text):
    """A file belongs to exactly its xid, whatever that looks like, and no path comes of it."""
    group = {"type": "Document", "name": "d", "xid": text, "fileName": text}
    await call.job({"group": [group]})
    text = as_stored(text)
    large = io.BytesIO(b"x" * 1_500_000)
    path = f"/v2/groups/documents/{quote(text, safe='')}/upload?owner=MyOrg"
    reply = await call("POST", path, data=large)
    names = [path.name for path in call.sandbox.instance.store.spool.directory.iterdir()]

    assert reply.status == 200
    assert list(call.sandbox.files) == [text]
    assert names == ["00000001"]


@pytest.mark.parametrize("text", NASTY)
async def test_text_in_tql(call, text):
    """A value in a query is a value: it finds what is equal, and nothing else."""
    await call.job({"group": [{"type": "Threat", "name": name, "xid": name} for name in NASTY]})
    text = as_stored(text)
    literal = text.replace("\\", "\\\\").replace('"', '\\"')
    data = {"tql": f'summary = "{literal}"'}
    reply = await call("GET", "/v3/groups", json={"data": data})

    assert [item["name"] for item in reply.json["data"]] == [text]


NUMBERS = [0, -1, 10**18, 10**30, -(10**30), 1e308, 1.5, "9" * 400, "1e400", True, None, [], {}]


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_anywhere(call, number):
    """Numbers of any size in any field are taken or refused, and never end the sandbox's work."""
    sent = {
        "type": "File",
        "md5": "a" * 32,
        "rating": number,
        "confidence": number,
        "size": number,
        "associatedGroup": number,
    }
    link = {"id_1": number, "id_2": number, "ref_1": number, "type_1": number}
    job_id, status = await call.job({"indicator": [sent], "association": [link]})

    assert status["status"] == "Completed"
    assert "0x1004" not in [error["code"] for error in await call.results(job_id)]
    assert (await call.job({"group": []}))[1]["status"] == "Completed"


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
keys = st.sampled_from(
    [
        "type", "name", "xid", "summary", "tag", "attribute", "securityLabel", "value",
        "associatedGroups", "associatedGroupXid", "associatedIndicators", "groupXid", "rating",
        "confidence", "fileOccurrence", "fileAction", "children", "md5", "sha1", "ref_1", "ref_2",
        "type_1", "type_2", "id_1", "id_2", "associationType", "status", "displayed", "color",
    ]
)  # fmt: skip
words = st.sampled_from(["Host", "File", "Incident", "Document", "a.example", "x", "a" * 32])
anything = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=12,
)
anything_like_a_document = st.dictionaries(
    st.sampled_from(["group", "indicator", "association", "file"]),
    st.lists(st.dictionaries(keys, anything, max_size=6) | anything, max_size=4) | anything,
)


@pytest.fixture(scope="module")
def engine():
    """One engine for all examples."""
    made = Engine()
    yield made
    made.store.close()


@given(document=anything_like_a_document, halt=st.booleans(), delete=st.booleans())
def test_any_json_is_a_document(engine, document, halt, delete):
    """No JSON makes the engine fail: it refuses entities, or gives up and says where."""
    action = "Delete" if delete else "Create"
    config = {"owner": "MyOrg", "version": "V2", "action": action, "haltOnError": halt}

    counts = engine.run(document, config, 2)

    assert counts.success >= 0
    assert counts.critical <= 1


@given(body=(st.binary(max_size=40) | st.text(max_size=40).map(str.encode)))
def test_any_bytes_are_a_document(body):
    """No bytes make the reader fail in any other way than the documented one."""
    with pytest.raises(DocumentError) as caught:
        document = Document(b'{"group":[' + body + b"\x00")
        while document.read(5) is not None:
            pass

    assert caught.value.path.startswith("$")
    assert count(body, 5) <= 5


async def test_forms_that_are_none(call):
    """A createAndUpload without what it needs is 400 and makes no job."""
    path = "/v2/batch/createAndUpload"
    config = json.dumps(configuration())
    replies = [
        await call("POST", path, data=b"x"),
        await call("POST", path, data=b"x", skip_auto_headers=["Content-Type"]),
    ]
    headers = {**call.headers, "Content-Type": "multipart/form-data; boundary=b"}
    bodies = (
        b"",
        b"--b",
        b"--b\r\n\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="config"\r\n\r\n{}\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="content"\r\n\r\n{}\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: form-data; name="config"\r\n\r\n{"owner":',
        b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--",
    )
    replies += [await call("POST", path, data=body, headers=headers) for body in bodies]
    for first, second in (("config", "config"), ("content", "content")):
        form = aiohttp.FormData()
        form.add_field(first, config, filename="f")
        form.add_field(second, config, filename="f")
        replies.append(await call("POST", path, data=form))

    assert [reply.status for reply in replies] == [400] * len(replies)
    assert call.sandbox.jobs == []


async def test_a_form_that_is_too_large(call):
    """The limit holds for the parts of a form as well, and nothing stays behind."""
    call.sandbox.configure(upload_limit=2_000_000)
    form = aiohttp.FormData()
    form.add_field("config", json.dumps(configuration()), filename="config")
    form.add_field("content", io.BytesIO(b"y" * 2_000_001), filename="content")
    reply = await call("POST", "/v2/batch/createAndUpload", data=form)

    assert reply.status == 400
    assert reply.json["description"].endswith("2000000")
    assert list(call.sandbox.instance.store.spool.directory.iterdir()) == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02",
        b"GET\r\n\r\n",
        b"GET /api/v2/owners HTTP/9.9\r\n\r\n",
        b"GET /api/v2/owners HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /api/v2/owners HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /api/v2/batch HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT elsewhere.example:443 HTTP/1.1\r\n\r\n",
        b"GET /api/v2/batch/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_requests_that_are_none(call, request_bytes):
    """What is no request gets a 4xx or is cut off, and the next request is answered."""
    host, port = call.sandbox.api_url.split("/")[2].split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request_bytes)
        await stream.send_eof()
        answer = b""
        try:
            while True:
                answer += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    assert answer == b"" or answer.split(b" ")[1][:1] == b"4"
    assert (await call("GET", "/v2/owners")).status == 200


async def test_an_upload_that_stops(call):
    """A client that goes away in the middle of its upload leaves a job that waits for data."""
    created = await call("POST", "/v2/batch", json=configuration())
    path = f"/api/v2/batch/{created.json['data']['batchId']}"
    host, port = call.sandbox.api_url.split("/")[2].split(":")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Authorization: TC-Token {call.sandbox.token}\r\n\r\n"
    )
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(head.encode() + b" " * 2_000_000)
    reply = await call("POST", path.removeprefix("/api"), data=b'{"group":[]}')
    await call.sandbox.idle()

    assert reply.status == 202
    assert len(call.sandbox.jobs[0].body) == 12


async def test_who_goes_before_the_rest_is_read_leaves_nothing():
    """A client that goes when it is refused, in the middle of what it sends, holds nothing up."""
    async with calling(Sandbox()) as call:
        host, port = call.sandbox.api_url.split("/")[2].split(":")
        head = (
            "POST /api/v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
            f"Authorization: TC-Token {call.sandbox.token}\r\n\r\n"
        )
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(head.encode() + b" " * 2_000_000)
            answer = await stream.receive()
        await call("GET", "/v2/owners")

    assert answer.startswith(b"HTTP/1.1 400")
    assert await tasks_left() == []


async def test_memory_does_not_grow_with_jobs():
    """Jobs that are done are not held: neither their documents nor what is known of them."""
    async with calling(Sandbox(keep_bodies=1)) as call:
        worker = call.sandbox.instance.worker
        for number in range(1005):
            worker.remember(await worker_job(call, number))
        remembered = sum(worker.recall(number + 1) is not None for number in range(1005))

    assert remembered <= 1001


async def worker_job(call, number):
    """Create and complete a job without the network."""
    from aiotcbatch.sandbox.store import jobs  # noqa: PLC0415  (only here)

    job = await call.sandbox.instance.store.database.run(jobs.create, "MyOrg", {}, float(number))
    job.state = jobs.State.COMPLETED
    return job

"""Misbehaving on purpose: each fault, and when it happens."""

from __future__ import annotations

import json

import aiohttp
import anyio.lowlevel
import pytest

from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox import (
    FailedJob,
    Faults,
    Latency,
    ManualClock,
    PoisonedJob,
    Reset,
    Rule,
    Sandbox,
    SlowDrip,
    State,
    Status,
    StuckJob,
    Truncated,
    WrongContentType,
    WrongShape,
    bad_gateway,
    faults,
    forbidden,
    internal_error,
    rate_limited,
    storage_full,
    unauthorized,
    unavailable,
)
from aiotcbatch.sandbox.face.app import endpoints
from tests.sandbox.conftest import calling, configuration

GOOD = {"indicator": [{"type": "Host", "summary": "a.example"}]}


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "retry_after"),
    [
        (unauthorized(), 401, "application/json", None),
        (forbidden(), 403, "application/json", None),
        (rate_limited(7), 429, "application/json", "7"),
        (rate_limited("Wed, 21 Oct 2026 07:28:00 GMT"), 429, "application/json", None),
        (rate_limited(None), 429, "application/json", None),
        (internal_error(), 500, "application/json", None),
        (bad_gateway(), 502, "text/html", None),
        (unavailable(3), 503, "text/plain", "3"),
        (storage_full(), 400, "application/json", None),
        (Status(418, b"tea", read_body=False), 418, "application/json", None),
    ],
)
async def test_other_answers(call, fault, status, content_type, retry_after):
    """A status fault answers in the endpoint's place and carries nothing out."""
    rule = call.sandbox.faults.add("create", fault, times=1)
    reply = await call("POST", "/v2/batch", json=configuration())
    then = await call("POST", "/v2/batch", json=configuration())

    assert reply.status == status
    assert reply.headers["Content-Type"] == content_type
    if retry_after is not None:
        assert reply.headers["Retry-After"] == retry_after
    assert then.status == 201
    assert (rule.hits, len(call.sandbox.jobs)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/owners", {"status": "Failure", "message": 'no "more"'}),
        ("/v3/groups", {"status": "Error", "message": 'no "more"', "errCode": "0x1001"}),
    ],
)
async def test_other_answers_speak_as_what_was_asked(call, path, body):
    """What a fault says comes in the form of v2 or of v3, quoted as JSON wants it."""
    call.sandbox.faults.add("*", forbidden('no "more"'), times=1)

    reply = await call("GET", path)

    assert (reply.status, json.loads(reply.body)) == (403, body)


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (Reset(), 0),
        (Reset(after_bytes=5), 0),
        (Reset(after_bytes=10**6), 0),
        (Reset(after_done=True), 1),
        (Truncated(), 1),
        (Truncated(keep=0), 1),
    ],
)
async def test_broken_connections(call, fault, made):
    """A reset comes before the request was read or after it was done; a truncation always after."""
    call.sandbox.faults.add("create", fault, times=1)
    with pytest.raises(aiohttp.ClientError):
        await call("POST", "/v2/batch", json=configuration())

    assert len(call.sandbox.jobs) == made
    assert (await call("POST", "/v2/batch", json=configuration())).status == 201


async def test_answers_that_mislead(call):
    """An answer can have another content type, or another shape."""
    call.sandbox.faults.add("owners", WrongContentType("text/html"), times=1)
    call.sandbox.faults.add("owners", WrongShape(b'"?"'), times=1)
    wrong_type = await call("GET", "/v2/owners")
    wrong_shape = await call("GET", "/v2/owners")

    assert wrong_type.headers["Content-Type"] == "text/html"
    assert wrong_type.json["status"] == "Success"
    assert wrong_shape.json == "?"


async def test_slow_answers():
    """Latency and drip take their time on the sandbox's clock, and the answer is whole."""
    clock = ManualClock(auto=True)
    async with calling(Sandbox(clock=clock, latency=1)) as call:
        usual = await call("GET", "/v2/owners")
        first = clock.time()
        call.sandbox.faults.add("owners", Latency(5), times=1)
        call.sandbox.faults.add("owners", SlowDrip(piece=10, pause=2), times=1)
        await call("GET", "/v2/owners")
        second = clock.time()
        dripped = await call("GET", "/v2/owners")
        third = clock.time()

    assert second - first == 6
    assert third - second == 1 + 2 * -(-len(usual.body) // 10)
    assert dripped.body == usual.body


async def test_a_stuck_job(call):
    """A stuck job runs until it is released; jobs behind it are done."""
    call.sandbox.faults.add("job", StuckJob(), times=1)
    stuck, status = await call.job(GOOD)
    _, other = await call.job(GOOD)

    assert (status["status"], other["status"]) == ("Running", "Completed")
    assert (await call("GET", f"/v2/batch/{stuck}/errors")).json["description"] == (
        "Batch still in Running state"
    )
    assert call.sandbox.release_jobs() == 1
    await call.sandbox.idle()
    assert (await call("GET", f"/v2/batch/{stuck}")).batch["successCount"] == 1


async def test_a_job_can_be_released_as_soon_as_it_is_seen_to_run(call):
    """Even where it has not been put aside yet."""
    call.sandbox.faults.add("job", StuckJob(), times=1)
    reply = await call("POST", "/v2/batch", json=configuration())
    job_id = reply.json["data"]["batchId"]
    await call("POST", f"/v2/batch/{job_id}", data=json.dumps(GOOD).encode())
    while call.sandbox.jobs[0].state is State.QUEUED:
        await anyio.lowlevel.checkpoint()

    assert call.sandbox.release_jobs() == 1
    await call.sandbox.idle()
    assert (await call("GET", f"/v2/batch/{job_id}")).batch["successCount"] == 1


async def test_a_stuck_job_is_not_answered_at_once(call):
    """There is no result to answer with, so its client gets a number to ask by."""
    call.sandbox.faults.add("job", StuckJob(), times=1)
    reply = await call.inline(GOOD)
    job_id = reply.batch["id"]

    assert (reply.status, reply.batch) == (202, {"id": job_id, "status": "Queued"})
    assert (await call("GET", f"/v2/batch/{job_id}")).batch["status"] == "Running"
    assert not call.sandbox.jobs[0].inline
    assert call.sandbox.release_jobs() == 1
    await call.sandbox.idle()
    assert (await call("GET", f"/v2/batch/{job_id}")).batch["successCount"] == 1


@pytest.mark.parametrize(
    ("body", "fails"),
    [
        (b"junk", False),
        (b"\xff", False),
        (b"null", False),
        (b"[5]", False),
        (b"[" * 5000, False),
        (b'{"group": 5, "indicator": [5, {"xid": ["bad"]}]}', False),
        (b'[{"type": "Host", "summary": "a.example", "xid": "good"}]', False),
        (b'[{"type": "Host", "summary": "a.example", "xid": "bad"}]', True),
        (b'[{"group": [{"xid": "bad"}]}]', True),
        (b'{"group": [5], "indicator": [{"xid": "bad"}]}', True),
    ],
)
async def test_a_poisoned_job_may_have_any_document(call, body, fails):
    """What is no document at all is told of as without the fault, and the next job is done."""
    call.sandbox.faults.add("job", PoisonedJob("bad"))
    job_id, _ = await call.job(body)
    _, other = await call.job(GOOD)
    errors = await call.results(job_id)

    assert any("'bad'" in error["errorMessage"] for error in errors) == fails
    assert other["successCount"] == 1


async def test_a_failed_job(call):
    """A failed job completes with an error about the whole document and stores nothing."""
    call.sandbox.faults.add("job", FailedJob(code="0x1002", reason="no"), times=1)
    job_id, status = await call.job(GOOD)

    (error,) = await call.results(job_id)

    assert (status["status"], status["successCount"], status["errorCount"]) == ("Completed", 0, 1)
    assert (error["code"], error["errorReason"], error["errorMessage"]) == ("0x1002", "no", "no")
    assert call.sandbox.entities() == []
    assert call.sandbox.jobs[0].state is State.COMPLETED


def test_when_a_rule_strikes():
    """A rule lets some requests pass, strikes so many times, and only its endpoints."""
    made = Faults()
    rule = made.add("file_*", Latency(1), after=1, times=2)
    asked = ["file_upload", "status", "file_upload", "file_download", "file_upload"]

    struck = [made.of_request(endpoint) is not None for endpoint in asked]

    assert struck == [False, False, True, True, False]
    assert rule.hits == 2


def test_the_first_rule_that_strikes():
    """Rules are asked in their order."""
    made = Faults()
    made.add("status", Latency(1), times=1)
    made.add("*", Latency(2))

    assert [made.of_request("status") for _ in range(2)] == [Latency(1), Latency(2)]


def test_chance_can_be_seeded():
    """The same seed gives the same faults, and a new beginning after a clear."""

    def struck(made):
        made.clear()
        made.add("*", Latency(1), probability=0.5)
        return [made.of_request("status") is not None for _ in range(50)]

    one, other = Faults(seed=7), Faults(seed=7)

    assert struck(one) == struck(other) == struck(one)
    assert 10 < sum(struck(one)) < 40


@pytest.mark.parametrize(
    ("endpoint", "fault", "probability"),
    [
        ("job", Latency(1), 1),
        ("*", StuckJob(), 1),
        ("*", Latency(1), 2),
        ("*", Latency(1), -1),
        ("uplaod", Latency(1), 1),
        ("batch*", Latency(1), 1),
    ],
)
def test_rules_that_are_none(endpoint, fault, probability):
    """A rule that cannot be is refused when it is made."""
    with pytest.raises(ConfigurationError):
        Faults().add(endpoint, fault, probability=probability)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("status=latency:0.5", Rule("status", Latency(0.5))),
        ("*=reset", Rule("*", Reset())),
        ("upload=reset:100,times=1", Rule("upload", Reset(after_bytes=100), times=1)),
        ("upload=lost,after=2", Rule("upload", Reset(after_done=True), after=2)),
        ("create=429:3,p=0.1", Rule("create", rate_limited("3"), probability=0.1)),
        ("create=503", Rule("create", unavailable())),
        ("create=401", Rule("create", unauthorized())),
        ("create=403", Rule("create", forbidden())),
        ("create=500", Rule("create", internal_error())),
        ("create=502", Rule("create", bad_gateway())),
        ("errors=truncated:0.1", Rule("errors", Truncated(0.1))),
        ("errors=drip:1", Rule("errors", SlowDrip(pause=1))),
        ("errors=type:text/plain", Rule("errors", WrongContentType("text/plain"))),
        ("errors=drip,after=1", Rule("errors", SlowDrip(), after=1)),
        ("errors=truncated:0", Rule("errors", Truncated(0))),
        ("errors=truncated:1", Rule("errors", Truncated(1))),
        ("create=429", Rule("create", rate_limited("1"))),
        ("create=503:0.5,times=1", Rule("create", unavailable("0.5"), times=1)),
        ("create=503,p=0", Rule("create", unavailable(), probability=0)),
        ('errors=shape:{"a":1}', Rule("errors", WrongShape(b'{"a":1}'))),
        ('errors=shape:{"a":1,"b":2}', Rule("errors", WrongShape(b'{"a":1,"b":2}'))),
        (
            'errors=shape:["x,times=9"],times=2,p=1',
            Rule("errors", WrongShape(b'["x,times=9"]'), times=2),
        ),
        ("errors=shape,times=2", Rule("errors", WrongShape(), times=2)),
        ("errors=shape:,times=2", Rule("errors", WrongShape(), times=2)),
        ("job=poisoned:x,times=1", Rule("job", PoisonedJob(frozenset({"x"})), times=1)),
        ("file_upload=full", Rule("file_upload", storage_full())),
        ("job=stuck,times=1", Rule("job", StuckJob(), times=1)),
        ("job=failed:no", Rule("job", FailedJob(reason="no"))),
    ],
)
def test_rules_as_text(text, rule):
    """Every fault can be written in a line."""
    assert faults.parse(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "status",
        "=500",
        "status=unknown",
        "status=latency",
        "status=500,x=1",
        "job=500",
        "status=stuck",
        "status=500,times=x",
        "status=500,p=2",
    ],
)
def test_text_that_is_no_rule(text):
    """What is no rule is refused, and the error shows the form."""
    with pytest.raises(ConfigurationError):
        faults.parse(text)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("owners=latency", ("seconds", "")),
        ("owners=latency:-1", ("seconds", "-1")),
        ("owners=latency:nan", ("seconds", "nan")),
        ("owners=latency:inf", ("seconds", "inf")),
        ("owners=500,times=0", ("times", "0")),
        ("owners=500,times=-1", ("times", "-1")),
        ("owners=500,times=", ("times", "")),
        ("owners=500,times=1.5", ("times", "1.5")),
        ("owners=500,after=-1", ("after", "-1")),
        ("owners=500,p=nan", ("p", "nan")),
        ("owners=500,p=2", ("p", "2")),
        ("owners=500,p=x", ("p", "x")),
        ("owners=latency:1,", ("option", "")),
        ("owners=500,time=1", ("option", "time=1")),
        ("owners=500,", ("option", "")),
        ("owners=500,times=1,times=2", ("option", "times=2")),
        ("owners=500:1", ("value", "1")),
        ("owners=503:abc", ("seconds of Retry-After", "abc")),
        ("owners=429:-1", ("seconds of Retry-After", "-1")),
        ("owners=truncated:2", ("part", "2")),
        ("owners=truncated:-1", ("part", "-1")),
        ("owners=truncated:nan", ("part", "nan")),
        ("owners=drip:-1", ("pause", "-1")),
        ("owners=reset:-1", ("bytes", "-1")),
        ("owners=reset:1.5", ("bytes", "1.5")),
        ("owners=type:text/html\r\nX: y", ("content type", "text/html\r\nX: y")),
        ("owners=shape:{bad", ("JSON", "{bad")),
        ("owners=shape:NaN", ("JSON", "NaN")),
        ('owners=shape:{"a":1}x', ("JSON", '{"a":1}x')),
        ('owners=shape:{"a":1},time=2', ("option", "time=2")),
        ("file_upload=full:3", ("value", "3")),
        ("owners=lost:x", ("value", "x")),
        ("job=stuck:1", ("value", "1")),
        ("job=poisoned", ("xid", "")),
        ("job=poisoned:", ("xid", "")),
        ("uplaod=500", ("endpoint", "uplaod")),
    ],
)
def test_what_is_wrong_in_a_rule_is_named(text, wrong):
    """A value that cannot be right is refused before the sandbox runs, with the whole rule."""
    with pytest.raises(ConfigurationError) as caught:
        faults.parse(text)

    error = caught.value
    assert (error.field, error.value) == wrong
    assert error.message.startswith(f"fault {text!r}: {wrong[0]} is ")


def test_an_unknown_fault_is_told_which_there_are():
    """The error for a name that is no fault lists those that are."""
    with pytest.raises(ConfigurationError, match=r"where FAULT is one of latency, reset, lost,"):
        faults.parse("status=unknown")


async def test_rules_know_every_endpoint(call):
    """Each endpoint of the API can have a rule, and each rule an endpoint."""
    known = {endpoint.name for endpoint in endpoints(call.sandbox.instance)}

    assert known | {"job"} == set(faults.ENDPOINTS)


async def test_faults_come_before_access(call):
    """A fault strikes whoever asks."""
    call.sandbox.faults.add("owners", bad_gateway())

    assert (await call("GET", "/v2/owners", headers={})).status == 502


async def test_a_reset_in_the_middle_of_an_upload(call):
    """An upload that breaks off leaves the job without data, ready to get it again."""
    created = await call("POST", "/v2/batch", json=configuration())
    path = f"/v2/batch/{created.json['data']['batchId']}"
    call.sandbox.faults.add("upload", Reset(after_bytes=20), times=1)
    with pytest.raises(aiohttp.ClientError):
        await call("POST", path, data=json.dumps(GOOD))
    state = call.sandbox.jobs[0].state
    again = await call("POST", path, data=json.dumps(GOOD))
    await call.sandbox.idle()

    assert state is State.CREATED
    assert again.status == 202
    assert call.sandbox.jobs[0].counts.success == 1


@pytest.mark.parametrize(("path", "form"), [("/v2/owners", "Failure"), ("/v3/groups", "Error")])
async def test_a_defect_answers_in_the_form_of_the_api(call, path, form, caplog):
    """What breaks inside is a 500 that clients can read, and stands in the log."""

    class Broken:
        async def apply(self, request, answer, clock):
            raise RuntimeError("broken on purpose")

    call.sandbox.faults.add("*", Broken(), times=1)
    reply = await call("GET", path)

    assert reply.status == 500
    assert (reply.json["status"], reply.json["message"]) == (form, "An unknown error occurred")
    assert "broken on purpose" in caplog.text

"""How a sandbox begins, ends, goes on after a restart, and comes back to what it was."""

from __future__ import annotations

import asyncio
import gc
import http.client
import io
import json
import sqlite3

import anyio
import pytest
from aiohttp import web

from aiotcbatch.errors import ClosedError, ConfigurationError
from aiotcbatch.sandbox import (
    Latency,
    ManualClock,
    Owner,
    Sandbox,
    SandboxThread,
    Settings,
    State,
    User,
)
from aiotcbatch.sandbox.engine.create import Creator
from aiotcbatch.sandbox.store.entities import Plan
from tests.sandbox.conftest import calling, configuration


def hosts(number):
    """Return a document with so many indicators, and a group that comes last."""
    return {
        "indicator": [
            {
                "type": "Host",
                "summary": f"h{n}.example",
                "associatedGroups": [{"groupXid": "g"}],
                "attribute": [{"type": "Source", "value": "s"}],
            }
            for n in range(number)
        ],
        "group": [{"type": "Threat", "name": "g", "xid": "g"}],
    }


async def test_entered_in_one_task_and_left_in_another():
    """Fixtures enter and leave in different tasks; nothing of the sandbox minds."""
    sandbox = Sandbox()
    await asyncio.create_task(sandbox.__aenter__())
    url = sandbox.api_url
    await asyncio.create_task(sandbox.aclose())
    await sandbox.aclose()

    with pytest.raises(OSError, match="failed"):
        await anyio.connect_tcp("127.0.0.1", int(url.split(":")[2].split("/")[0]))
    with pytest.raises(ClosedError):
        await sandbox.__aenter__()


async def test_closing_in_the_middle(clock):
    """Closing while a job runs, and others wait, leaves nothing behind."""
    slow = ManualClock()
    async with calling(Sandbox(entities_per_second=1, clock=slow)) as call:
        for _ in range(3):
            created = await call("POST", "/v2/batch", json=configuration())
            path = f"/v2/batch/{created.json['data']['batchId']}"
            await call("POST", path, data=json.dumps(hosts(5)))
        states = [job.state for job in call.sandbox.jobs]

    assert State.COMPLETED not in states


async def test_a_port_that_is_taken():
    """A sandbox that cannot listen says so and leaves nothing open."""
    async with Sandbox() as first:
        port = int(first.api_url.rsplit(":", 1)[1].split("/")[0])
        with pytest.raises(OSError, match="address"):
            await Sandbox(port=port).__aenter__()


async def test_a_file_that_is_no_database(tmp_path):
    """A file of something else is refused and left as it is."""
    path = tmp_path / "x.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(ConfigurationError, match="db"):
        await Sandbox(db=path).__aenter__()
    other = sqlite3.connect(tmp_path / "y.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ConfigurationError, match="version"):
        await Sandbox(db=tmp_path / "y.db").__aenter__()

    assert path.read_bytes().startswith(b"something else")


async def test_a_file_survives(tmp_path):
    """Jobs, entities, errors and files, small and large, are there after a restart."""
    path = tmp_path / "tc.db"
    document = {"type": "Document", "name": "d", "xid": "d"}
    large = bytes(range(256)) * 8000
    async with calling(Sandbox(db=path, seed=3)) as call:
        job_id, before = await call.job({"group": [document, {**document, "xid": "e"}, {}]})
        await call("POST", "/v2/groups/documents/d/upload?owner=MyOrg", data=b"small")
        await call("POST", "/v2/groups/documents/e/upload?owner=MyOrg", data=io.BytesIO(large))
    async with calling(Sandbox(db=path, seed=3)) as call:
        after = (await call("GET", f"/v2/batch/{job_id}?includeAdditional=true")).batch
        errors = await call.results(job_id)
        again, _ = await call.job({"group": [{**document, "xid": "f"}]})
        ids = [entity.id for entity in call.sandbox.entities()]
        contents = {xid: file.content for xid, file in call.sandbox.files.items()}
        documents = [job.document for job in call.sandbox.jobs]

    assert before == after
    assert len(errors) == 1
    assert again == job_id + 1
    assert ids == [1, 2, 3]
    assert contents == {"d": b"small", "e": large}
    assert documents[0]["group"][0] == document


async def test_leftovers_of_a_crash_go(tmp_path):
    """Spooled files that nothing points to are removed at the next start."""
    spool = tmp_path / "tc.db.files"
    spool.mkdir()
    (spool / "00000042").write_bytes(b"cut off")
    async with Sandbox(db=tmp_path / "tc.db"):
        left = list(spool.iterdir())

    assert left == []


@pytest.mark.parametrize("moved", [0, 1, 3, 7, 10, 11])
async def test_running_jobs_go_on_after_a_restart(tmp_path, moved):
    """A job that was cut off goes on where it was: nothing is done twice, no link is lost."""
    path = tmp_path / "tc.db"
    slow = ManualClock()
    async with calling(Sandbox(db=path, entities_per_second=1, clock=slow)) as call:
        created = await call("POST", "/v2/batch", json=configuration(attributeWriteType="Append"))
        job_id = created.json["data"]["batchId"]
        await call("POST", f"/v2/batch/{job_id}", data=json.dumps(hosts(10)))
        for _ in range(moved):
            await slow.sleeping()
            slow.advance(1)
        if moved < 11:
            await slow.sleeping()
    async with calling(Sandbox(db=path)) as call:
        await call.sandbox.idle()
        status = (await call("GET", f"/v2/batch/{job_id}")).batch
        stored = call.sandbox.entities(type="Host")

    assert (status["status"], status["successCount"], status["errorCount"]) == ("Completed", 11, 0)
    assert [len(one.attributes) for one in stored] == [1] * 10
    assert all(one.associated_groups for one in stored)


async def test_reset(call):
    """A reset leaves the sandbox as new: empty, first settings, first user, ids from 1."""
    sandbox = call.sandbox
    await call.job(hosts(3))
    sandbox.configure(latency=0.001)
    sandbox.faults.add("*", Latency(0))
    sandbox.add_user(User(access_id="2", secret_key="s", token="t"))
    await sandbox.reset()
    stranger = await call("GET", "/v2/owners", headers={"Authorization": "TC-Token t"})

    assert (sandbox.jobs, sandbox.entities(), len(sandbox.files)) == ([], [], 0)
    assert sandbox.settings == Settings()
    assert sandbox.faults.rules == []
    assert stranger.status == 401
    job_id, status = await call.job(hosts(2))
    assert (job_id, status["successCount"]) == (1, 3)
    assert [entity.id for entity in sandbox.entities()] == [1, 2, 3]


async def test_reset_while_a_job_runs():
    """The job in work is dropped as it is, and the next one is done."""
    clock = ManualClock()
    async with calling(Sandbox(entities_per_second=1, clock=clock)) as call:
        created = await call("POST", "/v2/batch", json=configuration())
        path = f"/v2/batch/{created.json['data']['batchId']}"
        await call("POST", path, data=json.dumps(hosts(5)))
        await clock.sleeping()
        await call.sandbox.reset()
        call.sandbox.configure(entities_per_second=None)
        await call.job(hosts(1))
        stored = call.sandbox.entities()

    assert len(stored) == 2


async def test_reset_as_soon_as_a_job_has_its_data(call):
    """Nothing is in work yet and nothing waits any more, and the next job is done."""
    reply = await call("POST", "/v2/batch", json=configuration())
    call.sandbox.instance.worker.enqueue(reply.json["data"]["batchId"])
    await call.sandbox.reset()
    _, status = await call.job(hosts(1))

    assert status["successCount"] == 2


async def test_snapshots(call):
    """A snapshot can be restored again and again, files and numbers included."""
    sandbox = call.sandbox
    large = b"x" * 2_000_000
    path = "/v2/groups/documents/d/upload?owner=MyOrg"
    await call.job({"group": [{"type": "Document", "name": "d", "xid": "d"}]})
    await call("POST", path, data=io.BytesIO(large))
    snapshot = await sandbox.snapshot()
    for _ in range(2):
        await call("PUT", path, data=b"small")
        await call.job(hosts(2))
        await call.job({"group": [{"xid": "d"}]}, action="Delete")
        await sandbox.restore(snapshot)

        assert sandbox.files["d"].content == large
        assert [entity.id for entity in sandbox.entities()] == [1]
        assert len(sandbox.jobs) == 1
    await snapshot.aclose()
    await snapshot.aclose()
    with pytest.raises(ClosedError):
        await sandbox.restore(snapshot)


async def test_a_snapshot_of_waiting_jobs(call):
    """Jobs that waited when the snapshot was taken are done after it was restored."""
    call.sandbox.configure(entities_per_second=0.0001)
    created = await call("POST", "/v2/batch", json=configuration())
    await call("POST", f"/v2/batch/{created.json['data']['batchId']}", data=json.dumps(hosts(3)))
    snapshot = await call.sandbox.snapshot()
    await call.sandbox.reset()
    await call.sandbox.restore(snapshot)
    await call.sandbox.idle()

    assert call.sandbox.jobs[0].counts.success == 4


def test_in_a_thread():
    """Programs that are not asynchronous can have a sandbox beside them."""
    with Sandbox([Owner(name="A", type="Source")], seed=1).in_thread() as sandbox:
        address = sandbox.api_url.split("/")[2]
        connection = http.client.HTTPConnection(address)
        headers = {"Authorization": f"TC-Token {sandbox.token}"}
        connection.request("GET", "/api/v2/owners", headers=headers)
        owners = json.load(connection.getresponse())["data"]["owner"]
        connection.close()
        snapshot = sandbox.snapshot()
        sandbox.reset()
        sandbox.restore(snapshot)
        sandbox.idle()

        assert owners == [{"id": 1, "name": "A", "type": "Source"}]
        assert (sandbox.jobs, sandbox.entities(), dict(sandbox.files)) == ([], [], {})
        assert sandbox.environment["TC_API_PATH"] == sandbox.api_url


def test_a_thread_can_do_what_the_sandbox_can():
    """Whatever the sandbox has for its users is there in a thread, too."""
    own = {name for name in dir(Sandbox) if not name.startswith("_")}

    assert own - set(dir(SandboxThread)) == {"aclose", "in_thread", "instance"}


def test_stuck_jobs_and_tokens_in_a_thread():
    """Stuck jobs can be let go and tokens made to expire from outside of the thread."""
    with Sandbox(["MyOrg"]).in_thread() as sandbox:
        assert sandbox.expire_token(sandbox.token)
        assert not sandbox.expire_token(sandbox.token)
        assert sandbox.release_jobs() == 0
        assert sandbox.settings == Settings()


def test_a_thread_ends_with_its_error():
    """A sandbox that cannot start in its thread raises where it was asked for."""
    with (
        pytest.raises(ConfigurationError, match=r"host is '256\.1\.1\.1'"),
        Sandbox(host="256.1.1.1").in_thread(),
    ):
        pass


@pytest.mark.parametrize("record", [None, "tc.recording"])
async def test_a_sandbox_that_cannot_listen_says_why(tmp_path, record):
    """The error is that of the host or the port, also where it records."""
    path = record and tmp_path / record
    with pytest.raises(ConfigurationError, match=r"host is 'nowhere\.example'"):
        await Sandbox(host="nowhere.example", record=path).__aenter__()
    async with Sandbox() as sandbox:
        port = int(sandbox.api_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="in use"):
            await Sandbox(port=port, record=path).__aenter__()


async def test_a_sandbox_is_used_inside_its_block():
    """Before and after it says so, but for its address, which it has had since it began."""
    sandbox = Sandbox()
    uses = [lambda: sandbox.jobs, lambda: sandbox.files, sandbox.entities]
    for use in (*uses, lambda: sandbox.api_url, lambda: sandbox.environment):
        with pytest.raises(ClosedError, match="inside its block"):
            use()
    await sandbox.aclose()  # which is harmless
    async with sandbox:
        url = sandbox.api_url
    for use in uses:
        with pytest.raises(ClosedError, match="inside its block"):
            use()
    for wait in (sandbox.reset, sandbox.snapshot):
        with pytest.raises(ClosedError, match="inside its block"):
            await wait()

    assert sandbox.api_url == url
    assert Sandbox(port=8080).api_url == "http://127.0.0.1:8080/api"


def test_a_thread_is_used_inside_its_block():
    """What it is told outside is refused; inside it is the sandbox."""
    thread = Sandbox().in_thread()
    with pytest.raises(ClosedError, match="inside its block"):
        thread.idle()
    with thread:
        assert repr(thread).startswith("<SandboxThread <Sandbox http://127.0.0.1:")
        assert thread.auth.access_id == thread.access_id
        thread.add_user(User(access_id="2", secret_key="k", token="theirs"))
        assert thread.expire_token("theirs")
    for use in (thread.idle, thread.reset, lambda: thread.jobs):
        with pytest.raises(ClosedError, match="inside its block"):
            use()


async def test_a_snapshot_says_whether_it_can_be_restored():
    """It can until it is closed."""
    async with Sandbox() as sandbox:
        snapshot = await sandbox.snapshot()
        assert repr(snapshot) == "<Snapshot open>"
        await snapshot.aclose()
        assert repr(snapshot) == "<Snapshot closed>"


async def test_a_clock_is_put_to_a_time():
    """Backwards too, and forwards it wakes whoever waits for that."""
    clock = ManualClock(100)
    clock.set(50)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clock.sleep, 10)
        await clock.sleeping()
        assert (clock.time(), clock.sleepers) == (50, 1)
        clock.set(60)

    assert clock.sleepers == 0


async def test_what_is_served_beside_the_api_answers_for_itself():
    """Its refusals are not put into the form of the API, and what it raises is a plain 500."""

    async def refuse(_):
        raise web.HTTPGone(text="it was here")

    async def fail(_):
        raise LookupError

    routes = [web.get("/mine/gone", refuse), web.get("/mine/broken", fail)]
    async with calling(Sandbox(routes=routes)) as call:
        url = call.sandbox.api_url.removesuffix("/api")
        gone = await call.session.get(f"{url}/mine/gone")
        broken = await call.session.get(f"{url}/mine/broken")

        assert (gone.status, await gone.text()) == (410, "it was here")
        assert (broken.status, "errCode" in await broken.text()) == (500, False)


def test_seeds():
    """The same seed makes the same credentials, another or none makes others."""
    made = [Sandbox(seed=seed) for seed in (1, 1, 2, None, None)]
    secrets = [(one.access_id, one.secret_key, one.token) for one in made]

    assert secrets[0] == secrets[1]
    assert len(set(secrets)) == 4


@pytest.mark.parametrize(
    "limits",
    [{"unknown": 1}, {"latency": -1}, {"entities_per_second": 0}, {"chunk": 0}, {"latency": "x"}],
)
def test_settings_that_cannot_be(limits):
    """A setting that is unknown or out of range is refused at once, and named."""
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        Sandbox(**limits)


async def test_a_database_needs_its_directory(tmp_path):
    """A file whose directory does not exist is named with what is wrong."""
    with pytest.raises(ConfigurationError, match="directory that exists"):
        await Sandbox(db=tmp_path / "nowhere" / "tc.db").__aenter__()


@pytest.mark.parametrize("owners", ["MyOrg", [], ["A", "A"], ["A", Owner(name="A", type="Source")]])
def test_owners_that_cannot_be(owners):
    """One name alone is no list of them, and each owner has a name of its own."""
    with pytest.raises(ConfigurationError, match="owners"):
        Sandbox(owners)


@pytest.mark.parametrize(
    "given", [{"port": 65_536}, {"port": "8080"}, {"indicator_types": ["Mine"]}]
)
def test_arguments_that_cannot_be(given):
    """They are named at once, not by what fails when it starts."""
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        Sandbox(**given)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Owner(name=""),
        lambda: Owner(name="A", type="Club"),
        lambda: User(access_id="1", secret_key="s", role="King"),
    ],
)
def test_values_that_cannot_be(make):
    """Owners and users are checked when they are made."""
    with pytest.raises(ConfigurationError):
        make()


async def test_a_fault_of_the_engine(call, monkeypatch, caplog):
    """A bug of the sandbox fails its job with 0x1004, and the next job finds all in order."""
    document = {"group": [{"type": "Threat", "name": "n", "xid": "x", "tag": [{"name": "new"}]}]}
    with monkeypatch.context() as broken:
        broken.setattr(Plan, "carry_out", lambda _: 1 / 0)
        job_id, failed = await call.job(document)
    errors = await call.results(job_id)
    _, status = await call.job(document)

    assert (failed["status"], failed["errorCount"]) == ("Completed", 1)
    assert errors[0]["code"] == "0x1004"
    assert "failed inside the sandbox" in caplog.text
    assert status["successCount"] == 1
    assert call.sandbox.entities()[0].tags == ["new"]


@pytest.mark.parametrize("collects", [True, False])
async def test_the_garbage_collector_rests_during_a_step(call, monkeypatch, collects):
    """A step of a job works without the garbage collector, and leaves it as it was."""
    seen = []
    process = Creator.process

    def watched(*arguments):
        seen.append(gc.isenabled())
        process(*arguments)

    monkeypatch.setattr(Creator, "process", watched)
    if not collects:
        gc.disable()
    try:
        _, status = await call.job({"group": [{"type": "Threat", "name": "n", "xid": "x"}]})
        after = gc.isenabled()
    finally:
        gc.enable()

    assert status["successCount"] == 1
    assert seen == [False]
    assert after is collects

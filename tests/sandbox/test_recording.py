"""Recording what clients send and are answered, and sending it again."""

from __future__ import annotations

import io
import json

import aiohttp
import pytest

from aiotcbatch.client import Client
from aiotcbatch.errors import ConfigurationError
from aiotcbatch.sandbox import ManualClock, Replay, Reset, Sandbox
from tests.sandbox.conftest import calling, configuration

DOCUMENT = {
    "group": [{"type": "Document", "name": "d", "xid": "d", "tag": [{"name": "t"}]}, {}],
    "indicator": [{"type": "Host", "summary": f"h{n}.example"} for n in range(20)],
}


async def converse(call):
    """Have a conversation that shows ids, times, errors and large bodies."""
    await call.job(DOCUMENT)
    await call.inline(DOCUMENT)
    await call("GET", "/v2/batch/1/errors")
    path = "/v2/groups/documents/d/upload?owner=MyOrg"
    await call("POST", path, data=io.BytesIO(b"x" * 1_500_000))
    await call("POST", path, data=b"again")
    await call("GET", path.replace("upload", "download"))
    await call("GET", "/v3/groups?fields=tags&fields=attributes")
    await call("GET", "/v2/owners", headers={})


async def recorded(path, talk, **settings):
    """Record a conversation and return what is stored after it."""
    async with calling(Sandbox(seed=5, record=path, **settings)) as call:
        await talk(call)
        return call.sandbox.jobs, call.sandbox.entities()


async def replayed(path, prepare=None, **settings):
    """Replay a recording and return its exchanges and what is stored after it."""
    replay = Replay(path)
    async with Sandbox(seed=5, clock=replay, **settings) as sandbox:
        if prepare is not None:
            prepare(sandbox)
        exchanges = await replay.run(sandbox)
        return exchanges, sandbox.jobs, sandbox.entities()


async def test_a_replay_is_the_same_to_the_byte(tmp_path):
    """Every answer and everything that is stored, ids and times included, comes out the same."""
    path = tmp_path / "recording"
    jobs, entities = await recorded(path, converse)

    exchanges, jobs_again, entities_again = await replayed(path)

    assert all(exchange.same for exchange in exchanges)
    assert sum(len(exchange.replayed) for exchange in exchanges) > 1_500_000
    assert jobs == jobs_again
    assert entities == entities_again


async def test_slow_jobs_and_late_answers(tmp_path):
    """Waiting in the sandbox is replayed without waiting, and looks the same."""
    slow = {"latency": 0.01, "entities_per_second": 400}
    path = tmp_path / "recording"
    jobs, _ = await recorded(path, converse, **slow)

    exchanges, jobs_again, _ = await replayed(path, **slow)

    assert all(exchange.same for exchange in exchanges)
    assert jobs == jobs_again


async def test_states_on_the_way(tmp_path):
    """A status that was asked for while a job ran is the same in the replay."""
    clock = ManualClock()

    async def watch(call):
        created = await call("POST", "/v2/batch", json=configuration())
        job = f"/v2/batch/{created.json['data']['batchId']}"
        await call("POST", job, data=json.dumps(DOCUMENT))
        await clock.sleeping()
        states = []
        while not states or states[-1] != "Completed":
            states.append((await call("GET", job)).batch["status"])
            clock.advance(0.02)
        assert states[0] == "Running"

    path = tmp_path / "recording"
    await recorded(path, watch, clock=clock, entities_per_second=200)

    exchanges, *_ = await replayed(path, entities_per_second=200)

    assert all(exchange.same for exchange in exchanges)


async def test_the_library_can_be_recorded(tmp_path):
    """What this library's client sends, signed, is recorded and replayed like anyone's."""

    async def talk(call):
        async with Client(call.sandbox.api_url, call.sandbox.auth) as client:
            batch = client.batch("MyOrg", halt_on_error=False)
            batch.report("r", "r.pdf", file_content=b"content", xid="r-1")
            batch.host("bad.example.com", 5, 100).tag("APT")
            await batch.submit(halt_on_error=False)

    path = tmp_path / "recording"
    _, entities = await recorded(path, talk)

    exchanges, _, entities_again = await replayed(path)

    assert all(exchange.same for exchange in exchanges)
    assert entities == entities_again
    assert entities[0].file is not None


async def test_broken_connections(tmp_path):
    """A connection that the sandbox broke off is broken off again."""

    async def talk(call):
        with pytest.raises(aiohttp.ClientError):
            await call("POST", "/v2/batch", json=configuration())
        await call("POST", "/v2/batch", json=configuration())

    def prepare(sandbox):
        sandbox.faults.add("create", Reset(after_done=True), times=1)

    async def prepared(call):
        prepare(call.sandbox)
        await talk(call)

    path = tmp_path / "recording"
    jobs, _ = await recorded(path, prepared)

    exchanges, jobs_again, _ = await replayed(path, prepare)

    assert bytes(exchanges[0].recorded) == b""
    assert all(exchange.same for exchange in exchanges)
    assert jobs == jobs_again


async def test_a_difference_shows(tmp_path):
    """A sandbox that is made differently answers differently, and the exchanges say so."""
    path = tmp_path / "recording"

    async def ask(call):
        await call("GET", "/v2/types/indicatorTypes")
        await call("GET", "/v2/owners")

    await recorded(path, ask)
    replay = Replay(path)
    async with Sandbox(["Else!"], seed=5, clock=replay) as sandbox:
        exchanges = await replay.run(sandbox)

    assert not all(exchange.same for exchange in exchanges)


async def test_what_a_recording_looks_like(tmp_path):
    """Each line is JSON with a time that never goes back, and the bytes are all there."""
    path = tmp_path / "recording"
    await recorded(path, converse)
    with path.open("rb") as file:
        lines = [json.loads(line) for line in file]
    sent = "".join(line["bytes"] for line in lines if line["what"] == "sent")

    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert {line["what"] for line in lines} <= {
        "begun",
        "open",
        "sent",
        "end",
        "answered",
        "closed",
        "moment",
        "slept",
    }
    assert "POST /api/v2/batch HTTP/1.1" in sent
    assert "x" * 1_000_000 in sent.replace("\r\n", "")


@pytest.mark.parametrize("content", [b"", b"{}\n", b"nonsense", b"[]\n", b'{"at":[]}\n'])
def test_files_that_are_no_recording(tmp_path, content):
    """A file that is no recording is refused when it is opened."""
    path = tmp_path / "recording"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError):
        Replay(path)
    with pytest.raises(ConfigurationError):
        Replay(tmp_path / "missing")

"""TcEx 5, unchanged, lives its life against the sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiotcbatch.sandbox import Entity, SandboxThread

_APP = Path(__file__).with_name("tcex_app.py")


class App:
    """The process in which TcEx runs."""

    def __init__(self, sandbox: SandboxThread, folder: Path) -> None:
        paths = ("tc_log_path", "tc_temp_path", "tc_out_path", "tc_in_path")
        config = {
            "tc_api_path": sandbox.api_url,
            "tc_api_access_id": sandbox.access_id,
            "tc_api_secret_key": sandbox.secret_key,
            "tc_owner": "MyOrg",
            **dict.fromkeys(paths, str(folder)),
        }
        self.process = subprocess.Popen(  # noqa: S603 (our own interpreter)
            [sys.executable, str(_APP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        )
        self._say(json.dumps(config))

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def __call__(self, step: str) -> Any:
        """Let it do one step, and give what came of it."""
        self._say(step)
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """Let it end."""
        self.process.communicate(timeout=200)
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def instance() -> Iterator[SandboxThread]:
    """Run one sandbox for all tests of this module."""
    with Sandbox(owners=["MyOrg"]).in_thread() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def app(instance: SandboxThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Start TcEx once, which takes seconds."""
    app = App(instance, tmp_path_factory.mktemp("tcex"))
    yield app
    app.close()


@pytest.fixture
def leaves_no_socket() -> None:
    """Let connections be: TcEx keeps its own open from test to test."""


@pytest.fixture(params=[100, 0], ids=["inline", "queued"])
def sandbox(instance: SandboxThread, request: pytest.FixtureRequest) -> SandboxThread:
    """Give the sandbox empty, answering small jobs at once or queueing all of them."""
    instance.reset()
    instance.configure(synchronous_limit=request.param)
    return instance


def by_xid(sandbox: SandboxThread) -> dict[str, Entity]:
    """Give what is stored."""
    return {entity.xid or entity.summary: entity for entity in sandbox.entities()}


def test_all_interfaces(app: App, sandbox: SandboxThread) -> None:
    """Groups and indicators of all three interfaces arrive with all that hangs on them."""
    (status,) = app("interfaces")

    assert (status["status"], status["successCount"]) == ("Completed", 7)
    stored = by_xid(sandbox)
    assert sorted(stored) == ["g-1", "g-2", "g-3", "i-1", "i-2", "i-3", "i-4"]
    assert stored["g-1"].tags == ["Example Tag"]
    assert stored["i-1"].rating == 5.0


def test_again_is_success(app: App, sandbox: SandboxThread) -> None:
    """The same entities once more are updates, and nothing is there twice."""
    app("interfaces")
    (status,) = app("interfaces")

    assert (status["successCount"], status["errorCount"]) == (7, 0)
    assert len(sandbox.entities()) == 7


def test_one_chunk(app: App, sandbox: SandboxThread) -> None:
    """Its submit() takes one chunk through."""
    status = app("one_chunk")

    assert (status["status"], status["successCount"]) == ("Completed", 1)
    assert sandbox.jobs[0].inline == ("id" not in status)


def test_delete(app: App, sandbox: SandboxThread) -> None:
    """A delete job takes away what it names, and leaves the rest."""
    app("interfaces")
    (status,) = app("delete")

    assert (status["status"], status["successCount"]) == ("Completed", 2)
    assert sorted(by_xid(sandbox)) == ["g-1", "g-2", "i-2", "i-3", "i-4"]


_FILES = {
    "d-1": b"a text",
    "d-2": b"\x00\x01",
    "r-1": b"from r-1",
    "d-3": b"added",
    "d-4": b"four",
}


def test_files(app: App, sandbox: SandboxThread) -> None:
    """Contents arrive, and replace what is there when they are sent again."""
    app("files")
    app("files")

    assert {xid: file.content for xid, file in sandbox.files.items()} == _FILES


def test_files_step_by_step(app: App, sandbox: SandboxThread) -> None:
    """Its own result of an upload says the same as the sandbox has."""
    sandbox.configure(synchronous_limit=100)

    assert app("files_step_by_step") == [
        {"uploaded": True, "xid": "d-1"},
        {"uploaded": False, "xid": "r-2"},
    ]
    assert list(sandbox.files) == ["d-1"]


def test_errors(app: App, sandbox: SandboxThread) -> None:
    """What is refused is counted, and fetched when the job was queued; the rest is written."""
    (status,) = app("errors")

    assert (status["successCount"], status["errorCount"]) == (1, 2)
    assert list(by_xid(sandbox)) == ["good-1"]
    if not sandbox.jobs[0].inline:
        reasons = " ".join(error["errorReason"] for error in status["errors"])
        assert "incident-001" in reasons


def test_halt_on_error(app: App, sandbox: SandboxThread) -> None:
    """A job that halts leaves what comes after the error unprocessed."""
    (status,) = app("halt")

    assert (status["errorCount"], status["unprocessCount"]) == (1, 1)
    assert sandbox.entities() == []


def test_step_by_step(app: App, sandbox: SandboxThread) -> None:
    """Creating, uploading, polling and errors are understood one by one."""
    told = app("step_by_step")

    assert told["polled"]["data"]["batchStatus"]["successCount"] == 1
    assert told["errors"] == []
    assert list(by_xid(sandbox)) == ["a-1"]


def test_callback(app: App, sandbox: SandboxThread) -> None:
    """Its thread polls and hands over the status."""
    told = app("callback")

    assert (told["sent"], told["again"]) == (True, False)
    (status,) = told["seen"]
    assert (status["status"], status["successCount"]) == ("Completed", 1)


def test_associations(app: App, sandbox: SandboxThread) -> None:
    """Links within the document, by xid, by id and by both, are all made."""
    told = app("associations")

    assert [status["successCount"] for status in told["first"]] == [4]
    (links,) = told["second"]
    assert (links["successAssociationCount"], links.get("errorAssociationCount", 0)) == (3, 0)


def test_browse(app: App, sandbox: SandboxThread) -> None:
    """Listing and deleting over v3 work as TcEx does them."""
    assert app("browse") == {
        "before": ["adversary-001", "adversary-002"],
        "after": ["adversary-002"],
    }


def test_types(app: App, sandbox: SandboxThread) -> None:
    """The types of attributes are read."""
    assert "Description" in app("types")

"""The commands as processes: the demo to its end, and signals at every stage."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.command import environment

from aiotcbatch.sandbox import PoisonedJob, Sandbox, Status, forbidden, storage_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.command import Python

_AIOTCBATCH = ("-X", "dev", "-W", "error::ResourceWarning", "-m", "aiotcbatch.cli")


class _Process:
    """A command that is running, and what it has said so far."""

    def __init__(self, *arguments: str, stdin: int = subprocess.DEVNULL, **more: str) -> None:
        self.popen = subprocess.Popen(  # noqa: S603 (our own interpreter)
            [sys.executable, *_AIOTCBATCH, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(**more),
        )
        self.said = ""
        self._watchdog = threading.Timer(200, self.popen.kill)
        self._watchdog.start()

    def wait_for(self, text: str) -> str:
        """Read until a line has this text, and give that line."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.said += line
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}:\n{self.said}")

    def end(self, signum: int) -> int:
        """Send a signal, read the rest, and give the exit code."""
        self.popen.send_signal(signum)
        assert self.popen.stdout is not None
        self.said += self.popen.stdout.read()
        return self.popen.wait()

    def close(self) -> None:
        """End it, however it is."""
        self._watchdog.cancel()
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout is not None
        self.popen.stdout.close()


@contextmanager
def _running(*arguments: str, stdin: int = subprocess.DEVNULL, **more: str) -> Iterator[_Process]:
    process = _Process(*arguments, stdin=stdin, **more)
    try:
        yield process
    finally:
        process.close()


def _left_cleanly(process: _Process, temporary: Path) -> bool:
    bad = ("Traceback", "Warning", "never retrieved", "was destroyed", "never awaited")
    assert not [word for word in bad if word in process.said], process.said
    assert process.said.rstrip().endswith("Interrupted.")
    assert list(temporary.iterdir()) == []
    return True


def _exports(said: str) -> dict[str, str]:
    return {name: value.strip("'") for name, value in re.findall(r"export (TC_\w+)=(.*)", said)}


def test_the_demo_to_its_end(python: Python) -> None:
    """The demo finds everything that it sent, says so in figures, and exits with 0."""
    result = python(*_AIOTCBATCH, "demo")

    assert result.returncode == 0, result.stderr + result.stdout
    assert "What was sent is there, and is the same." in result.stdout
    assert "differ" not in result.stdout
    rows = dict(re.findall(r"^(\w[\w ]*\w) +([\d,]+) +\2 +same$", result.stdout, re.MULTILINE))
    assert int(rows["Attack Pattern"].replace(",", "")) > 800
    assert int(rows["Intrusion Set"]) > 150
    assert rows["Files"] == rows["Report"] == rows["Intrusion Set"]
    assert int(rows["Associations"].replace(",", "")) > 18_000
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["runs at", "Building", "Ctrl-C ends"])
def test_a_signal_ends_the_demo(stage: str, signum: int, tmp_path: Path) -> None:
    """Whatever the demo is at, a signal ends it at once and leaves nothing behind."""
    slow = () if stage == "Ctrl-C ends" else ("--entities-per-second", "300")
    with _running("demo", "--serve", *slow, TMPDIR=str(tmp_path)) as process:
        process.wait_for(stage)
        code = process.end(signum)

        assert code == 128 + signum
        assert _left_cleanly(process, tmp_path)


def test_the_sandbox_serves_until_it_is_ended(python: Python, tmp_path: Path) -> None:
    """What the sandbox prints is enough for the other commands; after Ctrl-C it is gone."""
    entities = [
        {"type": "Adversary", "name": "Bad Guy", "xid": "a", "tag": [{"name": "APT"}]},
        {"type": "Host", "summary": "bad.example.com", "associatedGroups": [{"groupXid": "a"}]},
    ]
    lines = "\n".join(json.dumps(entity) for entity in entities)
    with _running("sandbox", "--owner", "One", "--owner", "Two", TMPDIR=str(tmp_path)) as process:
        process.wait_for("Ctrl-C ends it")
        exports = _exports(process.said)
        owners = python(*_AIOTCBATCH, "owners", **exports)
        submitted = python(*_AIOTCBATCH, "submit", "-", stdin=lines, **exports)
        code = process.end(signal.SIGINT)

        assert code == 130
        assert _left_cleanly(process, tmp_path)
    assert owners.returncode == 0, owners.stderr
    assert re.search(r"One +Organization\n", owners.stdout)
    assert re.search(r"Two +Organization\n", owners.stdout)
    assert submitted.returncode == 0, submitted.stderr
    assert re.search(r"Completed +2 +0 +0", submitted.stdout)
    address = re.search(r"http://127\.0\.0\.1:(\d+)/api", process.said)
    assert address is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address[1]))) != 0


def _written(directory: Path, *xids: str) -> str:
    path = directory / "feed.ndjson"
    for xid in xids:
        group = {"type": "Document", "name": xid, "xid": xid, "fileName": "d", "fileContent": "t"}
        with path.open("a") as file:
            file.write(f"{json.dumps(group)}\n")
    return str(path)


@pytest.mark.parametrize(
    ("endpoint", "fault", "said"),
    [("upload", forbidden("told once"), 5), ("file_upload", storage_full(), 6)],
)
@pytest.mark.parametrize("going", [True, False])
def test_a_failure_is_told_once(
    python: Python, tmp_path: Path, endpoint: str, fault: Status, said: int, *, going: bool
) -> None:
    """What fails is one error, not a warning of the log as well; other warnings are shown."""
    options = ["submit", _written(tmp_path, "d"), "--owner", "MyOrg", *(["--keep-going"] * going)]
    with Sandbox(owners=["MyOrg"]).in_thread() as sandbox:
        sandbox.faults.add(endpoint, fault)
        result = python(*_AIOTCBATCH, *options, **sandbox.environment)

    assert result.returncode == (1 if going else said), result.stderr
    assert result.stderr.count(fault.message) == 1
    assert result.stderr.count("error: ") == 1
    assert "submit()" not in result.stderr
    assert "is closed with" not in result.stderr


def test_other_warnings_of_the_log_are_shown(python: Python, tmp_path: Path) -> None:
    """What the report does not have is told, such as that a job was cut again."""
    options = ["submit", _written(tmp_path, "good", "bad"), "--owner", "MyOrg", "--keep-going"]
    with Sandbox(owners=["MyOrg"]).in_thread() as sandbox:
        sandbox.faults.add("job", PoisonedJob({"bad"}, hint="none"))
        result = python(*_AIOTCBATCH, *options, **sandbox.environment)

    assert result.returncode == 1, result.stderr
    assert "is cut into 2 smaller jobs" in result.stderr


def test_submit_can_be_interrupted_while_it_waits_for_input(tmp_path: Path) -> None:
    """Ctrl-C ends a command that reads from a keyboard at which no one types."""
    known = {
        "TC_API_PATH": "http://127.0.0.1:9/api",
        "TC_API_ACCESS_ID": "1",
        "TC_API_SECRET_KEY": "s",
        "TMPDIR": str(tmp_path),
    }
    keyboard, terminal = os.openpty()
    try:
        with _running("submit", "-", "--owner", "o", stdin=terminal, **known) as process:
            process.wait_for("Ctrl-D ends it")
            code = process.end(signal.SIGINT)

            assert code == 130
            assert _left_cleanly(process, tmp_path)
    finally:
        os.close(keyboard)
        os.close(terminal)

"""The page for other clients says what is so: its commands run, and its tables are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from aiotcbatch.sandbox import Sandbox
from aiotcbatch.sandbox.store.schema import SCHEMA

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "other-clients.md"
BLOCK = re.compile(r"^```(sh|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

needs_curl = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="curl is not here"
)


@needs_curl
def test_every_command_prints_what_is_shown(tmp_path):
    """The commands run in their order against a sandbox, and each prints what stands under it."""
    blocks = BLOCK.findall(PAGE.read_text("utf-8"))
    printed = None
    shown = 0
    with Sandbox(["MyOrg"], seed=1).in_thread() as sandbox:
        environment = {**os.environ, **sandbox.environment}
        for language, text in blocks:
            if language == "sh":
                done = subprocess.run(  # noqa: S603  (our own page)
                    ["bash", "-euo", "pipefail", "-c", text],  # noqa: S607  (likewise)
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    check=True,
                )
                printed = done.stdout.decode()
            elif language == "json":
                shown += 1
                assert json.loads(printed) == json.loads(text), printed
            else:
                shown += 1
                assert printed.strip() == text.strip()

    assert shown == sum(language == "sh" for language, _ in blocks) == 13


def test_every_table_is_told_of():
    """The page has a row for each table and view of the database, and for no other."""
    section = PAGE.read_text("utf-8").split("## The database")[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        made = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        names = [name for (name,) in made]

    assert sorted(told) == sorted(names)

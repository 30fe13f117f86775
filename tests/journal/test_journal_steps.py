"""The journal against a plain model: any course of steps, left and taken up anywhere."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.journals import (
    OWNER,
    Model,
    Op,
    choose,
    copy_of,
    file_names,
    observed,
    perform,
    small_blocks,
)

from aiotcbatch.journal import Journal, Run, export
from aiotcbatch.journal.schema import TABLES

if TYPE_CHECKING:
    from random import Random

#: Each step is on the disk before the next one.
_SETTINGS = settings(max_examples=max(10, settings().max_examples // 4), stateful_step_count=25)


class JournalMachine(RuleBasedStateMachine):
    """Whatever is done, and wherever the process dies, the journal holds what it must."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        small_blocks(self.patch, 64)
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name, "0", "journal.db")
        self.path.parent.mkdir()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.journal = self.run(Journal.open(self.path, owner=OWNER))
        self.copies = 0

    def run(self, awaitable: Any) -> Any:
        """Await something."""
        return self.runner.run(awaitable)

    def take(self, op: Op) -> None:
        """Take one step, in the journal and in the model."""
        expected = self.model.apply(op)
        actual = self.run(perform(self.journal, op))
        if op.name in {"cut", "recut"}:
            assert actual == expected

    @rule(random=st.randoms(use_true_random=False))
    def step(self, random: Random) -> None:
        """Take a step that is possible."""
        self.take(choose(self.model, random))

    @rule()
    def close_and_open(self) -> None:
        """End as one should, and go on."""
        self.run(self.journal.aclose())
        self.journal = self.run(Journal.open(self.path, owner=OWNER))

    @rule(lock=st.booleans())
    def lose_power(self, lock: bool) -> None:
        """Go on from what is on the disk."""
        self.copies += 1
        copied = Path(self.directory.name, str(self.copies))
        path = copy_of(self.path, copied, lock=lock)
        self.run(self.journal.aclose())
        self.path = path
        self.journal = self.run(Journal.open(self.path, owner=OWNER))

    @rule()
    def lines_say_the_same(self) -> None:
        """What is exported is what is there, in the same words."""
        lines = list(export(self.path))

        assert len(lines) == len(self.model.records)
        for line, place in zip(lines, sorted(self.model.records), strict=True):
            if record := self.model.records[place]:
                assert line.endswith(b'"entity":' + record + b"}\n")

    @invariant()
    def holds_what_it_must(self) -> None:
        """Everything that is not done is there, and nothing else."""
        restored = self.run(self.journal.load())
        state = self.run(observed(restored))

        assert state == self.model.state()

    def teardown(self) -> None:
        """When all is done, nothing is left, not even a row."""
        try:
            if self.model.waiting:
                runs = [Run(kind, place) for kind, place in self.model.waiting]
                more = {"segments": [], "gone": [], "files": []}
                self.take(Op("cut", ({}, runs), more))
            self.take(Op("done", tuple(self.model.jobs)))
            db = self.journal._file._usable()
            left = [list(db.execute(table.select)) for table in TABLES[1:]]
            assert left == [[], [], [], []]
            assert list(db.execute("SELECT number FROM block")) == []
            assert self.run(self.journal.remove_if_done())
            assert file_names(self.path.parent) == []
        finally:
            self.run(self.journal.aclose())
            self.runner.close()
            self.directory.cleanup()
            self.patch.undo()


TestJournal = JournalMachine.TestCase
TestJournal.settings = _SETTINGS

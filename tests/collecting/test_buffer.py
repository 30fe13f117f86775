"""Encoded records: what goes in comes out, once, in order and within the limits."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aiotcbatch.collecting import buffer as buffer_module
from aiotcbatch.collecting.buffer import Buffer, xid_of
from aiotcbatch.collecting.group_buffer import GroupBuffer
from aiotcbatch.collecting.segments import Cut, encode, loaded
from aiotcbatch.collecting.spool import Spool
from aiotcbatch.entities.contents import FileItem

XIDS = st.sampled_from([f"x{number}" for number in range(12)])


def decoded(cut: Cut) -> list[dict[str, Any]]:
    """Read the records of a cut back."""
    return [
        data for piece in cut.slices for data in orjson.loads(b"[" + bytes(loaded(piece)) + b"]")
    ]


class BufferMachine(RuleBasedStateMachine):
    """Any adds, removals and cuts, against a plain dict."""

    @initialize(segment_bytes=st.sampled_from([1, 60, 10_000]))
    def start(self, segment_bytes: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(buffer_module, "SEGMENT_BYTES", segment_bytes)
        self.buffer = Buffer(xid_of)
        self.model: dict[str, dict[str, Any]] = {}
        self.spool = Spool()
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.runner.close()

    @rule(nbytes=st.integers(1, 300))
    def spill(self, nbytes: int) -> None:
        before = self.buffer.memory_bytes
        moved = self.runner.run(self.buffer.spill(self.spool, nbytes))

        assert moved <= before
        assert self.buffer.memory_bytes == 0 or moved >= nbytes

    @rule(nbytes=st.integers(1, 300))
    def compact(self, nbytes: int) -> None:
        before = self.buffer.index_bytes
        given_back = self.runner.run(self.buffer.compact(nbytes))

        assert self.buffer.index_bytes == before - given_back

    @rule(xid=XIDS, size=st.integers(0, 30))
    def add(self, xid: str, size: int) -> None:
        if xid not in self.model:
            data = {"xid": xid, "pad": "p" * size}
            self.model[xid] = data
            self.buffer.add(xid, encode(data))

    @rule(xid=XIDS)
    def remove(self, xid: str) -> None:
        assert self.buffer.remove(xid) == self.model.pop(xid, None)

    @rule(max_count=st.integers(1, 6), max_bytes=st.integers(0, 200))
    def take(self, max_count: int, max_bytes: int) -> None:
        expected: list[dict[str, Any]] = []
        room = max_bytes
        for data in self.model.values():
            room -= len(encode(data)) + 1
            if len(expected) == max_count or room < 0:
                break
            expected.append(data)

        cut = self.buffer.take(max_count, max_bytes)

        assert decoded(cut) == expected
        assert cut.count == len(expected)
        assert cut.nbytes == sum(len(encode(data)) + 1 for data in expected) <= max_bytes
        for data in expected:
            del self.model[data["xid"]]

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "buffer"):
            assert self.buffer.count == len(self.model)
            assert self.buffer.nbytes == sum(len(encode(d)) + 1 for d in self.model.values())
            assert all(xid in self.buffer for xid in self.model)


TestBuffer = BufferMachine.TestCase


class GroupMachine(RuleBasedStateMachine):
    """Any linked groups with files, and cuts that leave nothing out and nothing before its time."""

    @initialize(segment_bytes=st.sampled_from([1, 100, 10_000]))
    def start(self, segment_bytes: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(buffer_module, "SEGMENT_BYTES", segment_bytes)
        self.buffer = GroupBuffer()
        self.held: dict[str, list[str]] = {}
        self.files: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    @rule(xid=XIDS, links=st.lists(XIDS, max_size=3, unique=True), with_file=st.booleans())
    def add(self, xid: str, links: list[str], with_file: bool) -> None:
        if xid in self.held:
            return
        data = {"xid": xid, "associatedGroupXid": links} if links else {"xid": xid}
        item = FileItem(xid=xid, type="Document", content=b"") if with_file else None
        self.buffer.add_group(xid, encode(data), links, item)
        self.held[xid] = links
        if with_file:
            self.files.add(xid)

    @rule(xid=XIDS)
    def remove(self, xid: str) -> None:
        data = self.buffer.remove(xid)
        item = self.buffer.detach(xid)

        assert (data is not None) == (xid in self.held)
        assert (item is not None) == (xid in self.files)
        self.held.pop(xid, None)
        self.files.discard(xid)

    @precondition(lambda self: self.held)
    @rule(max_count=st.integers(1, 6))
    def take(self, max_count: int) -> None:
        cut = self.buffer.take(max_count, 100_000)
        groups = decoded(cut)
        taken = {data["xid"] for data in groups}
        severed = set(cut.severed)

        assert 0 < len(groups) == len(taken) <= max_count
        assert {item.xid for item in cut.files} == taken & self.files
        for data in groups:
            sent = data.get("associatedGroupXid", [])
            lost = [target for target in self.held[data["xid"]] if target not in sent]
            assert {(data["xid"], target) for target in lost} <= severed
            # No group points to one that is still held.
            assert not set(sent) & (self.held.keys() - taken)
        assert len(severed) == sum(
            len(self.held[data["xid"]]) - len(data.get("associatedGroupXid", [])) for data in groups
        )
        for xid in taken:
            del self.held[xid]
        self.files -= taken

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "buffer"):
            assert self.buffer.count == len(self.held)
            assert self.buffer.file_count == len(self.files)


TestGroupBuffer = GroupMachine.TestCase


def test_a_circle_that_fits_stays_whole() -> None:
    """Groups that point to each other go together, if need be in the next chunk."""
    groups = GroupBuffer()
    for xid, links in {"single": [], "a": ["b"], "b": ["c"], "c": ["a"]}.items():
        groups.add_group(xid, encode({"xid": xid, "associatedGroupXid": links}), links, None)

    cuts = [[data["xid"] for data in decoded(groups.take(3, 10_000))] for _ in range(2)]

    assert cuts == [["single"], ["a", "b", "c"]]


async def test_a_key_that_comes_again_is_found_in_its_last_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Making the index compact, the last segment first, does not bring back what was removed."""
    monkeypatch.setattr(buffer_module, "SEGMENT_BYTES", 30)
    held, spool = Buffer(xid_of), Spool()
    for xid in ("again", "other", "again", "another"):
        held.remove(xid)
        held.add(xid, encode({"xid": xid}))
    await held.spill(spool, 1_000)
    await held.compact(1_000_000)

    assert held.count == 3
    assert held.remove("again") == {"xid": "again"}
    assert "again" not in held


async def test_what_was_taken_is_not_looked_for_any_more() -> None:
    """A cut forgets little, as it is one step of the event loop; tidying up forgets the rest."""
    held, kept = Buffer(xid_of), 100
    for number in range(50_000):
        held.add(str(number), encode({"xid": str(number)}))
    full = held.index_bytes

    held.take(50_000 - kept, 1 << 30)
    assert held.index_bytes > full * 0.9
    await held.tidy()
    assert held.index_bytes < full * 0.5
    assert "49999" in held
    assert "49000" not in held
    held.take(kept, 1 << 30)
    await held.tidy()
    assert held.index_bytes == 0


def test_what_is_planned_may_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group without links that is taken out between two cuts is not looked for any more."""
    monkeypatch.setattr(buffer_module, "SEGMENT_BYTES", 1)
    held = GroupBuffer()
    for xid, links in (("a", []), ("b", []), ("c", ["a"])):
        data = {"xid": xid, "associatedGroupXid": links}
        held.add_group(xid, encode(data), links, None)
    assert held.take(1, 1_000).count == 1
    held.remove("b")

    assert [data["xid"] for data in decoded(held.take(2, 1_000))] == ["c"]

"""
Batches and streams with a journal whose power is cut: what was sent and what can be gone on with.

Each life opens the journal that the last one has left, by its end or by a cut of the power at some
request or some write, and takes any course. ``HYPOTHESIS_PROFILE=thorough`` looks hard.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from support.power import Power
from support.simulated import Simulated, entities, read
from support.submitting import Time

from aiotcbatch import Client, TokenAuth
from aiotcbatch.journal import export

OWNER = "MyOrg"
ACTIONS = ("add", "add", "add", "file", "change", "discard", "drain", "drain", "wait", "submit")
MISHAPS = ("", "", "before", "after", "503")

_SETTINGS = settings(max_examples=max(12, settings().max_examples // 3), stateful_step_count=8)


class LeaveError(Exception):
    """The block is left, with whatever is under way."""


def _leave_unless(*, end: bool) -> None:
    if not end:
        raise LeaveError


class Server(Simulated):
    """A server that nobody reaches without power; what happens to files is told elsewhere."""

    power: Power

    async def request(self, method: str, path: str, *, body: Any = None, **rest: Any) -> Any:
        """Answer a request, if there is power for it and for its answer."""
        await self.power.request()
        if "/groups/" in path:
            answer = self._act(method, path, await read(body))
        else:
            answer = await super().request(method, path, body=body, **rest)
        await self.power.request()
        return answer


def versions(entities: Any) -> dict[str, int]:
    """Give how often each entity was changed; each is there once."""
    found = [(entity["xid"], len(entity["tag"])) for entity in entities]
    assert max(Counter(xid for xid, _ in found).values(), default=1) == 1, found
    return dict(found)


class PowerMachine(RuleBasedStateMachine):
    """What was drained is what was sent and what can be gone on with, whatever the power does."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name, "journal.db")
        self.lives = 0
        self.number = 0
        self.server = Server(ordered=False)
        #: By xid, how often it was changed when drain() returned for it.
        self.drained: dict[str, int] = {}
        #: The same for what was changed since then; 0 for what was discarded.
        self.open: dict[str, int] = {}

    @rule(
        kind=st.sampled_from(("batch", "stream")),
        actions=st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=10),
        end=st.booleans(),
        at=st.integers(0, 40),
        way=st.sampled_from(("before", "torn", "after")),
        mishaps=st.lists(st.sampled_from(MISHAPS), max_size=8),
        seed=st.integers(0, 1 << 32),
    )
    def live(
        self,
        kind: str,
        actions: list[str],
        end: bool,
        at: int,
        way: str,
        mishaps: list[str],
        seed: int,
    ) -> None:
        """Go on with the journal, take a course, and end or have the power cut."""
        self.server.mishaps = list(mishaps)
        random = Random(seed)
        with pytest.MonkeyPatch.context() as patch:
            self.server.power = power = Power(self.path, patch, random, at, way)
            try:
                asyncio.run(self._live(kind, actions, random, end=end))
            except BaseException:
                if not power.is_cut:
                    raise
            if power.is_cut:
                self.lives += 1
                self.path = power.restored(Path(self.directory.name, str(self.lives)))
        self.nothing_is_lost()

    async def _live(self, kind: str, actions: list[str], random: Random, *, end: bool) -> None:
        client = Client("http://127.0.0.1:9/api", TokenAuth("token"))
        client.transport = self.server  # type: ignore[assignment]
        options: Any = {
            "attribute_write_type": "Append",
            "journal": self.path,
            "max_entities_per_job": 3,
            "clock": Time().clock,
        }
        if kind == "stream":
            options["halt_on_failure"] = False
        make: Any = client.stream if kind == "stream" else client.batch
        try:
            async with make(OWNER, **options) as builder:
                for action in actions:
                    await self._act(builder, action, random)
                _leave_unless(end=end)
        except* LeaveError:
            pass
        else:
            if kind == "stream":  # which sends all at its end
                self._is_drained()

    async def _act(self, builder: Any, action: str, random: Random) -> None:
        if action == "drain":
            await builder.drain()
            self._is_drained()
        elif action == "wait":
            for _ in range(random.randint(1, 40)):
                await asyncio.sleep(0.0001)
        elif action == "submit":
            if hasattr(builder, "flush"):
                await builder.flush()
            else:
                await builder.submit(halt_on_error=False)
            self._is_drained()
        elif action in {"add", "file"}:
            self._add(builder, random, with_file=action == "file")
        else:
            known = (*self.drained, *self.open)
            buffers = builder._groups.buffer, builder._indicators.buffer
            waiting = sorted({xid for xid in known if any(xid in held for held in buffers)})
            if waiting:
                xid = random.choice(waiting)
                handle = name(builder, xid)
                self.open[xid] = 0
                if action == "discard":
                    builder.discard(handle)
                else:
                    handle.tag(f"tag {len(handle.data['tag'])}")
                    self.open[xid] = len(handle.data["tag"])

    def _add(self, builder: Any, random: Random, *, with_file: bool) -> None:
        for _ in range(1 if with_file else random.randint(1, 4)):
            self.number += 1
            xid = f"{'d' if with_file else random.choice('gi')}-{self.number}"
            handle = name(builder, xid)
            handle.tag("tag 0")
            if not with_file and self.number > 1 and random.random() < 0.3:
                handle.association(f"g-{random.randint(1, self.number)}")
            self.open[xid] = 1

    def _is_drained(self) -> None:
        self.drained |= self.open
        self.open = {}

    def nothing_is_lost(self) -> None:
        """What was drained is there, once and as it was last, and nothing else is."""
        lines = [orjson.loads(line) for line in export(self.path)] if self.path.exists() else []
        lines = [line for line in lines if line["kind"] != "association"]
        left = versions(line["entity"] for line in lines)
        sent = versions(entity for taken in self.server.taken for entity in entities(taken))
        waiting = {line["entity"]["xid"] for line in lines if line["state"] == "waiting"}

        assert not waiting & sent.keys()
        found = {**left, **sent}
        for xid, version in self.drained.items():
            assert found.get(xid, 0) in {version, self.open.get(xid, version)}, xid
        for xid, version in found.items():
            assert version <= max(self.drained.get(xid, 0), self.open.get(xid, 0)), xid
        self.drained, self.open = found, {}

    def teardown(self) -> None:
        """Undisturbed, all of it is sent, once, and nothing of the journal is left."""
        try:
            self.live("batch", ["submit"], True, 0, "before", [], 0)
            sent = versions(entity for taken in self.server.taken for entity in entities(taken))

            assert sent == self.drained
            assert not self.path.exists()
            assert self.server.files == {
                xid: f"content of {xid}".encode() for xid in sent if xid.startswith("d")
            }
        finally:
            self.directory.cleanup()


def name(builder: Any, xid: str) -> Any:
    """Name an entity by its xid: the first time it is made, and later it is continued."""
    if xid.startswith("g"):
        return builder.adversary(f"group {xid}", xid)
    if xid.startswith("d"):
        return builder.document(f"document {xid}", "d.txt", f"content of {xid}".encode(), xid=xid)
    return builder.host(f"{xid}.example.com", xid=xid)


TestPower = PowerMachine.TestCase
TestPower.settings = _SETTINGS

"""Kill a process at each step and at random moments, resume it, and see that nothing is lost."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.sandbox import Sandbox
from crash.transitions import MOMENTS, TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from anyio.abc import Process

OWNER = "MyOrg"
#: Entities that one life of the process adds.
LIFE = 20
#: Seconds after which a life that should have ended has hung.
LIFETIME = 120

#: A step of the journal, and the moment of it.
Place = tuple[str, str]


@dataclass
class Account:
    """What the processes have promised, and how often they were killed."""

    #: The rounds that drain() has returned for.
    drained: set[int] = field(default_factory=set)
    #: The rounds of which it was told that their files will not come.
    without: set[int] = field(default_factory=set)
    #: The first round that no process has begun: what was not said may have been drained.
    next: int = 0
    kills: int = 0
    #: The steps at which a process was killed.
    places: list[Place] = field(default_factory=list)
    #: By the last word that a process said before it was killed at random.
    moments: Counter[str] = field(default_factory=Counter)

    def heard(self, word: str, number: int) -> None:
        """Note what a process said."""
        if word == "drained":
            self.drained.update((number - 2, number - 1))
        elif word == "without":
            self.without.add(number)


class Lives:
    """
    The lives of a process that goes on with one journal.

    Args:
        sandbox: The server.
        journal: The path of the journal.
        kind: ``batch`` or ``stream``.
        rng: Chooses the moments.
    """

    def __init__(self, sandbox: Sandbox, journal: Path, kind: str, rng: random.Random) -> None:
        self._sandbox = sandbox
        self._journal = journal
        self._kind = kind
        self._rng = rng
        self.account = Account()

    def _orders(self, dies_at: Place | None) -> str:
        first, self.account.next = self.account.next, self.account.next + LIFE
        orders = {
            "api_url": self._sandbox.api_url,
            "token": self._sandbox.token,
            "journal": str(self._journal),
            "kind": self._kind,
            "first": first,
            "last": first + LIFE,
            "options": dict(TRANSITIONS[dies_at[0]].options) if dies_at else {},
            "dies_at": dies_at,
        }
        return json.dumps(orders)

    async def _begun(self, dies_at: Place | None = None) -> Process:
        victim = str(Path(__file__).with_name("victim.py"))
        command = [sys.executable, victim, self._orders(dies_at)]
        return await anyio.open_process(command, stderr=None)

    async def dies_at(self, place: Place) -> None:
        """Live up to a step of the journal, which is certain to come."""
        scenario = TRANSITIONS[place[0]]
        if scenario.anew and self._journal.exists():
            await self.ends()
        if scenario.endpoint:
            self._sandbox.faults.add(
                scenario.endpoint, scenario.fault, times=1, after=scenario.after
            )
        with anyio.fail_after(LIFETIME):
            async with await self._begun(place) as process:
                async for word, number in words(process):
                    self.account.heard(word, number)
                code = await process.wait()
        self._sandbox.faults.clear()
        assert code == -signal.SIGKILL, (
            f"the process did not come to {place}, and ended with {code}"
        )
        self.account.kills += 1
        self.account.places.append(place)

    async def dies_somewhere(self) -> None:
        """Live for a random time; who comes to the end before is not counted."""
        said, left = "nothing", self._rng.randrange(LIFE // 2 + 3)
        async with await self._begun() as process:
            with anyio.fail_after(LIFETIME):
                async for said, number in words(process):
                    self.account.heard(said, number)
                    left -= 1
                    if left < 0:
                        # Soon after its word, or while it is at what comes next.
                        await anyio.sleep(self._rng.random() ** 2 * 0.3)
                        break
            with suppress(ProcessLookupError):  # it came to its end in the meantime
                os.kill(process.pid, signal.SIGKILL)
            async for said, number in words(process):  # what it said before it died
                self.account.heard(said, number)
            code = await process.wait()
        assert code in {0, -signal.SIGKILL}, f"the process ended with {code}"
        if code:
            self.account.kills += 1
            self.account.moments[said] += 1

    async def ends(self) -> None:
        """Live to the end."""
        with anyio.fail_after(LIFETIME):
            async with await self._begun() as process:
                async for word, number in words(process):
                    self.account.heard(word, number)
                code = await process.wait()
        assert code == 0, f"the process ended with {code}"


async def words(process: Process) -> AsyncIterator[tuple[str, int]]:
    """Read what a process says, line by line."""
    rest = b""
    assert process.stdout is not None
    async for data in process.stdout:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            word, number = line.decode().split()
            yield word, int(number)


def check(sandbox: Sandbox, account: Account) -> None:
    """See that everything that was promised is there, and nothing of it twice."""
    there = {entity.summary: entity for entity in sandbox.entities()}
    for number in account.drained:
        for name in (f"group {number}", f"host-{number}.example.com"):
            assert name in there, f"{name} was drained and is lost"
        if number % 5 == 0 and number not in account.without:
            content = sandbox.files[f"d-{number}"].content
            assert content == f"content of d-{number}".encode(), f"the file of d-{number}"
    # Only a job of which nobody can tell what became of it leaves its files.
    assert not account.without or "lost" in dict(account.places)
    for name, entity in there.items():
        notes = [note.value for note in entity.attributes]
        assert notes in (["once"], []), f"{name} was sent more than once: {notes}"


def every_place() -> list[Place]:
    """Give each step with each of its moments."""
    return list(product(TRANSITIONS, MOMENTS))


async def run(seed: int, kind: str, *, places: Iterable[Place] = (), kills: int = 0) -> Account:
    """
    Kill and resume, then let the process come to its end, and look at the server.

    Args:
        seed: What chance depends on.
        kind: ``batch`` or ``stream``.
        places: The steps at which to kill first.
        kills: Kills in all, those included; the others are at random moments.
    """
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.db"
        async with Sandbox(owners=[OWNER], entities_per_second=2_000) as sandbox:
            lives = Lives(sandbox, journal, kind, random.Random(seed))
            for place in places:
                await lives.dies_at(place)
            if lives.account.places:  # what was lost is told before anything happens to it
                await lives.ends()
            while lives.account.kills < kills:
                await lives.dies_somewhere()
            if lives.account.moments:
                await lives.ends()
            check(sandbox, lives.account)
            assert not journal.exists(), "a journal with nothing left to do is removed"
    return lives.account


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="in all; more than 33 are random")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--kind", choices=["batch", "stream"], default="batch")
    args = parser.parse_args()
    sys.stdout.write(f"seed {args.seed}\n")
    sys.stdout.flush()

    async def long() -> Account:
        return await run(args.seed, args.kind, places=every_place(), kills=args.kills)

    account = anyio.run(long)
    sys.stdout.write(
        f"{account.kills} kills of a {args.kind}, {len(account.drained)} rounds drained, all there"
        f" once; at each of the {len(TRANSITIONS)} steps of the journal before, within and after"
        f" it; last words of the {account.moments.total()} others: {dict(account.moments)}\n"
    )


if __name__ == "__main__":
    main()

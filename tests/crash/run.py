"""Kill a process at random moments, resume it, and see that nothing is lost or doubled."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.sandbox import Sandbox

if TYPE_CHECKING:
    from anyio.abc import Process

OWNER = "MyOrg"
#: Entities that one life of the process adds.
LIFE = 20


@dataclass
class Account:
    """What the processes have promised, and how often they were killed."""

    #: The rounds that drain() has returned for.
    drained: set[int] = field(default_factory=set)
    #: The first round that no process has begun: what was not said may have been drained.
    next: int = 0
    kills: int = 0
    #: By the last word that a process said before it was killed.
    moments: dict[str, int] = field(default_factory=dict)


async def live(
    sandbox: Sandbox,
    journal: Path,
    account: Account,
    kind: str,
    rng: random.Random,
    *,
    kills: bool = True,
) -> bool:
    """Run the process for a random time; True if it came to its end."""
    first, last = account.next, account.next + LIFE
    account.next = last
    command = [
        sys.executable,
        str(Path(__file__).with_name("victim.py")),
        sandbox.api_url,
        sandbox.token,
        str(journal),
        str(first),
        str(last),
        kind,
    ]
    said, left = "nothing", rng.randrange(LIFE // 2 + 3)
    async with await anyio.open_process(command, stderr=None) as process:
        with anyio.move_on_after(30):
            async for word in words(process):
                said, number = word
                if said == "drained":
                    account.drained.update((number - 2, number - 1))
                left -= 1
                if left < 0 and kills:
                    # Soon after its word, or while it is at what comes next.
                    await anyio.sleep(rng.random() ** 2 * 0.3)
                    break
            else:
                return process.returncode == 0 or (await process.wait()) == 0
        with suppress(ProcessLookupError):  # it came to its end in the meantime
            process.send_signal(signal.SIGKILL)
        async for said, number in words(process):  # what it said before it died
            if said == "drained":
                account.drained.update((number - 2, number - 1))
        await process.wait()
    account.kills += 1
    account.moments[said] = account.moments.get(said, 0) + 1
    return False


async def words(process: Process):
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
        if number % 5 == 0:
            content = sandbox.files[f"d-{number}"].content
            assert content == f"content of d-{number}".encode(), f"the file of d-{number}"
    for name, entity in there.items():
        notes = [note.value for note in entity.attributes]
        assert notes in (["once"], []), f"{name} was sent more than once: {notes}"


async def run(kills: int, seed: int, kind: str) -> Account:
    """Kill and resume until there were so many kills, then let the process come to its end."""
    account, rng = Account(), random.Random(seed)
    with TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.db"
        async with Sandbox(owners=[OWNER], entities_per_second=2_000) as sandbox:
            while account.kills < kills:
                await live(sandbox, journal, account, kind, rng)
            assert await live(sandbox, journal, account, kind, rng, kills=False)
            check(sandbox, account)
            assert not journal.exists(), "a journal with nothing left to do is removed"
    return account


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--kind", choices=["batch", "stream"], default="batch")
    args = parser.parse_args()
    sys.stdout.write(f"seed {args.seed}\n")
    account = anyio.run(run, args.kills, args.seed, args.kind)
    sys.stdout.write(
        f"{account.kills} kills, {len(account.drained)} rounds drained, all there once;"
        f" last words: {account.moments}\n"
    )


if __name__ == "__main__":
    main()

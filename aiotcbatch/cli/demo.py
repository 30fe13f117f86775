"""
`aiotcbatch demo`: MITRE ATT&CK into a sandbox, and back out of it.

Everything goes over real HTTP on loopback. What is shown at the end was read back from the server
and compared with what was sent, group by group and file by file.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import anyio

from aiotcbatch.cli import readback
from aiotcbatch.cli.run import SOME_FAILED
from aiotcbatch.cli.serve import environment, page
from aiotcbatch.cli.submit import handled, report
from aiotcbatch.client import Client
from aiotcbatch.sources import attack
from aiotcbatch.sources.mapping import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiotcbatch.batch import Batch
    from aiotcbatch.cli.display import Display, Steps
    from aiotcbatch.cli.readback import Comparison, FoundGroup
    from aiotcbatch.results.status import BatchStatus
    from aiotcbatch.sandbox import Sandbox
    from aiotcbatch.transport.http import Transport

__all__ = ["Demo", "demo"]

#: Groups that are built before other tasks get a turn.
_SLICE = 50
#: The intrusion set that is shown in full.
_EXAMPLE = "APT29"
_SHOWN_DIFFERENCES = 10


@dataclass(frozen=True, kw_only=True)
class Demo:
    """
    What the command line asked for.

    Attributes:
        owner: The owner in the sandbox.
        entities_per_job: The most groups in one job.
        stay: Whether the sandbox stays until Ctrl-C.
    """

    owner: str
    entities_per_job: int = 500
    stay: bool = False


async def demo(display: Display, sandbox: Sandbox, asked: Demo) -> int:
    """
    Run the demo.

    Args:
        display: Where to show it.
        sandbox: The sandbox, not started yet.
        asked: What to do.

    Returns:
        The exit code.
    """
    begun = time.monotonic()
    with display.steps() as steps:
        knowledge = await _load(steps)  # first, as it may not be installed
    async with sandbox:
        display.remark(f"A sandbox of ThreatConnect runs at {sandbox.api_url}")
        with display.steps() as steps:
            async with Client(sandbox.api_url, sandbox.auth) as client:
                before = {
                    one.id for one in await readback.read_groups(client.transport, asked.owner)
                }
                batch = client.batch(asked.owner, max_entities_per_job=asked.entities_per_job)
                await _build(batch, knowledge, steps)
                statuses = await _submit(batch, steps)
                found, files = await _read_back(client.transport, asked.owner, knowledge, steps)
        comparison = readback.compare(
            knowledge.groups,
            readback.without_others(found, knowledge.groups, before),
            sent_files=await _files(knowledge),
            found_files=files,
        )
        good = comparison.same and all(status.ok for status in statuses)
        _show_left_out(display, knowledge.statistics)
        if not all(status.ok for status in statuses):
            report(display, statuses, shown_errors=_SHOWN_DIFFERENCES)
        _show_comparison(display, comparison)
        _show_example(display, knowledge, found, files)
        verdict = "is there, and is the same" if good else "is NOT there as it was sent"
        seconds = time.monotonic() - begun
        display.result(f"What was sent {verdict}. All of it took {seconds:.1f} seconds.")
        display.result()
        await _look_further(display, sandbox, asked)
    return 0 if good else SOME_FAILED


async def _load(steps: Steps) -> attack.Attack:
    step = steps.add("Reading ATT&CK", None, "objects")
    knowledge = await attack.load()
    figures = knowledge.statistics
    step.finish(f"{figures.objects:,} objects, {figures.relations:,} relations")
    return knowledge


async def _build(batch: Batch, knowledge: attack.Attack, steps: Steps) -> None:
    step = steps.add("Building", len(knowledge.groups), "groups")
    for index, group in enumerate(knowledge.groups):
        group.add_to(batch)
        step.advance()
        if index % _SLICE == 0:
            await anyio.lowlevel.checkpoint()
    await batch.drain()
    step.finish()


async def _submit(batch: Batch, steps: Steps) -> list[BatchStatus]:
    groups = steps.add("Submitting", len(batch), "groups")
    files = steps.add("Uploading files", batch.file_len, "files")
    statuses = []
    async with aclosing(batch.submit_iter()) as ended:
        async for status in ended:
            statuses.append(status)
            groups.advance(handled(status))
            files.advance(len(status.uploads))
    groups.finish(f"{sum(map(handled, statuses)):,} groups in {len(statuses)} jobs")
    files.finish()
    return statuses


async def _read_back(
    transport: Transport, owner: str, knowledge: attack.Attack, steps: Steps
) -> tuple[list[FoundGroup], dict[str, bytes]]:
    """Ask the server for everything that it has, over the HTTP API."""
    step = steps.add("Reading back", len(knowledge.groups), "groups")
    found = await readback.read_groups(transport, owner, on_page=step.advance)
    step.finish()
    reports = [group.xid for group in knowledge.groups if group.file_content is not None]
    step = steps.add("Fetching files", len(reports), "files")
    files = await readback.read_files(transport, owner, reports, on_file=step.advance)
    step.finish()
    return found, files


async def _files(knowledge: attack.Attack) -> dict[str, bytes]:
    """Render the reports once more, to compare them with what the server has."""
    return {
        group.xid: (await group.file_content(group.xid)).encode()
        for group in knowledge.groups
        if group.file_content is not None
    }


def _show_left_out(display: Display, figures: attack.Statistics) -> None:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in figures.withdrawn.items())
    display.result()
    display.result(
        f"Left out: {sum(figures.withdrawn.values()):,} objects that ATT&CK has withdrawn "
        f"({reasons}) with {figures.withdrawn_relations:,} relations, and "
        f"{sum(figures.dangling_relations.values()):,} relations to other catalogues."
    )
    display.result()


def _show_comparison(display: Display, comparison: Comparison) -> None:
    columns = ("", "Sent", "Found", "")
    rows = [
        (
            row.what,
            f"{row.sent:,}",
            f"{row.found:,}",
            f"{row.different:,} differ" if row.different else "same",
        )
        for row in comparison.rows
    ]
    display.table("What was sent, and what the server has", columns, rows, right=columns[1:3])
    for difference in comparison.differences[:_SHOWN_DIFFERENCES]:
        display.error(difference)


def _show_example(
    display: Display,
    knowledge: attack.Attack,
    found: list[FoundGroup],
    files: dict[str, bytes],
) -> None:
    """Show one group whole, as the server gave it."""
    named = [one for one in found if one.name == _EXAMPLE and one.type == "Intrusion Set"]
    if not named:
        return
    example = named[0]
    types = Counter(one.type for one in found if one.id in set(example.associated))
    reports = [g for g in knowledge.groups if g.file_name and example.xid in g.associations]
    rows = [("Xid", example.xid)]
    rows += [(type_, shorten(value, 300)) for type_, value in _first_of_each(example.attributes)]
    rows.append(("Tags", f"{len(example.tags)}: {shorten(', '.join(example.tags), 200)}"))
    rows.append(("Associated", ", ".join(f"{type_} {count}" for type_, count in types.items())))
    for group in reports:
        content = files.get(group.xid, b"")
        rows.append(("File", f"{group.file_name}, {len(content):,} bytes"))
    display.facts(f"For example {example.name}, {example.type} {example.id}", rows)
    display.result()


def _first_of_each(attributes: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    values: dict[str, list[str]] = {}
    for type_, value in attributes:
        values.setdefault(type_, []).append(value)
    for type_, texts in values.items():
        more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
        yield type_, f"{' '.join(texts[0].split())}{more}"


def _program() -> str:
    """Give this command as it was typed, if that was with a folder, as in ``.venv/bin``."""
    typed = PurePath(sys.argv[0])
    return str(typed) if typed.name == "aiotcbatch" and not typed.is_absolute() else "aiotcbatch"


async def _look_further(display: Display, sandbox: Sandbox, asked: Demo) -> None:
    if not asked.stay:
        display.result(f"To look at it yourself, let the sandbox stay: {_program()} demo --serve")
        return
    display.result(f"Look further at {page(sandbox)} or from another terminal:")
    for line in environment(sandbox, asked.owner):
        display.result(f"  {line}")
    query = f'tql=summary = "{_EXAMPLE}"&fields=tags&fields=associatedGroups'
    display.result("  aiotcbatch owners")
    display.result(f"  aiotcbatch get '/v3/groups?{query}'")
    display.remark("Ctrl-C ends the sandbox.")
    await anyio.sleep_forever()

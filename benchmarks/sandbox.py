"""How much the sandbox takes: by its engine alone, through HTTP, and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import MEBI, Ratio, Result, Size, child, server
from benchmarks.mix import MIXES

if TYPE_CHECKING:
    from benchmarks.harness import Options

Row = tuple[str, ...]

#: Entities a second, in thousands: what is asked for, and what leaves room.
_RATE = (50.0, 80.0)
#: Bytes that a job may leave behind, since a sandbox lists all jobs that it has had.
_LEFT = (4096.0, 1024.0)


def run(options: Options) -> Result:
    """Run it."""
    number, per_job = options.pick((2, 100), (6, 5_000), (20, 5_000))
    turns = options.pick(1, 3, 3)
    bounds = _RATE if options.size >= Size.FULL else (None, None)
    rows: list[Row] = []
    rates: dict[str, float] = {}
    timed = [
        row
        for mix in MIXES
        for measure in (_engine, _through_http)
        for row in measure(mix, number, per_job, turns)
    ]
    for name, walls, cpus in timed:
        entities = number * per_job
        rates[name] = entities / min(walls) / 1000
        rows.append(
            (
                name,
                f"{entities:,}",
                f"{min(walls):.2f} s",
                f"{rates[name] * 1000:,.0f}",
                f"{min(cpus) * 1e6 / entities:.1f}",
            )
        )
    figures = [
        Ratio(
            name=f"thousands of entities a second, {name}",
            value=rate,
            least=None if name.startswith("unlike") else bounds[0],
            aim=None if name.startswith("unlike") else bounds[1],
            unit="",
        )
        for name, rate in rates.items()
    ]
    growth, note = _growth(options)
    return Result(
        title="The sandbox",
        method=(
            f"Jobs of {per_job:,}. Those of a feed are what the other benchmarks send: Addresses "
            "with an attribute, two tags, a label and two scores, which are the same in all, as "
            "in many feeds; what is the same is read once. Unlike ones have a text of their own "
            "in each attribute. Mixed ones have such Addresses with a hundred different texts and "
            "tags, Hosts, URLs and Files, one in ten with a link to a group, and one entity in "
            "ten is a group with an attribute, two tags and a link to another group. Each job "
            "comes twice, so that its entities are new and then updated. Once the worker alone "
            "processes them; once another process sends what it has prepared, three jobs at a "
            "time, to a sandbox that has `:memory:`."
        ),
        columns=("what", "entities", "wall time", "a second", "µs of processor time each"),
        rows=rows,
        ratios=[*figures, growth],
        notes=[
            f"The least of {turns}, since others on the machine only ever add to it.",
            "The processor time is that of the sandbox's process.",
            note,
        ],
    )


def _engine(
    mix: str, number: int, per_job: int, turns: int
) -> list[tuple[str, list[float], list[float]]]:
    """Let the worker process jobs in a process of its own."""
    answers = [
        child("sandboxed:work", mix=mix, number=number, per_job=per_job) for _ in range(turns)
    ]
    return [
        (
            f"{mix}, engine alone, {name}",
            [answer[name]["wall"] for answer in answers],
            [answer[name]["cpu"] for answer in answers],
        )
        for name in ("new", "updated")
    ]


def _through_http(
    mix: str, number: int, per_job: int, turns: int
) -> list[tuple[str, list[float], list[float]]]:
    """Send jobs to a sandbox in a process of its own, from another one."""
    walls: dict[str, list[float]] = {"new": [], "updated": []}
    cpus: dict[str, list[float]] = {"new": [], "updated": []}
    with server("sandbox") as sandbox:
        for _ in range(turns):
            sandbox.reset()
            for name, times in walls.items():
                before = sandbox.usage()["cpu"]
                times.append(_send(sandbox.address, mix, number, per_job, number))
                cpus[name].append(sandbox.usage()["cpu"] - before)
    return [(f"{mix}, through HTTP, {name}", walls[name], cpus[name]) for name in walls]


def _growth(options: Options) -> tuple[Ratio, str]:
    """Send few jobs and then many, all about the same entities, and look at the memory."""
    few, many = options.pick((5, 10), (1_200, 2_400), (1_200, 6_000))
    per_job, distinct = options.pick(50, 100, 100), 4
    with server("sandbox", keep_bodies=100) as sandbox:
        _send(sandbox.address, "mixed", few, per_job, distinct)
        before = sandbox.usage()["peak"]
        _send(sandbox.address, "mixed", many - few, per_job, distinct)
        after = sandbox.usage()["peak"]
    bounds = _LEFT if options.size >= Size.FULL else (None, None)
    ratio = Ratio(
        name=f"growth of peak memory a job, from {few:,} to {many:,} jobs",
        value=(after - before) / (many - few),
        least=bounds[0],
        aim=bounds[1],
        unit=" bytes",
        more_is_better=False,
    )
    note = (
        f"Memory is that of a sandbox to which {many:,} jobs of {per_job} are sent, all about the "
        f"same {per_job * distinct} entities, with the documents of the last 100 kept: "
        f"{before / MEBI:.1f} MiB after {few:,} of them, {after / MEBI:.1f} MiB after all."
    )
    return ratio, note


def _send(address: dict[str, str], mix: str, number: int, per_job: int, distinct: int) -> float:
    answer: dict[str, Any] = child(
        "sandboxed:send",
        address=address,
        mix=mix,
        number=number,
        per_job=per_job,
        distinct=distinct,
    )
    return float(answer["wall"])

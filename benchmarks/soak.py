"""Whether a service that runs for long stays as it was, and loses nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.harness import MEBI, Plot, Ratio, Result, Size, child, server
from benchmarks.vitals import growth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness import Options

#: What goes wrong for as long as it runs: one request in twenty, and an outage now and then.
FAULTS = (
    "create=reset,p=0.02",
    "create=lost,p=0.02",
    "create=429:0.05,p=0.02",
    "create=shape,p=0.01",
    "upload=reset:65536,p=0.03",
    "upload=lost,p=0.03",
    "upload=500,p=0.02",
    "upload=503:0.05,p=0.02",
    "upload=truncated,p=0.02",
    "status=reset,p=0.02",
    "status=502,p=0.02",
    "status=truncated,p=0.02",
    "status=type,p=0.01",
    "errors=500,p=0.02",
    "file_upload=lost,p=0.02",
    "file_upload=503,p=0.02",
    "file_upload=reset,p=0.02",
    "*=latency:0.2,p=0.01",
    *(f"*=503,times=15,after={after}" for after in range(500, 100_000, 2_500)),
)
#: What is watched, the unit of a figure and its name, and how often it may be what it was.
WATCHED = {
    "rss": (MEBI, "MiB", "memory (RSS)", 1.1, 1.25),
    "pss": (MEBI, "MiB", "memory (PSS)", 1.1, 1.25),
    "handles": (1, "", "file handles", 1.1, 1.25),
    "tasks": (1, "", "tasks", 1.1, 1.25),
    "threads": (1, "", "threads", 1.1, 1.25),
    "disk": (MEBI, "MiB", "disk, the journal", 1.1, 1.5),
}
#: Points of each line of the picture.
POINTS = 60


def run(options: Options) -> Result:
    """Run it."""
    number = options.pick(1_000, 200_000, 3_000_000, 10_000_000)
    watches = options.pick(2, 4, 8, 16)
    # The server is not what is watched, and has everything at the end: so it is in a file.
    with (
        tempfile.TemporaryDirectory() as folder,
        server("sandbox", db=str(Path(folder, "sandbox.db")), faults=FAULTS) as sandbox,
    ):
        found = child(
            "service:soak",
            address=sandbox.address,
            number=number,
            watches=watches,
            interval=options.pick(0.02, 0.2, 0.5),
        )
        there = sandbox.counts()
    sent, samples = found["sent"], found["samples"]
    _require_all(sent, there, found["without"], found["left"])
    accounted = (
        f"{sent['indicators']:,} indicators, {sent['groups']:,} groups and {sent['contents']:,}"
        f" contents were handed over, in {there['jobs']:,} jobs and with {there['faults']:,}"
        " faults; all of them are there, once, but for"
        f" {found['without']:,} contents of which it was told that they are not."
    )
    return Result(
        title="Soak",
        method=(
            f"A stream with a journal takes {number:,} indicators, and groups and documents with"
            f" them, as fast as the sandbox in its own process can, which misbehaves throughout."
            f" {watches - 1} times it is left in the middle, and the next one goes on with the"
            " journal. Each entity has an attribute that a second sending would double. What the"
            " process holds is looked at all the while; growth is the median of the last quarter"
            " of the time over that of the second one."
        ),
        columns=("what", "after the warm-up", "at the end", "most"),
        rows=[
            *(_row(name, samples) for name in WATCHED if name in samples[0]),
            ("indicators a second", "", f"{number / found['wall']:,.0f}", ""),
        ],
        ratios=[
            Ratio(
                name=f"{label}, growth",
                value=growth(samples, name),
                aim=aim if options.size >= Size.QUICK else None,
                least=least if options.size >= Size.QUICK else None,
                more_is_better=False,
            )
            for name, (_, _, label, aim, least) in WATCHED.items()
            if name in samples[0]
        ],
        notes=[accounted],
        plot=_plot(samples),
    )


def _require_all(
    sent: Mapping[str, int], there: Mapping[str, int], without: int, left: Sequence[str]
) -> None:
    """Compare what was handed over with what is there."""
    expected = {
        **sent,
        "attributes": sent["indicators"] + sent["groups"],
        "contents": sent["contents"] - without,
    }
    wrong = {
        name: f"{there[name]:,} and not {count:,}"
        for name, count in expected.items()
        if there[name] != count
    }
    if wrong or left:
        raise RuntimeError(f"the server has {wrong}; left in the folder: {left}")


def _row(name: str, samples: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    unit, suffix, label, _, _ = WATCHED[name]
    quarter = max(1, len(samples) // 4)
    figures = (
        median(sample[name] for sample in samples[quarter : 2 * quarter] or samples),
        median(sample[name] for sample in samples[-quarter:]),
        max(sample[name] for sample in samples),
    )
    return (label, *(f"{figure / unit:,.0f} {suffix}".strip() for figure in figures))


def _plot(samples: Sequence[Mapping[str, Any]]) -> Plot:
    shown = samples[:: max(1, len(samples) // POINTS)]
    return Plot(
        x_label="indicators handed over, millions",
        y_label="MiB, or how many",
        series={
            f"{label}, {suffix}" if suffix else label: [
                (sample["indicators"] / 1e6, sample[name] / unit) for sample in shown
            ]
            for name, (unit, suffix, label, _, _) in WATCHED.items()
            if name in samples[0] and name != "pss"
        },
    )

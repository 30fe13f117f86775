"""What a journal costs."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness import Ratio, Result, Size, medians, rounds, server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness import Options

WITHOUT, WITH = "without a journal", "with a journal"


def run(options: Options) -> Result:
    """Run it."""
    number = options.pick(1_000, 5_000, 100_000)
    turns = options.pick(1, 3, 5, 9)
    with server("sink") as sink:
        contenders = {
            name: {
                "target": "ours:journal",
                "address": sink.address,
                "number": number,
                "kept": kept,
            }
            for name, kept in ((WITHOUT, False), (WITH, True))
        }
        found = rounds(contenders, turns)
    wall, cpu = medians(found, "wall"), medians(found, "cpu")
    rows = [
        (
            name,
            f"{wall[name]:.2f} s",
            f"{number / wall[name]:,.0f}",
            f"{cpu[name] * 1e6 / number:.2f}",
        )
        for name in contenders
    ]
    ratios = [
        Ratio(
            name=f"{what}, with over without",
            value=_ratio(found, key),
            least=1.5 if options.size >= Size.FULL else None,
            aim=1.3 if options.size >= Size.FULL else None,
            more_is_better=False,
        )
        for what, key in (("wall time", "wall"), ("processor time", "cpu"))
    ]
    return Result(
        title="Journal",
        method=(
            f"{number:,} indicators are built by interface 1, drained every 500 and submitted to a "
            "server that has done everything at once, in interleaved rounds. With a journal, each "
            "drain is on disk when it returns."
        ),
        columns=("contender", "wall time", "indicators a second", "µs of processor time each"),
        rows=rows,
        ratios=ratios,
        notes=["The ratios are the medians of those of the rounds, so that noise hits both."],
    )


def _ratio(found: Mapping[str, Sequence[Mapping[str, float]]], key: str) -> float:
    """Compare within each round, whose contenders have had the same noise."""
    pairs = zip(found[WITH], found[WITHOUT], strict=True)
    return median(with_it[key] / without[key] for with_it, without in pairs)

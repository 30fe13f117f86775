"""What a journal costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import Ratio, Result, medians, rounds, server

if TYPE_CHECKING:
    from benchmarks.harness import Options


def run(options: Options) -> Result:
    """Run it."""
    number = options.pick(1_000, 5_000, 100_000)
    turns = options.pick(1, 3, 3, 7)
    with server("sink") as sink:
        contenders = {
            name: {
                "target": "ours:journal",
                "address": sink.address,
                "number": number,
                "kept": kept,
            }
            for name, kept in (("without a journal", False), ("with a journal", True))
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
    with_it, without = "with a journal", "without a journal"
    ratios = [
        Ratio(
            name=f"{what}, with over without",
            value=times[with_it] / times[without],
            more_is_better=False,
        )
        for what, times in (("wall time", wall), ("processor time", cpu))
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
    )

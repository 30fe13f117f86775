"""Time and peak memory of a stream, by how much is streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import MEBI, Plot, Ratio, Result, child, server

if TYPE_CHECKING:
    from benchmarks.harness import Options


def run(options: Options) -> Result:
    """Run it."""
    sizes = options.pick(
        [500, 1_000],
        [5_000, 20_000],
        [10_000, 100_000, 1_000_000],
        [10_000, 100_000, 1_000_000, 3_000_000],
    )
    rows, points = [], []
    growth = 0.0
    with server("sink") as sink:
        for number in sizes:
            answer = child("ours:stream", address=sink.address, number=number)
            growth = answer["growth"] / MEBI
            points.append((number, answer["peak"] / MEBI))
            rows.append(
                (
                    f"{number:,}",
                    f"{answer['wall']:.2f} s",
                    f"{answer['cpu'] * 1e6 / number:.2f}",
                    f"{answer['peak'] / MEBI:.0f} MiB",
                    f"{growth:.1f} MiB",
                )
            )
    largest = sizes[-1]
    held_to = (64, 32) if largest >= 1_000_000 else (None, None)
    return Result(
        title="Scaling of a stream",
        method=(
            "Indicators are built by interface 1 and streamed, draining every 1,000, to a server "
            "in its own process that takes everything and has done it at once. Growth is that of "
            "the client's peak memory after the first 50,000, or the first half of fewer."
        ),
        columns=("indicators", "wall time", "µs of processor time each", "peak memory", "growth"),
        rows=rows,
        ratios=[
            Ratio(
                name=f"growth of peak memory, {largest:,} indicators",
                value=growth,
                least=held_to[0],
                aim=held_to[1],
                unit=" MiB",
                more_is_better=False,
            )
        ],
        notes=["The three million are measured with `--long`."] if largest < 3_000_000 else [],
        plot=Plot(
            x_label="indicators",
            y_label="peak memory, MiB",
            series={"stream": points},
            log=True,
        ),
    )

"""Uploads of files: many small ones by concurrency, and the memory of a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import MEBI, Plot, Ratio, Result, Size, child, server

if TYPE_CHECKING:
    from benchmarks.harness import Options

_DELAY = 0.05


def run(options: Options) -> Result:
    """Run it."""
    plans = options.pick(
        [(8, 4)],
        [(20, 1), (60, 4), (100, 16)],
        [(200, 1), (400, 4), (1_000, 16)],
        [(1_000, 1), (1_000, 4), (1_000, 16)],
    )
    nbytes = options.pick(4 * MEBI, 64 * MEBI, 2048 * MEBI)
    full = options.size >= Size.FULL
    rows, points, ratios = [], [], []
    with server("sandbox", upload_delay=_DELAY) as sandbox:
        for number, concurrency in plans:
            sandbox.reset()
            answer = child(
                "ours:documents",
                address=sandbox.address,
                number=number,
                concurrencies=[concurrency],
            )
            wall = answer["wall"][str(concurrency)]
            ideal = number * _DELAY / concurrency
            points.append((concurrency, wall / ideal))
            rows.append(
                (
                    f"{number:,} files, concurrency {concurrency}",
                    f"{wall:.2f} s",
                    f"{ideal:.2f} s",
                    f"{wall / ideal:.3f}",
                )
            )
            held_to = (1.3, 1.1) if full and concurrency == 16 else (None, None)
            ratios.append(
                Ratio(
                    name=f"{number:,} files over the ideal, concurrency {concurrency}",
                    value=wall / ideal,
                    least=held_to[0],
                    aim=held_to[1],
                    more_is_better=False,
                )
            )
    with server("sink") as sink:
        answer = child("ours:large_file", address=sink.address, nbytes=nbytes)
    size = f"one file of {nbytes // MEBI:,} MiB"
    speed = nbytes / MEBI / answer["wall"]
    rows.append((size, f"{answer['wall']:.2f} s", "", f"{speed:,.0f} MiB/s"))
    ratios.append(
        Ratio(
            name=f"growth of peak memory, {size}",
            value=answer["growth"] / MEBI,
            least=32 if full else None,
            aim=8 if full else None,
            unit=" MiB",
            more_is_better=False,
        )
    )
    return Result(
        title="Files",
        method=(
            f"Small documents go to a sandbox that takes {_DELAY * 1000:.0f} ms for each; the "
            "ideal is that time alone, over the concurrency. The large file goes to a server that "
            "throws it away, after one of 1 MiB that shows what memory was taken before."
        ),
        columns=("upload", "wall time", "ideal", "ratio or speed"),
        rows=rows,
        ratios=ratios,
        plot=Plot(x_label="concurrency", y_label="over the ideal", series={"files": points}),
    )

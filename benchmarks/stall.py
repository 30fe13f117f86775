"""How long the event loop is held while much is built and submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import Ratio, Result, Size, child, server

if TYPE_CHECKING:
    from benchmarks.harness import Options

_EVERY = 500
_NOTE = (
    "The idle phase shows how late the task is on this machine with nothing to do; the first "
    "drain has what is done once in a process, such as imports."
)


def run(options: Options) -> Result:
    """Run it."""
    number = options.pick(1_000, 20_000, 1_000_000)
    with server("sink") as sink:
        answer = child("ours:stall", address=sink.address, number=number, every=_EVERY)
    phases = answer["phases"]
    rows = [
        (name, *(f"{found[key] * 1000:.2f} ms" for key in ("max", "p999", "step")))
        for name, found in phases.items()
    ]
    busy = [found for name, found in phases.items() if name != "idle"]
    bounds = (25, 10) if options.size >= Size.FULL else (None, None)
    ratios = [
        Ratio(
            name=f"{what}, {number:,} indicators",
            value=max(found[key] for found in busy) * 1000,
            least=bounds[0],
            aim=bounds[1],
            unit=" ms",
            more_is_better=False,
        )
        for what, key in (("worst lag", "max"), ("longest step by processor time", "step"))
    ]
    return Result(
        title="Stalls of the event loop",
        method=(
            "A task wakes each millisecond and notes how late it is, while indicators are built by "
            f"interface 1, drained every {_EVERY}, and submitted to a server in its own process. "
            "Every single step of the loop is timed by its thread's processor time as well, which "
            "leaves out what other processes take; building 500 indicators is one step."
        ),
        columns=("phase", "worst lag", "99.9th percentile", "longest step"),
        rows=rows,
        ratios=ratios,
        notes=[_NOTE],
    )

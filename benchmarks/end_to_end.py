"""Wall time of a submit over the time in which the server worked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import Ratio, Result, Size, child, server

if TYPE_CHECKING:
    from benchmarks.harness import Options

#: What is asked for, by entities of a job.
_BOUNDS = {5_000: (1.10, 1.03), 500: (1.25, 1.10)}


def run(options: Options) -> Result:
    """Run it."""
    speed = options.pick(20_000, 2_000, 5_000)
    plans = options.pick([(2, 100)], [(3, 500)], [(10, 5_000), (100, 500)])
    rows: list[tuple[str, ...]] = []
    ratios: list[Ratio] = []
    notes = []
    with server("sandbox", entities_per_second=speed) as sandbox:

        def measure(name: str, plan: tuple[int, int], **arguments: Any) -> float:
            sandbox.reset()
            jobs, per_job = plan
            answer = child(
                address=sandbox.address, number=jobs * per_job, per_job=per_job, **arguments
            )
            wall, busy = answer["wall"], sandbox.busy()
            ratio = wall / busy
            what = f"{jobs:,} of {per_job:,}"
            rows.append((name, what, f"{wall:.2f} s", f"{busy:.2f} s", f"{ratio:.3f}"))
            return ratio

        for plan in plans:
            ratio = measure("ours", plan, target="ours:submit")
            least, aim = _BOUNDS[plan[1]] if options.size >= Size.FULL else (None, None)
            ratios.append(
                Ratio(
                    name=f"wall time over the server's, {plan[0]:,} jobs of {plan[1]:,}",
                    value=ratio,
                    least=least,
                    aim=aim,
                    more_is_better=False,
                )
            )
            measure("ours, one job after another", plan, target="ours:submit", max_jobs=1)
        if options.size >= Size.FULL and options.has_tcex:
            jobs = 10 if options.size == Size.LONG else 2
            measure(
                "TcEx 5",
                (jobs, 5_000),
                target="rivals:tcex_submit",
                python=options.tcex_python,
            )
            notes.append(
                "TcEx sends what it has in one document, so jobs of one size are batches of that "
                f"size here, one after another; {jobs} of them, since it waits long in each."
            )
        else:
            notes.append("TcEx 5 was not measured.")
    return Result(
        title="End to end",
        method=(
            f"A sandbox in its own process works at {speed:,} entities a second; what was "
            "drained is submitted in jobs of one size, from another process. The server's time is "
            "the sum over its jobs, from start to completion, as it has recorded them."
        ),
        columns=("contender", "jobs", "wall time", "server's time", "ratio"),
        rows=rows,
        ratios=ratios,
        notes=notes,
    )

"""Memory that a collected entity takes, against TcEx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import Plot, Ratio, Result, Size, child

if TYPE_CHECKING:
    from benchmarks.harness import Options


_AS_IT_COMES = "ours, as it comes"
#: Whether there is a limit to what is held in memory.
_OURS = {_AS_IT_COMES: True, "ours, all in memory": False}


def run(options: Options) -> Result:
    """Run it."""
    sizes = options.pick((1_000, 3_000), (5_000, 20_000), (50_000, 150_000), (100_000, 500_000))
    many = options.pick((1_000, 3_000), (5_000, 200_000), (50_000, 1_000_000))
    contenders: dict[str, dict[str, Any]] = {
        name: {"target": "ours:collected", "limited": limited} for name, limited in _OURS.items()
    }
    if options.has_tcex:
        contenders["TcEx 5"] = {"target": "rivals:tcex_collect", "python": options.tcex_python}
    interfaces = options.pick((1,), (1, 3), (1, 3))
    rows, series, slopes = [], {}, {}
    for name, arguments in contenders.items():
        for interface in interfaces:
            numbers = many if name == _AS_IT_COMES else sizes
            peaks = [
                child(**arguments, number=number, interface=interface)["memory"]
                for number in numbers
            ]
            slope = (peaks[1] - peaks[0]) / (numbers[1] - numbers[0])
            full = f"{name}, interface {interface}"
            slopes[name, interface] = slope
            series[full] = [
                (number, most / (1 << 20)) for number, most in zip(numbers, peaks, strict=True)
            ]
            shown = [
                f"{most / (1 << 20):.0f} MiB at {number:,}"
                for number, most in zip(numbers, peaks, strict=True)
            ]
            rows.append((full, *shown, f"{slope:,.0f}"))
    ratios = [
        Ratio(
            name=f"TcEx 5 over {name}, interface {interface}",
            value=slopes["TcEx 5", interface] / max(1.0, slopes[name, interface]),
            least=8 if options.size >= Size.FULL else None,
            aim=20 if options.size >= Size.FULL else None,
        )
        for name in _OURS
        for interface in interfaces
        if ("TcEx 5", interface) in slopes
    ]
    return Result(
        title="Memory of what is collected",
        method=(
            "Indicators are collected in a fresh process each, here draining every 1,000: once as "
            "it comes, with a `memory_limit` of 64 MiB, and once with none, so that nothing goes "
            "to disk. What an entity takes is the difference of the peaks of two sizes, over the "
            "difference of the sizes."
        ),
        columns=("contender", "peak", "peak", "bytes an entity"),
        rows=rows,
        ratios=ratios,
        notes=[] if ratios else ["TcEx 5 was not there to be measured."],
        plot=Plot(x_label="indicators", y_label="peak memory, MiB", series=series),
    )

"""Build and encode, against TcEx and against the floor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import Plot, Ratio, Result, Size, child, least, rounds

if TYPE_CHECKING:
    from benchmarks.harness import Options

_METHOD = (
    "Each contender builds and encodes the same indicators in a fresh process, all of them with "
    "the same attribute, tags, label and scores, or each with a text of its own in its attribute "
    "where they are called unlike, draining every "
    "1,000 (`extend()` every 256) if nothing else is said, in interleaved rounds; the processor "
    "time per indicator is the least of them, since others on the machine only ever add to it. "
    "TcEx's documents are those of `batch.data`, encoded by `json` as TcEx does; the floor is "
    "dict literals and one `orjson.dumps` for each."
)
#: Interface 3 for many dicts at once, which TcEx does not have.
_EXTEND = "ours, extend()"
#: Dicts that are each unlike all others, as those of a feed that describes each.
_UNLIKE = "interface 3, each unlike"
#: As a service does that has each of them on its way when the call returns.
_EACH = "ours, interface 1, a drain() for each"
#: What is asked for against TcEx: at 100,000 entities, by interface; and at a million.
_BOUNDS = {1: (6.5, 10.0), 3: (10.0, 13.0)}
_MILLION = (15.0, 25.0)
_MILLION_TURNS = 5


def run(options: Options) -> Result:
    """Run it."""
    number = options.pick(200, 5_000, 100_000)
    turns = options.pick(1, 3, 7, 9)
    contenders = {
        f"ours, interface {interface}": {
            "target": "ours:build",
            "number": number,
            "interface": interface,
        }
        for interface in (1, 3)
    }
    contenders[_EXTEND] = {
        "target": "ours:build",
        "number": number,
        "interface": 3,
        "at_once": True,
    }
    contenders[f"ours, {_UNLIKE}"] = {
        "target": "ours:build",
        "number": number,
        "interface": 3,
        "unlike": True,
    }
    contenders[_EACH] = {"target": "ours:build", "number": number, "interface": 1, "every": 1}
    contenders["floor"] = {"target": "rivals:floor_build", "number": number}
    with_tcex = options.has_tcex
    if with_tcex:
        contenders |= {
            f"TcEx 5, interface {interface}": {
                "target": "rivals:tcex_build",
                "python": options.tcex_python,
                "number": number,
                "interface": interface,
            }
            for interface in (1, 3)
        }
        contenders[f"TcEx 5, {_UNLIKE}"] = {
            **contenders["TcEx 5, interface 3"],
            "unlike": True,
        }
    spent = {
        name: cpu * 1e6 / number for name, cpu in least(rounds(contenders, turns), "cpu").items()
    }
    rows = [_row(name, number, cost, spent["floor"]) for name, cost in spent.items()]
    ratios = []
    for interface in (1, 3):
        ours = spent[f"ours, interface {interface}"]
        if with_tcex:
            held_to = _BOUNDS[interface] if options.size >= Size.FULL else (None, None)
            what = f"TcEx 5 over ours, interface {interface}, {number:,} indicators"
            tcex = spent[f"TcEx 5, interface {interface}"]
            ratios.append(Ratio(name=what, value=tcex / ours, least=held_to[0], aim=held_to[1]))
        what = f"ours over the floor, interface {interface}, {number:,} indicators"
        ratios.append(Ratio(name=what, value=ours / spent["floor"], more_is_better=False))
    if with_tcex:
        what = f"TcEx 5 by interface 3 over ours by extend(), {number:,} indicators"
        ratios.append(Ratio(name=what, value=spent["TcEx 5, interface 3"] / spent[_EXTEND]))
        what = f"TcEx 5 over ours, {_UNLIKE}, {number:,} indicators"
        ratios.append(
            Ratio(name=what, value=spent[f"TcEx 5, {_UNLIKE}"] / spent[f"ours, {_UNLIKE}"])
        )
        what = f"TcEx 5 by interface 1 over ours with a drain() for each, {number:,} indicators"
        ratios.append(Ratio(name=what, value=spent["TcEx 5, interface 1"] / spent[_EACH]))
    notes = [] if with_tcex else ["TcEx 5 was not there to be measured."]
    if with_tcex and options.size >= Size.FULL:
        notes.append(
            "TcEx's million is measured once, and divided by how much longer the floor took right "
            "before and after it than at its best."
        )
    series = {"µs": list(spent.items())}
    if options.size >= Size.FULL:
        more, further = _million(options, with_tcex=with_tcex)
        rows += more
        ratios += further
        if with_tcex and options.size < Size.LONG:
            notes.append("TcEx's million by interface 3 is measured with `--long` only.")
    return Result(
        title="Build and encode",
        method=_METHOD,
        columns=("contender", "indicators", "µs of processor time each", "over the floor"),
        rows=rows,
        ratios=ratios,
        notes=notes,
        plot=Plot(x_label="", y_label=f"µs per indicator, of {number:,}", series=series),
    )


def _million(options: Options, *, with_tcex: bool) -> tuple[list[tuple[str, ...]], list[Ratio]]:
    """Measure a million: TcEx once, since it takes minutes, and the others as long in all."""
    number = 1_000_000
    contenders: dict[str, dict[str, Any]] = {
        f"ours, interface {interface}": {
            "target": "ours:build",
            "number": number,
            "interface": interface,
        }
        for interface in (1, 3)
    }
    contenders["floor"] = {"target": "rivals:floor_build", "number": number}
    found = least(rounds(contenders, _MILLION_TURNS), "cpu")
    floor = found["floor"] * 1e6 / number
    rows = [_row("floor", number, floor, floor)]
    ratios = []
    for interface in (1, 3):
        ours = found[f"ours, interface {interface}"] * 1e6 / number
        rows.append(_row(f"ours, interface {interface}", number, ours, floor))
        if with_tcex and (interface == 1 or options.size == Size.LONG):
            tcex = _tcex_million(options, number, interface, floor)
            rows.append(_row(f"TcEx 5, interface {interface}", number, tcex, floor))
            bound, aim = _MILLION
            what = f"TcEx 5 over ours, interface {interface}, {number:,} indicators"
            ratios.append(Ratio(name=what, value=tcex / ours, least=bound, aim=aim))
    return rows, ratios


def _tcex_million(options: Options, number: int, interface: int, floor: float) -> float:
    """Measure TcEx once, and take off by how much the machine was slower than at its best."""
    arguments = {"python": options.tcex_python, "number": number, "interface": interface}
    before = child("rivals:floor_build", number=number)["cpu"]
    spent = child("rivals:tcex_build", **arguments)["cpu"]
    after = child("rivals:floor_build", number=number)["cpu"]
    slower = (before + after) / 2 / (floor * number / 1e6)
    return float(spent) * 1e6 / number / max(slower, 1.0)


def _row(name: str, number: int, cost: float, floor: float) -> tuple[str, ...]:
    return (name, f"{number:,}", f"{cost:.2f}", f"{cost / floor:.2f}")

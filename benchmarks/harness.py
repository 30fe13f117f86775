"""What all benchmarks share: options, results, rounds, processes of their own, and peak memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

__all__ = [
    "Options",
    "Plot",
    "Ratio",
    "Result",
    "Server",
    "Size",
    "child",
    "least",
    "medians",
    "peak",
    "rounds",
    "server",
]

ROOT = Path(__file__).resolve().parent.parent
MEBI = 1 << 20


class Size(IntEnum):
    """How much is measured."""

    TINY = 0
    QUICK = 1
    FULL = 2
    LONG = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    What the command line asks for.

    Attributes:
        size: How much is measured.
        tcex_python: The Python that has TcEx 5.
    """

    size: Size = Size.FULL
    tcex_python: str = sys.executable

    def pick(self, tiny: Any, quick: Any, full: Any, long: Any = None) -> Any:
        """Choose what belongs to the size; what is not given for the long form is the full one."""
        return (tiny, quick, full, full if long is None else long)[self.size]

    @property
    def has_tcex(self) -> bool:
        """Whether TcEx can be measured."""
        command = [self.tcex_python, "-c", "import importlib.util as u; print(u.find_spec('tcex'))"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (our own arguments)
        except (OSError, subprocess.CalledProcessError):
            return False
        return found.stdout.strip() != "None"


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """
    One figure that the project is held to.

    Attributes:
        name: What is compared with what.
        value: What was measured.
        least: What it must reach, None where nothing is promised.
        aim: What it should reach.
        unit: What stands behind the number.
        more_is_better: Whether it is good to be above the bounds, or below.
    """

    name: str
    value: float
    least: float | None = None
    aim: float | None = None
    unit: str = "x"
    more_is_better: bool = True

    @property
    def verdict(self) -> str:
        """Say in a word whether it is where it should be."""
        if self.least is None or self.aim is None:
            return ""
        reached = [
            self.value >= bound if self.more_is_better else self.value <= bound
            for bound in (self.aim, self.least)
        ]
        return "aim reached" if reached[0] else "reached" if reached[1] else "missed"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """
    A picture of the rows.

    Attributes:
        x_label: What goes to the right.
        y_label: What goes up.
        series: Points by the name of their line; texts to the right make bars.
        log: Whether both axes are logarithmic.
    """

    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[Any, float]]]
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """
    What a benchmark found.

    Attributes:
        title: Its heading.
        method: What was done, in two sentences.
        columns: The heads of the table.
        rows: The table.
        ratios: The figures that count.
        notes: What is to be known about them.
        plot: A picture, if there is one.
    """

    title: str
    method: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    ratios: Sequence[Ratio] = ()
    notes: Sequence[str] = ()
    plot: Plot | None = None


def child(target: str, *, python: str = sys.executable, **arguments: Any) -> dict[str, Any]:
    """
    Call a function in a process of its own, so that heaps and caches are nobody else's.

    Args:
        target: The function, as ``module:function``; it returns a dict.
        python: The interpreter.
        **arguments: What it is called with.

    Returns:
        What it returned, and the peak memory of the process in bytes as ``peak``.

    Raises:
        RuntimeError: The process failed; what it said is in the message.
    """
    command = [python, "-m", "benchmarks.child", target, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603 (our own arguments)
    if done.returncode:
        raise RuntimeError(f"{target} failed:\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def rounds(
    contenders: Mapping[str, Mapping[str, Any]], number: int
) -> dict[str, list[dict[str, Any]]]:
    """
    Let contenders run in turns, each time in another order, so that noise hits all of them.

    Args:
        contenders: The arguments of `child` by name.
        number: How many rounds.

    Returns:
        The answers by name.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(number):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(child(**contenders[name]))
    return found


def medians(found: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> dict[str, float]:
    """Give the median of a figure for each contender."""
    return {name: median(answer[key] for answer in answers) for name, answers in found.items()}


def least(found: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> dict[str, float]:
    """
    Give the least of a figure for each contender.

    A machine that is shared runs at half of its speed for seconds or minutes, and never at twice
    its speed: of what a process takes of the processor, the least is nearest to what is needed.
    """
    return {name: min(answer[key] for answer in answers) for name, answers in found.items()}


def peak() -> int:
    """
    Give the most memory that this process has had, in bytes.

    Linux counts what the parent had in ``ru_maxrss`` after a fork, so its own figure comes first.
    """
    try:
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@dataclass
class Server:
    """A server in a process of its own."""

    address: dict[str, str]
    _process: subprocess.Popen[str] = field(repr=False)

    def busy(self) -> float:
        """Give the seconds in which it has worked on jobs, by its own record of them."""
        self._tell("busy")
        return float(self._answer()["busy"])

    def usage(self) -> dict[str, float]:
        """Give the seconds of processor time that it has used, and its peak memory in bytes."""
        self._tell("usage")
        return self._answer()

    def counts(self) -> dict[str, int]:
        """Give how much of each it holds, and how often it misbehaved."""
        self._tell("counts")
        return self._answer()

    def reset(self) -> None:
        """Forget everything."""
        self._tell("reset")
        self._answer()

    def _tell(self, word: str) -> None:
        _pipe(self._process.stdin).write(f"{word}\n")
        _pipe(self._process.stdin).flush()

    def _answer(self) -> dict[str, Any]:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError("the server of the benchmark is gone")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def server(kind: str, **settings: Any) -> Iterator[Server]:
    """
    Run a server in a process of its own.

    Args:
        kind: ``sandbox``, or ``sink`` which takes everything and has done it at once.
        **settings: Settings of the sandbox; ``upload_delay`` are seconds for each file, and
            ``faults`` what goes wrong.

    Yields:
        The server, listening.
    """
    command = [sys.executable, "-m", "benchmarks.servers", kind, json.dumps(settings)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:  # noqa: S603 (our own arguments)
        running = Server({}, process)
        try:
            running.address = running._answer()  # noqa: SLF001 (made here)
            yield running
        finally:
            _pipe(process.stdin).close()
            process.wait(30)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process has no pipe")
    return pipe

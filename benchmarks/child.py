"""A process of its own: calls the function that is named, and prints what it returned."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import warnings

from benchmarks.harness import peak


def main(target: str, arguments: str) -> None:
    """Call ``module:function`` with arguments in JSON, and print its answer in JSON."""
    warnings.simplefilter("ignore")  # TcEx uses what its own dependencies have deprecated
    module, _, name = target.partition(":")
    answer = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**json.loads(arguments))
    if inspect.iscoroutine(answer):
        import anyio  # noqa: PLC0415 (TcEx's environment need not have it)

        async def run() -> object:
            return await answer

        answer = anyio.run(run)
    print(json.dumps({"peak": peak(), **answer}))


if __name__ == "__main__":
    main(*sys.argv[1:])

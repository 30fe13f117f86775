"""TcEx 5 as a builder of documents, with nobody at the other end."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import orjson

from support.programs import run

with warnings.catch_warnings():
    # It uses what its own dependencies have deprecated.
    warnings.simplefilter("ignore")
    from tcex.api.tc.v2.batch.batch import Batch

if TYPE_CHECKING:
    from support.programs import Program


class _Answer:
    """The only answer that is needed to make a batch: there are no custom types."""

    ok = True
    status_code = 200

    @staticmethod
    def json() -> dict[str, Any]:
        return {"status": "Success", "data": {"indicatorType": []}}


class _Session:
    """Knows no custom indicator types, and sends nothing."""

    @staticmethod
    def get(*_: object, **__: object) -> _Answer:
        return _Answer()


def document(program: Program) -> dict[str, Any]:
    """
    Run a program on TcEx's own batch.

    Returns:
        The document as it would be sent, and what it keeps for upload under ``file``.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs = SimpleNamespace(model=SimpleNamespace(tc_temp_path=Path(folder)))
        batch = Batch(inputs, _Session(), "MyOrg")
        try:
            run(program, batch)
            data: dict[str, Any] = batch.data
        finally:
            batch.close()
    files = data.pop("file")
    return {**orjson.loads(orjson.dumps(data)), "file": files}

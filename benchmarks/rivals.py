"""The same work with TcEx 5, and with dict literals: the floor. Each runs in its own process."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benchmarks.harness import peak
from benchmarks.load import as_dict, as_unlike_dict, fill

if TYPE_CHECKING:
    from tcex.api.tc.v2.batch.batch import Batch

#: Built before the clock runs, so that what is made once is made.
_WARM_UP = 1000


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


def _batch(folder: str) -> Batch:
    """Make a batch of TcEx with nobody at the other end."""
    from tcex.api.tc.v2.batch.batch import Batch  # noqa: PLC0415 (it may be absent)

    inputs: Any = SimpleNamespace(model=SimpleNamespace(tc_temp_path=Path(folder)))
    session: Any = _Session()
    return Batch(inputs, session, "MyOrg")


def tcex_build(number: int, interface: int, *, unlike: bool = False) -> dict[str, Any]:
    """Build and encode with TcEx, as its submit does: ``json`` over ``batch.data``."""
    with tempfile.TemporaryDirectory() as folder:
        _encode(_collect(_batch(folder), _WARM_UP, interface, unlike=unlike))
        batch = _batch(folder)
        began, cpu = time.perf_counter(), time.process_time()
        nbytes = _encode(_collect(batch, number, interface, unlike=unlike))
        spent = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
        batch.close()
    return {**spent, "bytes": nbytes}


def _collect(batch: Batch, number: int, interface: int, *, unlike: bool = False) -> Batch:
    make = as_unlike_dict if unlike else as_dict
    if interface == 1:
        for index in range(number):
            fill(batch, index)
    else:
        for index in range(number):
            batch.add_indicator(make(index))
    return batch


def _encode(batch: Batch) -> int:
    nbytes = 0
    while (data := batch.data)["indicator"]:
        data.pop("file")
        nbytes += len(json.dumps(data).encode())
    return nbytes


def tcex_collect(number: int, interface: int) -> dict[str, Any]:
    """Collect with TcEx, and look at the memory."""
    with tempfile.TemporaryDirectory() as folder:
        batch = _collect(_batch(folder), number, interface)
        most = peak()
        batch.close()
    return {"memory": most}


def tcex_submit(address: dict[str, str], number: int, per_job: int) -> dict[str, Any]:
    """Submit with TcEx, as it comes, one batch of each job's size after the other."""
    from tcex import TcEx  # noqa: PLC0415 (it may be absent)

    with tempfile.TemporaryDirectory() as folder:
        names = ("tc_log_path", "tc_temp_path", "tc_out_path", "tc_in_path")
        config = {
            "tc_api_path": address["api_url"],
            "tc_api_access_id": address["access_id"],
            "tc_api_secret_key": address["secret_key"],
            "tc_owner": "MyOrg",
            **dict.fromkeys(names, folder),
        }
        tcex = TcEx(config=config)
        wall = 0.0
        for first in range(0, number, per_job):
            batch = tcex.api.tc.v2.batch(owner="MyOrg")
            for index in range(first, min(first + per_job, number)):
                fill(batch, index)
            began = time.perf_counter()
            batch.submit_all()
            wall += time.perf_counter() - began
            batch.close()
    return {"wall": wall}


def floor_build(number: int) -> dict[str, Any]:
    """Write dict literals and encode them at once: what cannot be undercut."""
    import orjson  # noqa: PLC0415 (TcEx's environment need not have it)

    for index in range(_WARM_UP):
        orjson.dumps(as_dict(index))
    began, cpu = time.perf_counter(), time.process_time()
    nbytes = 0
    for index in range(number):
        nbytes += len(orjson.dumps(as_dict(index)))
    spent = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    return {**spent, "bytes": nbytes}

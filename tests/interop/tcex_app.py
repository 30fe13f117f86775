"""
An app that uses TcEx 5 as it comes from PyPI; a process of its own, since TcEx takes signals.

The first line on standard input is its configuration; every further one names a step. Each step
is answered by one line of JSON. Only its clock is another one: sleeping takes a hundredth of a
second at most, since TcEx sleeps for fifteen before its first look at a job.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
import warnings
from typing import Any

_sleep = time.sleep
time.sleep = lambda seconds: _sleep(min(seconds, 0.01))

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tcex import TcEx
    from tcex.api.tc.v3.tql.tql_operator import TqlOperator


class App:
    """The steps of its life."""

    def __init__(self, tcex: Any) -> None:
        self.tcex = tcex

    def batch(self, **settings: Any) -> Any:
        """Make a batch, as apps do."""
        return self.tcex.api.tc.v2.batch(owner="MyOrg", **settings)

    def interfaces(self) -> Any:
        """Add groups and indicators by all three interfaces, and submit everything."""
        batch = self.batch()
        _three_interfaces(batch)
        statuses = batch.submit_all()
        batch.close()
        return statuses

    def one_chunk(self) -> Any:
        """Submit with the call for one chunk."""
        batch = self.batch()
        batch.adversary("adversary-001", xid="a-1")
        status = batch.submit()
        batch.close()
        return status

    def delete(self) -> Any:
        """Delete some of what `interfaces` has made."""
        batch = self.batch(action="Delete")
        batch.add_group({"type": "Threat", "name": "threat-001", "xid": "g-3"})
        batch.address("1.2.3.4", xid="i-1")
        statuses = batch.submit_all()
        batch.close()
        return statuses

    def files(self) -> Any:
        """Upload the content of documents and reports, in each form that TcEx takes."""
        batch = self.batch()
        batch.document("d", "d.txt", xid="d-1", file_content="a text")
        batch.document("d", "d.bin", xid="d-2", file_content=b"\x00\x01")
        batch.report("r", xid="r-1", file_name="r.txt", file_content=lambda xid: f"from {xid}")
        batch.report("r", xid="r-2")
        batch.group("Document", "d", xid="d-3").add_file("d3.txt", "added")
        batch.add_group(
            {"type": "Document", "name": "d", "xid": "d-4", "fileName": "4", "fileContent": "four"}
        )
        statuses = batch.submit_all()
        batch.close()
        return statuses

    def files_step_by_step(self) -> Any:
        """Upload contents with the call that says what became of each."""
        batch = self.batch()
        batch.document("d", "d.txt", xid="d-1", file_content="a text")
        batch.report("r", xid="r-2")
        content = batch.data
        files = content.pop("file")
        batch.submit_create_and_upload(content)
        return batch.submit_files(files)

    def errors(self) -> Any:
        """Send something that the server refuses, among others that it takes."""
        batch = self.batch(halt_on_error=False)
        batch.adversary("good", xid="good-1")
        batch.incident("incident-001", xid="bad-1", status="Bogus")
        batch.address("not an address", xid="bad-2")
        statuses = batch.submit_all()
        batch.close()
        return statuses

    def halt(self) -> Any:
        """The same in a job that stops at its first error."""
        batch = self.batch(halt_on_error=True)
        batch.incident("incident-001", xid="bad-1", status="Bogus")
        batch.adversary("good", xid="good-1")
        statuses = batch.submit_all()
        batch.close()
        return statuses

    def step_by_step(self) -> Any:
        """Create a job, give it its data, poll it and fetch its errors."""
        batch = self.batch()
        batch.adversary("adversary-001", xid="a-1")
        content = batch.data
        content.pop("file")
        batch_id = batch.submit_job()
        answer = batch.submit_data(batch_id, content)
        polled = batch.poll(batch_id)
        return {"answer": answer, "polled": polled, "errors": batch.errors(batch_id)}

    def callback(self) -> Any:
        """Submit with a callback, which polls in a thread."""
        batch = self.batch()
        batch.adversary("adversary-001", xid="a-1")
        seen: list[Any] = []
        sent = batch.submit_callback(seen.append)
        again = batch.submit_callback(seen.append)
        batch.close()
        return {"sent": sent, "again": again, "seen": seen}

    def associations(self) -> Any:
        """Link entities within a job, then by ids that the server has given."""
        batch = self.batch()
        batch.campaign("campaign-001", xid="c-1").association("c-2")
        batch.campaign("campaign-002", xid="c-2")
        batch.address("1.2.3.4", xid="i-1").association("c-1")
        batch.mutex("mutex-001", xid="i-2")
        first = batch.submit_all()
        campaign = self._id("groups", "campaign-001")
        address = self._id("indicators", "1.2.3.4")
        for association in (
            {"ref_1": "c-2", "id_2": address, "type_2": "Address"},
            {"id_1": campaign, "ref_2": "mutex-001", "type_2": "Mutex"},
            {
                "ref_1": "mutex-001",
                "type_1": "Mutex",
                "ref_2": "1.2.3.4",
                "type_2": "Address",
                "association_type": "Address to Indicators",
            },
        ):
            batch.add_association(association)
        second = batch.submit_all()
        batch.close()
        return {"first": first, "second": second}

    def _id(self, kind: str, summary: str) -> int:
        collection = getattr(self.tcex.api.tc.v3, kind)()
        collection.filter.summary(TqlOperator.EQ, summary)
        number: int = next(iter(collection)).model.id
        return number

    def browse(self) -> Any:
        """List groups and indicators over v3, delete one, and list again."""
        batch = self.batch()
        batch.adversary("adversary-001", xid="a-1")
        batch.adversary("adversary-002", xid="a-2")
        batch.submit_all()
        batch.close()
        v3 = self.tcex.api.tc.v3
        before = sorted(group.model.name for group in v3.groups())
        next(g for g in v3.groups() if g.model.name == "adversary-001").delete()
        return {"before": before, "after": [group.model.name for group in v3.groups()]}

    def types(self) -> Any:
        """List the attribute types of the instance."""
        return sorted(kind.model.name for kind in self.tcex.api.tc.v3.attribute_types())


def _three_interfaces(batch: Any) -> None:
    adversary = batch.adversary("adversary-001", xid="g-1")
    adversary.attribute("Description", "Example Description", True)
    adversary.tag("Example Tag")
    adversary.security_label("TLP:GREEN")
    event = batch.group("Event", "event-001", xid="g-2")
    event.add_key_value("eventDate", "2020-01-01T00:00:00Z")
    event.add_key_value("status", "New")
    event.association("g-1")
    batch.add_group(
        {
            "type": "Threat",
            "name": "threat-001",
            "xid": "g-3",
            "associatedGroupXid": ["g-1"],
            "tag": [{"name": "SafeToDelete"}],
        }
    )
    address = batch.address("1.2.3.4", rating="5.0", confidence="100", xid="i-1")
    address.tag("Example Tag")
    address.association("g-1")
    host = batch.indicator("Host", "www.badguys2.com", xid="i-2")
    host.add_key_value("dnsActive", True)
    file = batch.file("43c3609411c83f363e051d455ade78a6", xid="i-3")
    file.occurrence("drop1.exe", "C:\\test\\", "2017-02-02 01:02:03")
    batch.add_indicator(
        {
            "type": "Registry Key",
            "summary": "HKEY_LOCAL_MACHINE\\system : TRUE : REG_DWORD",
            "xid": "i-4",
            "associatedGroups": [{"groupXid": "g-1"}],
        }
    )


def main() -> None:
    """Do what standard input says."""
    app = App(TcEx(config=json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        try:
            answer = {"result": getattr(app, line.strip())()}
        except BaseException:  # noqa: BLE001 (the test is told)
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

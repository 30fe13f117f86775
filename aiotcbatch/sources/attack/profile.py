"""The profile of an ATT&CK group: everything known about it on one page of Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiotcbatch.sources.attack.model import AttackObject, Relation

__all__ = ["Profiles"]

#: The columns of the ATT&CK matrix, left to right.
_TACTICS = (
    "Reconnaissance",
    "Resource Development",
    "Initial Access",
    "Execution",
    "Persistence",
    "Privilege Escalation",
    "Defense Evasion",
    "Credential Access",
    "Discovery",
    "Lateral Movement",
    "Collection",
    "Command and Control",
    "Exfiltration",
    "Impact",
)
_NO_TACTIC = "Other"


class Profiles:
    """
    Renders the profiles of ATT&CK groups, from all objects and their relations.

    Args:
        objects: All objects.
        relations: All relations between them.
        namespace: What xids begin with.
        version: What they were read from, named at the end of each profile.
    """

    def __init__(
        self,
        objects: Sequence[AttackObject],
        relations: Iterable[Relation],
        *,
        namespace: str,
        version: str,
    ) -> None:
        self._namespace = namespace
        self._version = version
        self._related = _neighbours(objects, relations)
        sets = [item for item in objects if item.group_type == "Intrusion Set"]
        self._by_xid = {item.xid: item for item in sets}
        self._by_xid |= {self.report_xid(item): item for item in sets}

    def related(self, item: AttackObject) -> tuple[AttackObject, ...]:
        """
        Give the objects that one is related to, in either direction.

        Args:
            item: The object.

        Returns:
            The others, each once, in the order of all objects.
        """
        return self._related.get(item.uuid, ())

    def report_xid(self, item: AttackObject) -> str:
        """
        Give the xid of the Report about an object.

        Args:
            item: The object.

        Returns:
            An xid that is the same at every load.
        """
        return f"{self._namespace}:report:{item.uuid}"

    async def render(self, xid: str) -> str:
        """
        Render one profile; this is what an upload calls for the content of a report.

        Args:
            xid: The xid of the group, or of the report about it.

        Returns:
            Markdown.

        Raises:
            KeyError: When no group has that xid.
        """
        return "\n".join(self._lines(self._by_xid[xid]))

    def _lines(self, item: AttackObject) -> Iterator[str]:
        related = self.related(item)
        techniques = [other for other in related if other.group_type == "Attack Pattern"]
        yield from (f"# {item.name} ({item.external_id})", "")
        if item.url:
            yield f"- ATT&CK page: <{item.url}>"
        yield f"- Also known as: {', '.join(item.aliases) or 'no other name'}"
        yield from ("", "## Description", "", item.description or "ATT&CK has none.", "")
        yield from _techniques(techniques)
        yield from _software(related)
        yield from self._mitigations(techniques)
        yield from _references(item)
        yield from ("---", f"From MITRE ATT&CK, as carried by {self._version}.", "")

    def _mitigations(self, techniques: Sequence[AttackObject]) -> Iterator[str]:
        covered: Counter[AttackObject] = Counter()
        for technique in techniques:
            covered.update(
                other for other in self.related(technique) if other.group_type == "Course of Action"
            )
        yield from (f"## Mitigations ({len(covered)})", "")
        yield "How many of the techniques above each one helps against:" if covered else "None."
        yield ""
        for mitigation, count in sorted(
            covered.items(), key=lambda found: (-found[1], found[0].external_id)
        ):
            yield f"- {_link(mitigation)}: {count}"
        if covered:
            yield ""


def _neighbours(
    objects: Sequence[AttackObject], relations: Iterable[Relation]
) -> dict[str, tuple[AttackObject, ...]]:
    position = {item.uuid: index for index, item in enumerate(objects)}
    found: defaultdict[str, set[int]] = defaultdict(set)
    for relation in relations:
        found[relation.source].add(position[relation.target])
        found[relation.target].add(position[relation.source])
    return {
        uuid: tuple(objects[index] for index in sorted(indexes)) for uuid, indexes in found.items()
    }


def _techniques(techniques: Sequence[AttackObject]) -> Iterator[str]:
    by_tactic: defaultdict[str, list[AttackObject]] = defaultdict(list)
    for technique in techniques:
        for tactic in technique.tactics or (_NO_TACTIC,):
            by_tactic[tactic].append(technique)
    yield from (f"## Techniques by tactic ({len(techniques)})", "")
    if not techniques:
        yield from ("None.", "")
    known = [tactic for tactic in _TACTICS if tactic in by_tactic]
    for tactic in known + sorted(by_tactic.keys() - set(known)):
        yield from (f"### {tactic}", "")
        yield from (f"- {_link(technique)}" for technique in by_tactic[tactic])
        yield ""


def _software(related: Sequence[AttackObject]) -> Iterator[str]:
    software = [other for other in related if other.group_type in {"Malware", "Tool"}]
    yield from (f"## Software ({len(software)})", "")
    if not software:
        yield "None."
    for other in software:
        yield f"- {_link(other)}, {other.group_type.lower()}"
    yield ""


def _references(item: AttackObject) -> Iterator[str]:
    yield from (f"## References ({len(item.references)})", "")
    if not item.references:
        yield "None."
    yield from (f"- <{reference}>" for reference in item.references)
    yield ""


def _link(item: AttackObject) -> str:
    shown = f"[{item.external_id}]({item.url})" if item.url else item.external_id
    return f"{shown} {item.name}"

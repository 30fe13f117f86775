"""The values that ATT&CK is read into, and the kinds of objects that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KINDS", "AttackObject", "Kind", "Relation", "Statistics"]


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of ATT&CK object.

    Attributes:
        group_type: The ThreatConnect group type that it becomes.
        cluster: The misp-galaxy cluster that holds it.
        word: What ATT&CK calls one of it.
    """

    group_type: str
    cluster: str
    word: str


#: In the order in which they are added: what is used and mitigated comes before who uses it.
KINDS: tuple[Kind, ...] = (
    Kind("Attack Pattern", "mitre-attack-pattern", "technique"),
    Kind("Tool", "mitre-tool", "tool"),
    Kind("Malware", "mitre-malware", "malware"),
    Kind("Course of Action", "mitre-course-of-action", "mitigation"),
    Kind("Intrusion Set", "mitre-intrusion-set", "group"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackObject:
    """
    One technique, tool, malware, mitigation or group of ATT&CK.

    Attributes:
        group_type: The ThreatConnect group type that it becomes.
        uuid: The uuid of MITRE's STIX object.
        xid: The xid of the group that it becomes.
        external_id: ATT&CK's own id, such as ``T1055.001``.
        name: Its name without the id; a sub-technique's begins with its parent's.
        description: Markdown, without citation marks; "" if ATT&CK has none.
        url: Its page on attack.mitre.org, "" if it has none.
        aliases: Other names.
        references: URLs, without its own page.
        platforms: Such as ``Windows``.
        tactics: Such as ``Defense Evasion``.
        domains: ``Enterprise``, ``Mobile`` or ``PRE``; of techniques only.
        withdrawn: ``revoked``, ``deprecated``, ``replaced``, or "" for what is current.
    """

    group_type: str
    uuid: str
    xid: str
    external_id: str
    name: str
    description: str = ""
    url: str = ""
    aliases: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    withdrawn: str = ""


@dataclass(frozen=True, slots=True)
class Relation:
    """
    One relation between two objects that are both there.

    Attributes:
        source: The uuid of the object that has it.
        type: ``uses``, ``mitigates``, ``subtechnique-of``, ``revoked-by`` or ``related-to``.
        target: The uuid of the object that it points to.
    """

    source: str
    type: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """
    What was read, what became of it, and what was left out.

    The figures add up: ``objects_read`` is what was kept, withdrawn and repeated;
    ``relations_read`` is what was kept and the four ways of not being.

    Attributes:
        objects_read: Entries of the clusters.
        objects: Objects that were kept.
        withdrawn: Objects left out because ATT&CK has withdrawn them, by reason.
        repeated_objects: Entries with the uuid of an earlier one, left out.
        relations_read: Relations that the entries name, those of withdrawn entries included.
        relations: Relations that were kept, each pair of objects once.
        repeated_relations: Further relations between the same two objects, in either direction.
        self_relations: Relations of an object to itself.
        withdrawn_relations: Relations from or to an object that was left out.
        dangling_relations: Relations to what is not in ATT&CK, by type.
    """

    objects_read: int
    objects: int
    withdrawn: Mapping[str, int]
    repeated_objects: int
    relations_read: int
    relations: int
    repeated_relations: int
    self_relations: int
    withdrawn_relations: int
    dangling_relations: Mapping[str, int]

"""
MITRE ATT&CK, as the Python package pymispgalaxies carries it.

::

    from aiotcbatch.sources import attack

    knowledge = await attack.load()
    async with Client.from_env() as client:
        batch = client.batch("MyOrg")
        counts = knowledge.add_to(batch)
        status = await batch.submit()

What becomes what:

==================  ================  ==========================================================
ATT&CK              ThreatConnect     How
==================  ================  ==========================================================
technique           Attack Pattern    a sub-technique is named after its parent too:
                                      ``Process Injection: Ptrace System Calls``
tool                Tool
malware             Malware
mitigation          Course of Action
group               Intrusion Set     also tagged with the names of the techniques that it uses,
                                      which ThreatConnect turns into its ATT&CK tags
group               Report            its profile in Markdown, rendered when it is uploaded
relation            association       each pair once
external id         tag, attribute    ``T1055.001``, attribute ``External ID``
description         attribute         ``Description``, displayed, its source the ATT&CK page
other names         attributes        ``Aliases``, one for each
references          attributes        ``External References``, one for each
tactic, platform    tags              ``Defense Evasion``, ``Windows``
==================  ================  ==========================================================

An xid is ``mitre-attack:<uuid>``, the uuid being the one of MITRE's own STIX object, so it is the
same at every load and in every release, and a later load updates the groups of an earlier one. A
Report's is ``mitre-attack:report:<uuid of the group>``. Xids must be unique over a whole
ThreatConnect instance: give another ``namespace`` to hold ATT&CK in a second owner.

What ATT&CK has withdrawn (revoked, deprecated, replaced) is left out unless it is asked for. What
was left out, and why, is counted in ``Attack.statistics``.
"""

from __future__ import annotations

from aiotcbatch.sources.attack.knowledge import Attack, load
from aiotcbatch.sources.attack.model import AttackObject, Relation, Statistics

__all__ = ["Attack", "AttackObject", "Relation", "Statistics", "load"]

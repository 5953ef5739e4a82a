"""Who may change the rules, as the newest snapshot has it."""

from collections.abc import Iterable

from evidence.access.holders import NOT_FOLLOWED, not_told, who_may
from evidence.cluster.model import Cluster
from evidence.cluster.objects import KindResult
from evidence.intent.model import Intent
from evidence.report.view.model import AccessRow, AccessView


def access_view(cluster: Cluster, intent: Intent | None, kinds: Iterable[KindResult]) -> AccessView:
    """One row a subject and power, in the analysis' order; `kinds` are the snapshot's, which say what was not read."""
    found = who_may(cluster, intent)
    rows = []
    for holder in found.holders:
        for power in holder.powers:
            grants = [grant for grant in holder.grants if grant.power is power]
            rows.append(
                AccessRow(
                    subject=str(holder.subject),
                    standing=holder.standing.value,
                    power=power.value,
                    namespaces=holder.namespaces(power),
                    granted_by=tuple(dict.fromkeys(f"{grant.binding} ({grant.role})" for grant in grants)),
                    rights=tuple(dict.fromkeys(right for grant in grants for right in grant.rights)),
                )
            )
    missing = not_told(kinds)
    unknown = [f"the source does not tell all of {', '.join(missing)}, so there may be others"] if missing else []
    unknown += [f"{item.key} names {item.role}, which is not there or was not read" for item in found.unresolved]
    return AccessView(tuple(rows), tuple(unknown), NOT_FOLLOWED)

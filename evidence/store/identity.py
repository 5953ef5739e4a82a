"""Evidence of two clusters must not mix under one name.

The UID of the kube-system namespace stands for the cluster's own. A snapshot whose source tells one is compared with the newest stored
snapshot of its cluster that tells one, too; where either side is silent (manifests, say) nothing can be compared and nothing is refused.
"""

from sqlalchemy import Connection

from evidence.errors import InputError
from evidence.store.content import parse_details, unpack
from evidence.store.rows import SNAPSHOTS
from evidence.store.tables import ClusterRow, SnapshotRow

_ROWS_AT_ONCE = 4  # mostly the first one tells


def refuse_other_cluster(connection: Connection, cluster: str, uid: str) -> None:
    """Raises InputError when the newest snapshot of `cluster` that tells its UID tells another one than `uid` ("": not told)."""
    if not uid:
        return
    newest_first = SNAPSHOTS.where(ClusterRow.name == cluster).order_by(
        SnapshotRow.taken_at.desc(), SnapshotRow.id.desc()
    )
    with connection.execute(newest_first, execution_options={"yield_per": _ROWS_AT_ONCE}) as rows:
        for row in rows:
            source, _, _ = parse_details(unpack(row.details))
            if source.cluster_uid == uid:
                return
            if source.cluster_uid:
                raise InputError(
                    f"this is not the cluster whose snapshots are stored as {cluster}: the UID of namespace kube-system is {uid} here and "
                    f"{source.cluster_uid} in snapshot {row.id}; nothing was stored; give this cluster a name of its own with --cluster"
                )

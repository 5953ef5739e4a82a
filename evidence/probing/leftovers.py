"""What earlier runs left because they were killed, and who may remove it.

A pod of a run goes when its time is over, or when the process that made it is known to be dead: it ran on this host, and no process of
that number and start is here. A run on another host is left alone until its time is over.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence.probing.api import Pods
from evidence.probing.pods import EXPIRES, MADE_BY

_START_FIELD = 22  # of /proc/PID/stat (proc_pid_stat(5)): start time after boot


def this_process() -> str:
    """ "host/pid/start": no other process ever has it until the host boots again."""
    pid = os.getpid()
    return f"{platform.node()}/{pid}/{_start_of(pid)}"


def remove_leftovers(pods: Pods, now: datetime, *, everything: bool = False) -> tuple[str, ...]:
    """Remove pods that nobody needs any more ("namespace/name", sorted). `everything`: also those of runs that may still go on."""
    gone = [pod for pod in pods.marked() if everything or is_left(pod["metadata"], now)]
    for pod in gone:
        pods.delete(pod["metadata"]["namespace"], pod["metadata"]["name"])
    return names(gone)


def is_left(metadata: Mapping[str, Any], now: datetime) -> bool:
    """True when the run that made a pod is over or dead."""
    annotations = metadata.get("annotations") or {}
    try:
        expires = datetime.fromisoformat(annotations.get(EXPIRES, ""))
    except ValueError:
        return True  # not even marked to the end: made by nobody who still counts on it
    if expires.tzinfo is None or expires <= now.astimezone(UTC):
        return True
    host, pid, start = (*str(annotations.get(MADE_BY, "")).split("/"), "", "", "")[:3]
    return bool(host == platform.node() and pid.isdecimal() and _start_of(int(pid)) != start)


def names(pods: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods))


def _start_of(pid: int) -> str:
    """When a process of this host started, in ticks since boot; "" when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[_START_FIELD - 3]

"""The folder of a reassessment: one file a unit, each there whole or not at all, and a summary at the end.

    units/<cluster>-<8 hex>/2026-07.json      what came out of a unit, beside what went in
    reassessment.json                         the summary, of the run that ended last (reassessment.schema.json)

A unit whose file says the same inputs is done. A file that says others, or that cannot be read, is written again.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from evidence.canonical import digest
from evidence.errors import ReportError, UsageError
from evidence.pipeline.fleet.evaluation import FORMAT
from evidence.pipeline.fleet.units import Unit

SUMMARY = "reassessment.json"
UNITS = "units"


def refuse_another(folder: Path) -> None:
    """Raises UsageError for a folder that holds something and is no reassessment's, such as an archive: what is signed stays by itself.

    Hidden files do not count, since a run that was killed may have left a partial one; of one whose months all failed there is the summary alone.
    """
    try:
        names = (
            {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")} if folder.exists() else set()
        )
    except OSError as error:
        raise ReportError(f"--to {folder}: cannot be read: {error.strerror}; choose another --to") from error
    if names and not names & {UNITS, SUMMARY}:
        raise UsageError(
            f"--to {folder} holds something else than a reassessment: give a new folder, or that of an earlier run"
        )


def unit_path(folder: Path, cluster: str, month: str) -> Path:
    """Where a unit's result lies. The digest keeps apart what the readable part of the name does not."""
    readable = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")[:40]
    return folder / UNITS / f"{readable}-{digest(cluster.encode())[:8]}" / f"{month}.json"


def done(folder: Path, unit: Unit) -> bool:
    """True when the folder holds the result of just these inputs."""
    path = unit_path(folder, unit.cluster, unit.month)
    try:
        return bool(read_unit(path)["inputs"] == unit.inputs)
    except (FileNotFoundError, ReportError):
        return False


def read_unit(path: Path) -> Mapping[str, Any]:
    """A unit's file. Raises FileNotFoundError, and ReportError for one that this version did not write."""
    try:
        value = orjson.loads(path.read_bytes())
        if value["format"] == FORMAT and isinstance(value["inputs"], dict) and isinstance(value["moments"], list):
            found: Mapping[str, Any] = value
            return found
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}") from error
    raise ReportError(f"{path}: is no {FORMAT}; delete it and run the same again")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever looks sees the old one or the new one. Raises ReportError."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written: {error.strerror}; choose another --to") from error
    finally:
        partial.unlink(missing_ok=True)

"""Where a snapshot comes from: files or a live cluster, the owner's intent file, and who reads them."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evidence import __version__
from evidence.canonical import digest
from evidence.cluster.objects import Collection
from evidence.errors import InputError
from evidence.values import value

if TYPE_CHECKING:
    from evidence.intent.model import Intent
    from evidence.store import RunInfo


@value()
class FileSource:
    """Manifests or dumps; "-" among `paths` reads `stdin`."""

    paths: Sequence[str]
    stdin: BinaryIO | None = None


@value()
class LiveSource:
    """A live API server by kubeconfig context, or from inside a pod."""

    context: str | None = None
    kubeconfig: str | None = None
    in_cluster: bool = False
    impersonate: str | None = None


def read_source(source: FileSource | LiveSource, *, keep_going: bool) -> tuple[Collection, str]:
    """The collection and the name by which the source knows the cluster ("" for files)."""
    if isinstance(source, FileSource):
        from evidence.collect.files import collect_files

        return collect_files(source.paths, stdin=source.stdin, keep_going=keep_going), ""
    from evidence.collect.cluster import collect_cluster, connect

    connection = connect(
        context=source.context,
        kubeconfig=source.kubeconfig,
        in_cluster=source.in_cluster,
        impersonate=source.impersonate,
    )
    return collect_cluster(connection, keep_going=keep_going), connection.cluster_name


def source_location(source: FileSource | LiveSource) -> str:
    """What a source was told to read, for the record of a run that never came to know more."""
    if isinstance(source, FileSource):
        return " ".join(source.paths)
    return "in-cluster" if source.in_cluster else source.context or "current context"


def read_intent(path: Path | None) -> bytes | None:
    """The intent file's bytes, checked; None without a path."""
    if path is None:
        return None
    from evidence.intent.parse import parse_intent

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; give the intent file with --intent") from error
    parse_intent(data, str(path))
    return data


def parsed_intent(data: bytes | None, source: str) -> "Intent | None":
    from evidence.intent.parse import parse_intent

    return None if data is None else parse_intent(data, source)


def run_info(command: str, location: str, identity: str = "") -> "RunInfo":
    """Chain of custody of one execution: software, host, identity (default this process's user), command, source."""
    from evidence.store import RunInfo

    return RunInfo(
        software_version=__version__,
        host=platform.node(),
        identity=identity or os.environ.get("USER", "") or f"uid {os.getuid()}",
        command=command,
        configuration_digest=digest(location.encode(errors="surrogateescape")),
    )

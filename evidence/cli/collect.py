"""`evidence collect`: one snapshot into the store."""

import sys
from datetime import datetime
from pathlib import Path

import click

from evidence.cli.options import Time, database_option, now


@click.command("collect")
@click.option(
    "--from",
    "from_paths",
    multiple=True,
    metavar="PATH",
    help="Files or folders of YAML or JSON, kubectl dumps, or - for standard input, instead of a live cluster.",
)
@click.option("--context", help="Context of the kubeconfig; default its current one.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Kubeconfig file; default as kubectl finds it.")
@click.option("--in-cluster", is_flag=True, help="Use the service account of the pod this runs in.")
@click.option("--as", "impersonate", metavar="USER", help="Impersonate a user.")
@click.option("--cluster", help="Name of the cluster in the store; default the context's cluster.")
@click.option("--taken-at", type=Time(), help="When a dump was taken (recorded as claimed); only with --from.")
@click.option(
    "--intent", type=click.Path(path_type=Path), help="The owner's segmentation.yaml, kept with the snapshot."
)
@click.option("--keep-going", is_flag=True, help="Leave out objects that are wrong; the snapshot is marked partial.")
@click.option("--allow-partial", is_flag=True, help="Exit 0 even when the snapshot is partial.")
@database_option
def command(
    from_paths: tuple[str, ...],
    context: str | None,
    kubeconfig: Path | None,
    in_cluster: bool,
    impersonate: str | None,
    cluster: str | None,
    taken_at: datetime | None,
    intent: Path | None,
    keep_going: bool,
    allow_partial: bool,
    db: str,
) -> int:
    """Take one snapshot of a cluster, or of manifests, into the store.

    Exit codes: 0 stored whole, 3 stored but partial (0 with --allow-partial) or not stored.
    """
    from evidence import pipeline

    if from_paths and (context or kubeconfig or in_cluster or impersonate):
        raise click.UsageError("--from reads files; it goes with none of --context, --kubeconfig, --in-cluster, --as")
    if taken_at and not from_paths:
        raise click.UsageError("--taken-at is for dumps taken earlier; it needs --from")
    if taken_at and taken_at > now():
        raise click.UsageError(
            f"--taken-at {taken_at:%Y-%m-%dT%H:%MZ} is still to come; give the time at which the dump was taken"
        )
    if from_paths and not cluster:
        raise click.UsageError("--from needs --cluster NAME: files do not say which cluster they are of")
    source = (
        pipeline.FileSource(from_paths, sys.stdin.buffer)
        if from_paths
        else pipeline.LiveSource(context, str(kubeconfig) if kubeconfig else None, in_cluster, impersonate)
    )
    stored = pipeline.collect_snapshot(
        db,
        source,
        cluster=cluster,
        taken_at=taken_at,
        received_at=now(),
        intent_path=intent,
        keep_going=keep_going,
        clock=now,
        record_failure=not from_paths,
    )
    click.echo(
        f"snapshot {stored.info.id} of {stored.info.cluster}: {stored.info.object_count} objects, "
        f"{stored.new_objects} new, root {stored.info.root_digest[:16]}"
    )
    for line in stored.shortfalls:
        click.echo(f"partial: {line}", err=True)
    return 3 if stored.info.partial and not allow_partial else 0

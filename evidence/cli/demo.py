"""`evidence demo`: the real commands, one after another, on the sample cluster."""

import contextlib
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import click

from evidence.errors import ReportError, UsageError

MARKER = ".made-by-evidence-demo"


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("evidence-demo"),
    show_default=True,
    help="Where everything goes; an earlier demo there is replaced.",
)
@click.pass_context
def command(ctx: click.Context, folder: Path) -> int:
    """Run the whole pipeline on the sample cluster shipped in the package: collect, report, verify."""
    prepare(folder)
    with without_settings():
        return walk(ctx, folder)


def walk(ctx: click.Context, folder: Path) -> int:
    """Collect each dump, report for every framework, verify every pack, and say what to open."""
    from evidence.sample import CLUSTER_NAME, intent_path, sample_dumps
    from evidence.seal.keys import own_fingerprint

    started = time.perf_counter()
    database, keys, archive = folder / "evidence.db", folder / "keys", folder / "archive"
    for dump in sample_dumps():
        taken = dump.taken_at.strftime("%Y-%m-%dT%H:%MZ")
        run(ctx, "collect", "--from", dump.path, "--cluster", CLUSTER_NAME, "--taken-at", taken, "--intent", intent_path(),
            "--db", database, "--keys", keys)  # fmt: skip
    run(ctx, "report", "--framework", "all", "--period", "2026-07-01..2026-09-30", "--expect-every", "31d", "--db", database,
        "--archive", archive, "--keys", keys)  # fmt: skip
    trust = f"sha256:{own_fingerprint(keys)}"
    packs = sorted(path.parent for path in archive.glob("*/manifest.json"))
    for pack in packs:
        run(ctx, "verify", pack, "--trust", trust)
    click.echo(f"\nDone in {time.perf_counter() - started:.1f} s. This is sample data: no real cluster was read. Open:")
    click.echo(f"  archive   {(archive / 'index.html').resolve().as_uri()}")
    for pack in packs:
        click.echo(f"  pack      {pack / 'index.html'}   {pack / 'report.pdf'}")
    click.echo(f"  browse    evidence serve --db {quoted(database)} --archive {quoted(archive)} --keys {quoted(keys)}")
    click.echo(f"  verify    evidence verify {quoted(packs[0])} --trust {trust}")
    return 0


def quoted(path: Path) -> str:
    """A path as one word of a shell."""
    return shlex.quote(str(path))


def prepare(folder: Path) -> None:
    """An empty folder with the demo's marker; replaces an earlier demo and nothing else."""
    try:
        if folder.exists() and any(folder.iterdir()):
            if not (folder / MARKER).exists():
                raise UsageError(f"{folder} is not empty and not an earlier demo; choose another with --folder")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise ReportError(f"{folder}: cannot be written: {error.strerror}; choose another with --folder") from error


@contextlib.contextmanager
def without_settings() -> Iterator[None]:
    """The caller's EVIDENCE_* variables are for their own clusters: a context set there would send the demo to a real one."""
    own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("EVIDENCE_")}
    try:
        yield
    finally:
        os.environ.update(own)


def run(ctx: click.Context, name: str, *arguments: str | Path) -> None:
    """Print and run one command of this program, as its user would."""
    words = [str(argument) for argument in arguments]
    click.secho(f"\n$ evidence {name} {shlex.join(words)}", bold=True)
    started = time.perf_counter()
    parent = ctx.parent
    assert parent is not None  # noqa: S101  (a subcommand always has the group above it)
    group = parent.command
    assert isinstance(group, click.Group)  # noqa: S101
    command = group.get_command(parent, name)
    assert command is not None  # noqa: S101
    code = command.main(args=words, prog_name=f"evidence {name}", standalone_mode=False)
    if code:
        ctx.exit(int(code))
    click.secho(f"  ({time.perf_counter() - started:.1f} s)", dim=True)

"""`evidence verify`: check a pack offline."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.options import Time, key_folder, now

if TYPE_CHECKING:
    from evidence.seal.verify import Verification

_COLOURS = {"ok": "green", "failed": "red", "not checked": "yellow"}


@click.command("verify")
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="FILE|sha256:FINGERPRINT",
    help="A certificate that you trust, of the signer or of the authority that issued theirs; may be repeated.",
)
@click.option(
    "--trust-timestamps",
    "timestamps_trusted",
    multiple=True,
    metavar="FILE|sha256:FINGERPRINT",
    help="The certificate of a timestamp authority that you believe, or of the authority that issued it; may be repeated.",
)
@click.option(
    "--at",
    type=Time(),
    help="A time at which you know that you already had this pack; the certificate has to be valid then rather than now.",
)
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(
    pack: Path, trusted: tuple[str, ...], timestamps_trusted: tuple[str, ...], at: datetime | None, output: str
) -> int:
    """Check a pack (a folder, or a zip of one): every file, every signature, and whose they are.

    Exit code 0 only when the pack is intact and its signer is one that you trust: by --trust, or by a certificate in your own
    key folder. Nothing is fetched and nothing in the pack is believed beforehand.
    """
    from evidence import pipeline

    answer = pipeline.verify_pack(pack, trusted, key_folder(), at or now(), timestamps_trusted)
    if output == "json":
        click.echo(json.dumps(as_json(answer), indent=1))
    else:
        show(answer)
    return 0 if answer.good else 1


def as_json(answer: "Verification") -> dict[str, object]:
    """The answer as JSON types."""
    return {
        "good": answer.good,
        "intact": answer.intact,
        "trusted": answer.trusted,
        "pack_id": answer.manifest.get("pack_id"),
        "about": answer.about,
        "signer": answer.signer,
        "fingerprint": answer.fingerprint,
        "signed_at": answer.signed_at.isoformat() if answer.signed_at else None,
        "checks": [
            {"check": one.name, "outcome": one.outcome.value, "path": one.path, "words": one.words}
            for one in answer.checks
        ],
    }


def show(answer: "Verification") -> None:
    """One line a check, then the conclusion."""
    for one in answer.checks:
        outcome = click.style(f"{one.outcome.value:<11}", fg=_COLOURS[one.outcome.value])
        click.echo(f"{outcome}  {one.name:<11}  {printable(one.words)}")
    signer, subject = printable(answer.signer or ""), printable(answer.about)
    if answer.good:
        click.secho(f"\nIntact, and signed by {signer}, whom you trust.", fg="green", bold=True)
        click.echo(f"The pack is about: {subject}")
    elif answer.intact and answer.fingerprint:
        click.secho(
            f"\nIntact, but not shown to be from whom you think: it was signed by a key that calls itself {signer!r}.",
            fg="red",
            bold=True,
        )
        click.echo(
            "Ask the signer for the fingerprint of their certificate by another way (not from this pack). Only if it is\n"
            f"  sha256:{answer.fingerprint}\n"
            "give it with --trust. "
            f"The pack says that it is about: {subject}"
        )
    else:
        failed = sum(one.outcome.value == "failed" for one in answer.checks)
        click.secho(f"\nNot as it was signed: {failed} check{'s' if failed != 1 else ''} failed.", fg="red", bold=True)


def printable(text: str) -> str:
    """Text from a pack, without what could move a terminal's cursor or change its colours."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

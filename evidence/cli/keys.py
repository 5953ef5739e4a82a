"""`evidence keys`: show or make the key that signs packs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evidence.cli.options import key_folder, now
from evidence.cli.verify import printable

if TYPE_CHECKING:
    from evidence.seal.keys import Signer

_folder = click.option(
    "--keys",
    "folder",
    type=click.Path(path_type=Path),
    help="Folder of the key; default evidence/keys in your configuration folder.",
)


@click.group("keys")
def command() -> None:
    """The key that signs packs when no other is given: made on first use, or here beforehand."""


@command.command("show")
@_folder
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(folder: Path | None, output: str) -> int:
    """The certificate of the key: fingerprint, subject, validity, and where it lies. The key itself is never shown."""
    from evidence.seal import keys

    folder = folder or key_folder()
    write(keys.load_own(folder), folder, output)
    return 0


@command.command("create")
@_folder
@click.option("--organisation", default="evidence", show_default=True, help="Whose key it is, as the certificate says.")
def create(folder: Path | None, organisation: str) -> int:
    """Make a key and its self-signed certificate; an existing key stays as it is."""
    from evidence.errors import SealError
    from evidence.seal import keys

    folder = folder or key_folder()
    if not keys.create(folder, organisation, now()):
        raise SealError(f"{folder}: there is a signing key here already; `evidence keys show` shows it")
    write(keys.load_own(folder), folder, "table")
    return 0


def write(signer: "Signer", folder: Path, output: str) -> None:
    """What may be told of a key."""
    from evidence.seal.keys import CERTIFICATE_FILE, KEY_FILE

    certificate = signer.certificate
    shown = {
        "fingerprint": f"sha256:{signer.fingerprint}",
        "subject": certificate.subject.rfc4514_string(),
        "self_signed": signer.self_signed,
        "valid_from": certificate.not_valid_before_utc.isoformat(),
        "valid_until": certificate.not_valid_after_utc.isoformat(),
        "key": str(folder / KEY_FILE),
        "certificate": str(folder / CERTIFICATE_FILE),
    }
    if output == "json":
        click.echo(json.dumps(shown, indent=1))
        return
    for name, value in shown.items():
        words = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
        click.echo(f"{name.replace('_', ' '):<12} {printable(str(words))}")

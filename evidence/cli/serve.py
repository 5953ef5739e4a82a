"""`evidence serve`: the read-only web application over the store."""

import os
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from evidence.cli.options import Interval, database_option, key_folder, now
from evidence.cli.process import keep
from evidence.errors import CollectError, UsageError

if TYPE_CHECKING:
    from evidence.service.web.access import Authentication, Network

SECRET = "EVIDENCE_OIDC_CLIENT_SECRET"  # noqa: S105  (a variable's name)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@click.command("serve")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="ADDRESS:PORT", help="Where to listen.")
@click.option(
    "--archive", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of packs to show."
)
@click.option("--expect-every", type=Interval(), default="24h", show_default=True, help="How often a snapshot is due.")
@click.option(
    "--controls",
    "controls_folder",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of your own frameworks.",
)
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    metavar="FILE|sha256:FINGERPRINT",
    help="As for `evidence verify`; may be repeated.",
)
@click.option("--keys", "keys_folder", type=click.Path(path_type=Path), help="Folder whose certificates are trusted.")
@click.option(
    "--host", "names", multiple=True, metavar="NAME", help="A name by which people reach the server; may be repeated."
)
@click.option(
    "--auth",
    type=click.Choice(["none", "proxy", "oidc"]),
    default="none",
    show_default=True,
    help="How people are known; none only on a loopback address.",
)
@click.option("--owner-group", "owner_groups", multiple=True, metavar="GROUP", help="A group that sees everything.")
@click.option(
    "--auditor-group",
    "auditor_groups",
    multiple=True,
    metavar="GROUP",
    help="A group that sees packs and evidence only.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    metavar="CIDR",
    help="Addresses of the authenticating proxy; may be repeated.",
)
@click.option("--user-header", default="X-Forwarded-User", show_default=True, help="The proxy's header with the user.")
@click.option(
    "--groups-header",
    default="X-Forwarded-Groups",
    show_default=True,
    help="The proxy's header with groups, by commas.",
)
@click.option("--public-url", metavar="URL", help="Where people reach the server, such as https://evidence.example.")
@click.option("--oidc-issuer", metavar="URL", help="The OpenID provider, as its own metadata names it.")
@click.option("--oidc-client-id", metavar="ID", help="The client that the provider knows this server as.")
@click.option(
    "--oidc-client-secret-file",
    type=click.Path(path_type=Path),
    help=f"File with the client's secret; else {SECRET}.",
)
@click.option("--oidc-groups-claim", default="groups", show_default=True, help="The claim of the ID token with groups.")
@click.option(
    "--oidc-scope", "scopes", multiple=True, metavar="SCOPE", help="A further scope to ask for, such as groups."
)
@click.option(
    "--metrics-from",
    multiple=True,
    metavar="CIDR",
    help="Addresses that may read /metrics without logging in; may be repeated.",
)
@database_option
def command(
    listen: str,
    archive: Path | None,
    expect_every: timedelta,
    controls_folder: tuple[Path, ...],
    trusted: tuple[str, ...],
    keys_folder: Path | None,
    names: tuple[str, ...],
    auth: str,
    owner_groups: tuple[str, ...],
    auditor_groups: tuple[str, ...],
    proxies: tuple[str, ...],
    user_header: str,
    groups_header: str,
    public_url: str | None,
    oidc_issuer: str | None,
    oidc_client_id: str | None,
    oidc_client_secret_file: Path | None,
    oidc_groups_claim: str,
    scopes: tuple[str, ...],
    metrics_from: tuple[str, ...],
    db: str,
) -> int:
    """A read-only web application over the store, and the same as JSON: clusters, snapshots, timeline, findings, reachability, packs.

    Nothing can be changed through it. /healthz, /readyz and /metrics are for machines; /api/openapi.json describes the API.
    Without --auth it listens on loopback alone. SIGTERM and SIGINT stop it.

    Exit codes: 0 stopped by a signal, 2 usage, 3 it could not start.
    """
    address, port = parse_listen(listen)
    if auth == "none" and not ip_address(address).is_loopback:
        raise UsageError(
            f"--listen {listen} can be reached from elsewhere, and nobody would be asked who they are: give --auth proxy or --auth "
            "oidc, or listen on 127.0.0.1"
        )
    try:
        from evidence.service.web.access import Groups, NoAuthentication, ProxyAuthentication
        from evidence.service.web.app import Door, build
        from evidence.service.web.run import serve
        from evidence.service.web.site import Plan, Site
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a package of the web application is not installed ({error.name}): pip install 'evidence[serve]'"
        ) from error
    from evidence.frameworks.load import load_frameworks
    from evidence.store import Store

    if auth != "none" and not owner_groups and not auditor_groups:
        raise UsageError(
            f"--auth {auth} needs groups that may see something: give --owner-group, --auditor-group or both"
        )
    groups = Groups(frozenset(owner_groups), frozenset(auditor_groups))
    public = checked_url(public_url, "--public-url") if public_url else None
    authentication: Authentication
    if auth == "proxy":
        if not proxies:
            raise UsageError("--auth proxy needs the proxy's addresses: give --trusted-proxy CIDR")
        authentication = ProxyAuthentication(networks(proxies, "--trusted-proxy"), user_header, groups_header, groups)
    elif auth == "oidc":
        if not (public and oidc_issuer and oidc_client_id):
            raise UsageError("--auth oidc needs --public-url, --oidc-issuer and --oidc-client-id")
        from evidence.service.web.oidc import OidcAuthentication, Provider

        provider = Provider(
            issuer=checked_url(oidc_issuer, "--oidc-issuer"),
            client_id=oidc_client_id,
            client_secret=client_secret(oidc_client_secret_file),
            public_url=public,
            groups_claim=oidc_groups_claim,
            scopes=("openid", "profile", "email", *scopes),
        )
        authentication = OidcAuthentication(provider, groups, say)
    else:
        authentication = NoAuthentication()
    Store.open(db, read_only=True).close()  # what is wrong with the store is said at once
    plan = Plan(
        db=db,
        archive=archive,
        expect_every=expect_every,
        frameworks=tuple(load_frameworks(controls_folder).values()),
        trusted=trusted,
        key_folder=keys_folder or key_folder(),
        controls_folders=controls_folder,
        clock=now,
    )
    own = (urlsplit(public).hostname or "",) if public else ()
    reached_as = allowed_names(address, (*names, *own))
    if not reached_as:
        raise UsageError(f"--listen {listen}: say by which name people reach the server: give --host or --public-url")
    scrapers = networks(metrics_from, "--metrics-from")
    if any(
        one.version == other.version and one.overlaps(other)
        for one in scrapers
        for other in networks(proxies, "--trusted-proxy")
    ):
        raise UsageError(
            "--metrics-from holds addresses of --trusted-proxy: everybody who comes by the proxy would read the metrics"
        )
    door = Door(
        authentication=authentication,
        names=reached_as,
        metrics_from=scrapers,
        secure=bool(public and public.startswith("https://")),
    )
    site = keep(Site(plan))  # and with it the end of the process: an analysis under way is not waited for
    say(f"listening on http://{listen}" + (f", reached as {public}" if public else ""))
    try:
        serve(build(site, door), site, address, port, say)
    except OSError as error:
        raise CollectError(f"cannot listen on {listen}: {error.strerror or error}; choose another --listen") from error
    say("stopped")
    return 0


def parse_listen(text: str) -> tuple[str, int]:
    """ "127.0.0.1:8080" or "[::1]:8080". Raises UsageError."""
    address, _, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]") if address.startswith("[") else address
    address = "127.0.0.1" if address == "localhost" else address
    try:
        ip_address(address)
        if port.isdecimal() and 0 < int(port) <= 65535:
            return address, int(port)
    except ValueError:
        pass
    raise UsageError(
        f"--listen {text!r} is not an address and a port such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"
    )


def networks(texts: tuple[str, ...], option: str) -> "tuple[Network, ...]":
    """Raises UsageError for what is no network."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise UsageError(f"{option}: {error}; give a network such as 10.0.0.0/24") from None


def allowed_names(address: str, names: tuple[str, ...]) -> frozenset[str]:
    """What the Host header may be: the names that were given, and those of loopback where the server listens there."""
    given = {name.lower() for name in names if name}
    return frozenset(given | set(LOOPBACK_NAMES)) if ip_address(address).is_loopback else frozenset(given)


def checked_url(text: str, option: str) -> str:
    """An https address, or http on loopback: anything else could be read, or answered, by others on the way. Raises UsageError."""
    parts = urlsplit(text)
    if parts.scheme == "https" and parts.hostname:
        return text
    if parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return text
    raise UsageError(f"{option} {text!r} must begin with https:// (http:// only on loopback)")


def client_secret(path: Path | None) -> str:
    """From the file, or from the environment. Raises UsageError when it is nowhere."""
    if path is None:
        if not os.environ.get(SECRET):
            raise UsageError(f"--auth oidc needs the client's secret: give --oidc-client-secret-file, or set {SECRET}")
        return os.environ[SECRET]
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the client's secret cannot be read: {error}") from error
    if not secret:
        raise UsageError(f"{path}: holds no secret")
    return secret


def say(line: str) -> None:
    """One line of the log, on standard output."""
    moment: datetime = now()
    click.echo(f"{moment:%Y-%m-%dT%H:%M:%SZ} {line}")

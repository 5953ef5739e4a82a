"""Who asks, and what they may see.

1. Without authentication everybody who can connect is the owner; that is refused unless the server listens on loopback alone.
2. Behind an authenticating proxy the user and the groups stand in headers, which count only on connections from the proxy's own addresses;
   any other connection is refused, whatever its headers say. A header that is given twice is refused.
3. With OpenID Connect they stand in the session (oidc.py).
4. Groups give roles. Who has neither role may see nothing; who has both is the owner.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol

from starlette.requests import Request
from starlette.routing import Route

Network = IPv4Network | IPv6Network


class Role(StrEnum):
    """The owner sees everything; the auditor packs and evidence of the process (views.py says which)."""

    OWNER = "owner"
    AUDITOR = "auditor"


OWNER = frozenset({Role.OWNER})
BOTH = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Who:
    """A user; `role` is None for one who has none. `can_leave`: there is a session to end."""

    name: str
    role: Role | None
    can_leave: bool = False


@dataclass(frozen=True, slots=True)
class Groups:
    """Which groups give which role."""

    owners: frozenset[str]
    auditors: frozenset[str]

    def role(self, groups: Iterable[str]) -> Role | None:
        found = frozenset(groups)
        if found & self.owners:
            return Role.OWNER
        return Role.AUDITOR if found & self.auditors else None


class Refused(Exception):  # noqa: N818  (an answer)
    """Not from here, or not so; `str()` says why, for a person."""


class Authentication(Protocol):
    """Tells who asks."""

    def who(self, request: Request) -> Who | None:
        """None when the user is not known yet. Raises Refused."""

    def login(self) -> "LogIn | None":
        """How one who is not known yet comes to be, None when that is not this server's business."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """`path` is where to begin; `routes` are what it takes, and `session` how Starlette's sessions are set up for it."""

    path: str
    routes: Sequence[Route]
    session: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NoAuthentication:
    """Rule 1."""

    def who(self, request: Request) -> Who | None:
        return Who("", Role.OWNER)

    def login(self) -> LogIn | None:
        return None


@dataclass(frozen=True, slots=True)
class ProxyAuthentication:
    """Rule 2."""

    proxies: Sequence[Network]
    user_header: str
    groups_header: str
    groups: Groups

    def who(self, request: Request) -> Who | None:
        if not within(client_of(request), self.proxies):
            raise Refused("connections are taken from the authenticating proxy alone")
        user = _single(request, self.user_header)
        if not user:
            raise Refused("the proxy named no user")
        named = _single(request, self.groups_header)
        return Who(user, self.groups.role(part.strip() for part in named.split(",")))

    def login(self) -> LogIn | None:
        return None


def _single(request: Request, header: str) -> str:
    values = request.headers.getlist(header)
    if len(values) > 1:
        raise Refused(f"the header {header} is given twice")
    return values[0].strip() if values else ""


def client_of(request: Request) -> str:
    """The address that the connection comes from; "" when it is not known. Never what a header says."""
    return request.client.host if request.client else ""


def within(address: str, networks: Iterable[Network]) -> bool:
    """An IPv4 address that came in by IPv6 counts as itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return any(found.version == network.version and found in network for network in networks)

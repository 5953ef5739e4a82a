"""Log-in by OpenID Connect: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636), by Authlib.

1. The provider's metadata has to be of the issuer that was configured, word for word (OpenID Connect Discovery 1.0, 4.3).
2. The ID token has to be signed by one of the provider's keys with an asymmetric algorithm, and be of that issuer, for this client alone, not
   expired, with the nonce of this log-in. Anything else is refused, and so is an answer without an ID token.
3. The session is a cookie, signed with a key that lives as long as the process: name, role and until when. It is HttpOnly, SameSite=Lax (the
   provider's answer comes from another site), Secure and bound to this host where people come by https. It ends after SESSION_SECONDS,
   and a new log-in asks the provider again.
4. Groups are read at log-in; who loses a group keeps the role for that long at most.
"""

import secrets
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from evidence.service.web import pages
from evidence.service.web.access import Groups, LogIn, Role, Who

with warnings.catch_warnings():  # it tells its users that another client of HTTP is to come
    warnings.simplefilter("ignore")
    from authlib.common.errors import AuthlibBaseError
    from authlib.integrations.starlette_client import OAuth

SESSION_SECONDS = 3600
LEEWAY_SECONDS = 30
PROVIDER_SECONDS = 10.0
LOGIN, CALLBACK = "/login", "/login/done"
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_FAILED = "the log-in did not succeed; try again, and tell whoever runs this server if it fails again"


@dataclass(frozen=True, slots=True)
class Provider:
    """Who logs people in. `public_url` is where people reach this server, such as https://evidence.example; `groups_claim` is the claim of the ID
    token that lists groups."""

    issuer: str
    client_id: str
    client_secret: str
    public_url: str
    groups_claim: str
    scopes: Sequence[str] = ("openid", "profile", "email")


@dataclass(slots=True)
class OidcAuthentication:
    """Reads the session, and has the routes that make and end one."""

    provider: Provider
    groups: Groups
    log: Any  # called with one line about a log-in that failed
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        issuer = self.provider.issuer.rstrip("/")
        self._client = OAuth().register(
            "provider",
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret,
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": " ".join(self.provider.scopes),
                "code_challenge_method": "S256",
                "timeout": PROVIDER_SECONDS,
            },
        )

    @property
    def secure(self) -> bool:
        return urlsplit(self.provider.public_url).scheme == "https"

    def who(self, request: Request) -> Who | None:
        session = request.session
        until = session.get("until")
        if not isinstance(until, int | float) or until < time.time():
            return None
        role = session.get("role")
        return Who(str(session.get("name", "")), Role(role) if role else None, can_leave=True)

    def login(self) -> LogIn | None:
        routes = (
            Route(LOGIN, self._login),
            Route(CALLBACK, self._done),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/logged-out", self._logged_out),
        )
        session = {
            "secret_key": secrets.token_urlsafe(32),
            "session_cookie": "__Host-evidence" if self.secure else "evidence",
            "max_age": SESSION_SECONDS,
            "same_site": "lax",
            "https_only": self.secure,
        }
        return LogIn(LOGIN, routes, session)

    async def _login(self, request: Request) -> Response:
        try:
            await self._checked_metadata()
            answer: Response = await self._client.authorize_redirect(
                request, self.provider.public_url.rstrip("/") + CALLBACK
            )
        except (AuthlibBaseError, httpx.HTTPError, ValueError, KeyError, RuntimeError) as error:
            return self._refused(request, error)
        request.session["next"] = local(request.query_params.get("next", ""))
        return answer

    async def _done(self, request: Request) -> Response:
        going = local(str(request.session.get("next", "")))
        try:
            metadata = await self._checked_metadata()
            token = await self._client.authorize_access_token(
                request,
                leeway=LEEWAY_SECONDS,
                claims_options={
                    "iss": {"essential": True, "value": metadata["issuer"]},
                    "aud": {"essential": True, "value": self.provider.client_id},
                    "nonce": {"essential": True},
                },
            )
            claims = token["userinfo"]  # only there when an ID token was checked
        except (AuthlibBaseError, JoseError, httpx.HTTPError, ValueError, TypeError, KeyError, RuntimeError) as error:
            request.session.clear()
            return self._refused(request, error)
        role = self.groups.role(groups_of(claims.get(self.provider.groups_claim)))
        name = str(claims.get("email") or claims.get("preferred_username") or claims.get("name") or claims["sub"])
        request.session.clear()
        request.session.update(name=name[:200], role=role.value if role else "", until=time.time() + SESSION_SECONDS)
        return RedirectResponse(going, 303)

    async def _checked_metadata(self) -> dict[str, Any]:
        """Rules 1 and 2: what Authlib is to believe of the provider."""
        found: dict[str, Any] = await self._client.load_server_metadata()
        if found.get("issuer") != self.provider.issuer:
            said = f"the provider calls itself {found.get('issuer')!r}, not {self.provider.issuer!r} as configured"
            self._client.server_metadata.pop("_loaded_at", None)
            raise ValueError(said)
        offered = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = [name for name in offered if name in _ALGORITHMS] or ["RS256"]
        return found

    async def _logout(self, request: Request) -> Response:
        request.session.clear()
        return RedirectResponse("/logged-out", 303)

    async def _logged_out(self, request: Request) -> Response:
        words = "You are logged out here. The provider may still know you: the next log-in may ask nothing."
        return pages.page("error.html.j2", None, {"title": "Logged out", "words": words})

    def _refused(self, request: Request, error: Exception) -> Response:
        self.log(f"log-in failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return pages.failure(request, None, 403, _FAILED)


def groups_of(claim: Any) -> list[str]:
    """Groups as providers write them: a list of names, or names with spaces or commas between."""
    if isinstance(claim, str):
        return claim.replace(",", " ").split()
    return [each for each in claim if isinstance(each, str)] if isinstance(claim, list) else []


def local(address: str) -> str:
    """The address when it is a path of this server, "/" for anything else."""
    plain = address.isprintable() and not any(one in address for one in "\\\t\r\n")
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"

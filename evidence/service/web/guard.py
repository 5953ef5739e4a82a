"""What holds for every request, whatever it asks: the name by which the server is asked, the method, the length, and the headers of the answer.

1. The Host header has to be one of the server's names, so that a page of another site cannot reach a server on loopback through a name of its
   own (DNS rebinding). Probes and the metrics' reader ask by address; `exempt` says for which requests that is fine.
2. Only GET and HEAD, and POST to log out.
3. Every answer carries the same headers; one that is served in a sandbox of its own (a pack's page) brings its own policy.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_QUERY = 4096  # bytes
LOGOUT = "/logout"

POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_HSTS = "max-age=31536000"

Answered = Callable[[str, str, int, float], None]


@dataclass(frozen=True, slots=True)
class Guard:
    """Wraps the application. `names`: what the Host header may be, in lower case; `secure`: people reach it by https; `answered` is told the
    route, method, code and seconds of each request; `patterns`: the path of each endpoint, as routes have it."""

    app: ASGIApp
    names: Collection[str]
    exempt: Callable[[Scope], bool]
    secure: bool
    answered: Answered
    patterns: Mapping[Callable[..., object], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, code = time.perf_counter(), 500

        async def with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.secure:
                    headers.setdefault("strict-transport-security", _HSTS)
            await send(message)

        problem = self._problem(scope)
        try:
            if problem is None:
                await self.app(scope, receive, with_headers)
            else:
                await problem(scope, receive, with_headers)
        finally:
            route = self.patterns.get(scope.get("endpoint", refusal), "other")
            self.answered(route, _method(scope), code, time.perf_counter() - started)

    def _problem(self, scope: Scope) -> JSONResponse | None:
        if not self.exempt(scope) and host_of(scope) not in self.names:
            return refusal(421, "this server does not answer to that name; it is given with --host")
        if scope["method"] not in ("GET", "HEAD") and (scope["method"], scope["path"]) != ("POST", LOGOUT):
            return refusal(405, "nothing can be changed here: only GET and HEAD are answered")
        if len(scope["query_string"]) > MOST_QUERY:
            return refusal(400, f"the query is longer than {MOST_QUERY} bytes")
        return None


def refusal(code: int, words: str) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=code)


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"


def host_of(scope: Scope) -> str:
    """The name of the Host header without its port, in lower case; "" when it is missing or given twice."""
    given = Headers(scope=scope).getlist("host")
    if len(given) != 1:
        return ""
    host = given[0].lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

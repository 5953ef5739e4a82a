"""A small OpenID provider on loopback, which logs everybody in, checks what a provider has to check, and can be told to lie."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "evidence", "a-secret-of-the-client"


class Provider:
    """`change` is applied to the claims of each ID token before it is signed, `sign` makes the token of them."""

    def __init__(self, address: str) -> None:
        self.issuer = address
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.groups: Any = ["owners"]
        self.change: Callable[[dict[str, Any]], object] = lambda _: None
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []  # parameters of each authorization request
        self._codes: dict[str, dict[str, str]] = {}

    def signed(self, claims: dict[str, Any], algorithm: str = "RS256", key: Any = None) -> str:
        key = key or self.key
        header = {"alg": algorithm, "kid": "one"}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    def unsigned(self, claims: dict[str, Any]) -> str:
        """With the algorithm "none"."""
        return ".".join(_base64(json.dumps(each).encode()) for each in ({"alg": "none", "typ": "JWT"}, claims)) + "."

    def signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """HS256 with what everybody can read as the secret."""
        return self.signed(claims, "HS256", OctKey.import_key(self.key.as_pem(private=False)))

    # -- endpoints

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser goes next."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert query["state"]
        assert query["nonce"]
        self.asked.append(query)
        code = f"code-{len(self.asked)}"
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = _base64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        known = authorization == "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if (
            not asked
            or not known
            or challenge != asked["code_challenge"]
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "4711",
            "email": "alice@example.com",
            "groups": self.groups,
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
        }
        self.change(claims)
        return 200, {"access_token": "token", "token_type": "Bearer", "expires_in": 300, "id_token": self.sign(claims)}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def running_provider() -> Iterator[Provider]:
    """One on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("location", provider.authorize(query))
                self.end_headers()
            elif parts.path == "/jwks":
                self._json(200, {"keys": [provider.key.as_dict(private=False)]})
            else:
                self._json(200, provider.configuration())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._json(*provider.token(form, self.headers.get("authorization", "")))

        def _json(self, code: int, body: dict[str, Any]) -> None:
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()

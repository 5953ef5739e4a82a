"""A connection to one API server: who we are there, and GET requests that give raw JSON bytes.

1. Trouble that may pass (429, 5xx, timeouts, broken connections) is retried with back-off, or after the time that the server's
   Retry-After names, within a budget of seconds for each request.
2. All requests share one pace (pace.py), below what API priority and fairness gives a client by default, and one User-Agent.
3. The official client does TLS, credentials, proxies and kubeconfig; its model classes stay out of the way.
4. What the server refuses comes back as `Refused` with the status, for the caller to tell forbidden from gone.

A connection may be shared by threads.
"""

import contextlib
import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson
import stamina
import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTResponse
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from evidence import __version__
from evidence.collect.kubeconfig import load
from evidence.collect.pace import Pace
from evidence.errors import CollectError

CONNECT_SECONDS, READ_SECONDS = 10, 60
RETRY_BUDGET_SECONDS = 90.0
ATTEMPTS = 6
PER_SECOND, BURST = 20.0, 40
_CHUNK = 64 * 1024
_POOL = re.compile(r"^HTTPS?Connection(Pool)?\([^)]*\): ")  # the client's name of the server, said already
_PASSING = frozenset({429, 500, 502, 503, 504})
T = TypeVar("T")

for _name in ("urllib3.connectionpool", "stamina"):  # what they warn of is retried here and reported in the end
    logging.getLogger(_name).setLevel(logging.ERROR)


class Unreachable(CollectError):  # noqa: N818  (as Refused)
    """The server gave no answer, or none that can be read, within the budget."""


class Refused(Exception):  # noqa: N818  (an answer, not a failure)
    """The server answered with an error status; `message` is its own explanation."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server as one user. `cluster_name` is the kubeconfig's name for the cluster, "" inside a pod."""

    client: ApiClient = field(repr=False)
    url: str
    cluster_name: str
    identity: str = ""
    server_version: str = ""
    retry_budget_seconds: float = RETRY_BUDGET_SECONDS
    pace: Pace = field(default_factory=lambda: Pace(PER_SECOND, BURST), repr=False, compare=False)

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> Any:
        """The JSON value at a path. Raises Refused for an error status, Unreachable when there is none."""
        return self.read(path, orjson.loads, query, accept)

    def read(
        self,
        path: str,
        make: Callable[[bytes], T],
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> T:
        """What `make` makes of the JSON text at a path; it is called again with a new answer when it finds the text to be no JSON.

        Raises as `get` does.
        """
        return self._send(lambda: make(self._whole(self._request("GET", path, query or {}, accept, None))), path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a posted object (reviews only: nothing here changes the cluster)."""
        return self._send(
            lambda: orjson.loads(self._whole(self._request("POST", path, {}, "application/json", body))), path
        )

    @contextlib.contextmanager
    def stream(self, path: str, query: Mapping[str, str], read_seconds: float) -> Iterator[Iterator[bytes]]:
        """The lines of an answer as they come; silence of more than `read_seconds` ends it. Sent once.

        Raises Refused for an error status, Unreachable when there is no answer or it breaks off.
        """
        with self._explained(path):
            response = self._request("GET", path, query, "application/json", None, read_seconds).response
            try:
                if response.status >= 400:
                    data = response.read()
                    raise Refused(response.status, _explanation(data, response.reason), _retry_after(response.headers))
                yield _lines(response.stream(_CHUNK))
            finally:
                response.close()

    def _send(self, once: Callable[[], T], path: str) -> T:
        """The result of a request that is sent again while its trouble may pass."""
        with self._explained(path):
            for attempt in stamina.retry_context(
                on=_worth_retrying,
                attempts=ATTEMPTS,
                timeout=self.retry_budget_seconds,
                wait_initial=0.2,
                wait_max=15.0,
                wait_jitter=0.5,
            ):
                with attempt:
                    return once()
        raise AssertionError("stamina ends with a result or an exception")

    @contextlib.contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise Unreachable(f"{self.url}: cannot be reached: {_one_line(error.reason)}") from error
        except HTTPError as error:
            raise Unreachable(f"{self.url}: cannot be reached: {_why(error)}") from error
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"{self.url}{path}: the answer is not JSON: {error}") from error

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        accept: str,
        body: Mapping[str, Any] | None,
        read_seconds: float | None = None,
    ) -> RESTResponse:
        """The answer to one request, its body not yet read."""
        self.pace.wait()
        headers = {"Accept": accept, **({"Content-Type": "application/json"} if body else {})}
        request = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        return self.client.call_api(*request, _request_timeout=(CONNECT_SECONDS, read_seconds or READ_SECONDS))

    def _whole(self, response: RESTResponse) -> bytes:
        data: bytes = response.read()  # type: ignore[no-untyped-call]
        if response.status >= 400:
            retry_after = _retry_after(response.headers)
            if response.status == 429 and retry_after:
                self.pace.hold(retry_after)
            raise Refused(response.status, _explanation(data, response.reason), retry_after)
        return data


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines; what follows the last line feed is dropped, as half an answer."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def _worth_retrying(error: Exception) -> bool | float:
    """Whether a failure may pass; a number of seconds when the server named one."""
    if isinstance(error, Refused):
        if error.status in _PASSING and error.retry_after:
            return error.retry_after
        return error.status in _PASSING
    return isinstance(error, HTTPError | orjson.JSONDecodeError) and _distrust(error) is None


def _distrust(error: Exception) -> ssl.SSLCertVerificationError | None:
    """What is wrong with the server's certificate, if that was the trouble: it will be so the next time, too."""
    reason = error.reason if isinstance(error, MaxRetryError) else error
    found = reason.args[0] if isinstance(reason, SSLError) and reason.args else None
    return found if isinstance(found, ssl.SSLCertVerificationError) else None


def _why(error: HTTPError) -> str:
    """The cause alone, without the client's own retries, which are none."""
    distrust = _distrust(error)
    if distrust is not None:
        return (
            f"its certificate is not trusted ({distrust.verify_message}); see certificate-authority in the kubeconfig"
        )
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    return _POOL.sub("", _one_line(reason))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return min(float(value), 30.0) if value.isdigit() else None


def _explanation(data: bytes, reason: str) -> str:
    """The message of a meta/v1 Status, else the reason phrase."""
    with contextlib.suppress(orjson.JSONDecodeError):
        status = orjson.loads(data)
        if isinstance(status, dict) and isinstance(status.get("message"), str):
            return _one_line(status["message"])
    return _one_line(reason)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def connect(*, context: str | None, kubeconfig: str | None, in_cluster: bool, impersonate: str | None) -> Connection:
    """Connect by kubeconfig context, or as the service account of the pod this runs in.

    Raises CollectError when the configuration is wrong, the server cannot be reached, or refuses the credentials.
    """
    configuration = Configuration()
    name, own_headers = load(configuration, context, kubeconfig, in_cluster)
    configuration.retries = urllib3.Retry(0)  # retried here, within the budget
    client = ApiClient(configuration)
    client.user_agent = f"evidence/{__version__}"
    headers = {"Impersonate-User": impersonate} if impersonate else own_headers
    for header, value in headers.items():
        client.set_default_header(header, value)  # type: ignore[no-untyped-call]
    connection = Connection(client, configuration.host, name)
    try:
        version = connection.get("/version")
    except Refused as error:
        raise CollectError(
            f"{connection.url}: the server refuses the credentials ({error.status}): {error.message}"
        ) from error
    server_version = version.get("gitVersion", "") if isinstance(version, dict) else ""
    return replace(connection, server_version=server_version, identity=_identity(connection) or impersonate or "")


def _identity(connection: Connection) -> str:
    """The user as the server names it (authentication.k8s.io/v1 SelfSubjectReview, since 1.28); "" where that is not served."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = connection.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    except Refused as error:
        if error.status == 401:
            raise CollectError(f"{connection.url}: the server refuses the credentials: {error.message}") from error
        return ""
    user = answer.get("status", {}).get("userInfo", {}).get("username", "") if isinstance(answer, dict) else ""
    return str(user)

"""A connection to one API server: who we are there, and GET requests that give raw JSON bytes.

1. Trouble that may pass (429, 5xx, timeouts, broken connections) is retried with back-off, or after the time that the server's
   Retry-After names, within a budget of seconds for each request.
2. The official client does TLS, credentials and kubeconfig; its model classes stay out of the way.
3. What the server refuses comes back as `Refused` with the status, for the caller to tell forbidden from gone.
"""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import stamina
import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)
from urllib3.exceptions import HTTPError

from evidence import __version__
from evidence.errors import CollectError

CONNECT_SECONDS, READ_SECONDS = 10, 60
RETRY_BUDGET_SECONDS = 90.0
ATTEMPTS = 6
_PASSING = frozenset({429, 500, 502, 503, 504})
_BROKEN_CONFIGURATION = (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)

logging.getLogger("urllib3.connectionpool").setLevel(
    logging.ERROR
)  # what it warns of is retried here and reported in the end


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

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> Any:
        """The JSON value at a path. Raises Refused for an error status, Unreachable when there is none."""
        return self._send("GET", path, query or {}, accept, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a posted object (reviews only: nothing here changes the cluster)."""
        return self._send("POST", path, {}, "application/json", body)

    def _send(
        self, method: str, path: str, query: Mapping[str, str], accept: str, body: Mapping[str, Any] | None
    ) -> Any:
        try:
            for attempt in stamina.retry_context(
                on=_worth_retrying,
                attempts=ATTEMPTS,
                timeout=self.retry_budget_seconds,
                wait_initial=0.2,
                wait_max=15.0,
                wait_jitter=0.5,
            ):
                with attempt:
                    return self._once(method, path, query, accept, body)
        except ApiException as error:
            raise Unreachable(f"{self.url}: cannot be reached: {_one_line(error.reason)}") from error
        except HTTPError as error:
            raise Unreachable(f"{self.url}: cannot be reached: {_one_line(error)}") from error
        except orjson.JSONDecodeError as error:
            raise Unreachable(f"{self.url}{path}: the answer is not JSON: {error}") from error
        raise AssertionError("stamina ends with a result or an exception")

    def _once(
        self, method: str, path: str, query: Mapping[str, str], accept: str, body: Mapping[str, Any] | None
    ) -> Any:
        headers = {"Accept": accept, **({"Content-Type": "application/json"} if body else {})}
        request = self.client.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = self.client.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
        data: bytes = response.read()  # type: ignore[no-untyped-call]
        if response.status >= 400:
            raise Refused(response.status, _explanation(data, response.reason), _retry_after(response.headers))
        return orjson.loads(data)


def _worth_retrying(error: Exception) -> bool | float:
    """Whether a failure may pass; a number of seconds when the server named one."""
    if isinstance(error, Refused):
        if error.status in _PASSING and error.retry_after:
            return error.retry_after
        return error.status in _PASSING
    return isinstance(error, HTTPError | orjson.JSONDecodeError)


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
    name = _load(configuration, context, kubeconfig, in_cluster)
    configuration.retries = urllib3.Retry(0)  # retried here, within the budget
    client = ApiClient(configuration)
    client.user_agent = f"evidence/{__version__}"
    if impersonate:
        client.set_default_header("Impersonate-User", impersonate)  # type: ignore[no-untyped-call]
    connection = Connection(client, configuration.host, name)
    try:
        version = connection.get("/version")
    except Refused as error:
        raise CollectError(
            f"{connection.url}: the server refuses the credentials ({error.status}): {error.message}"
        ) from error
    server_version = version.get("gitVersion", "") if isinstance(version, dict) else ""
    return replace(connection, server_version=server_version, identity=_identity(connection) or impersonate or "")


def _load(configuration: Configuration, context: str | None, kubeconfig: str | None, in_cluster: bool) -> str:
    """Fill the client's configuration; gives the cluster's name."""
    if in_cluster:
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except _BROKEN_CONFIGURATION as error:
            raise CollectError(
                f"no service account of a pod is here ({_one_line(error)}); leave out --in-cluster"
            ) from error
        return ""
    try:
        contexts, current = list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
        load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig, context, client_configuration=configuration, persist_config=False
        )
    except _BROKEN_CONFIGURATION as error:
        where, why = kubeconfig or "kubeconfig", _one_line(error).rstrip(".")
        raise CollectError(
            f"{where}: gives no connection: {why}; name one with --kubeconfig and --context, or use --in-cluster in a pod"
        ) from error
    chosen = next((entry for entry in contexts if entry["name"] == context), current)
    return str(chosen["context"]["cluster"])


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

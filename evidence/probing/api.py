"""What a run asks of the API server: pods made, read, listed and removed, what they said, and what one may do."""

from collections.abc import Mapping
from typing import Any

import orjson
import stamina
from urllib3.exceptions import HTTPError

from evidence.collect.connection import CONNECT_SECONDS, READ_SECONDS, Connection, Refused
from evidence.errors import CollectError
from evidence.probing.pods import LABEL

_PASSING = frozenset({429, 500, 502, 503, 504})
_GONE, _THERE = 404, 409
_PATCH = "application/strategic-merge-patch+json"


def _worth_retrying(error: Exception) -> bool:
    return isinstance(error, HTTPError) or (isinstance(error, Refused) and error.status in _PASSING)


class Pods:
    """The pods of one cluster, as one user."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A pod as the API gives it; None when it is not there. Raises CollectError."""
        try:
            found: dict[str, Any] = self._connection.get(_path(namespace, name))
        except Refused as error:
            if error.status == _GONE:
                return None
            raise _not_allowed(f"pod {namespace}/{name} cannot be read", error) from error
        return found

    def marked(self, run: str | None = None) -> list[dict[str, Any]]:
        """Every pod of a run, or of any run. Raises CollectError."""
        selector = LABEL if run is None else f"{LABEL}={run}"
        try:
            found: list[dict[str, Any]] = self._connection.get("/api/v1/pods", {"labelSelector": selector})["items"]
        except Refused as error:
            raise _not_allowed("pods cannot be listed", error) from error
        return found

    def services(self, namespace: str) -> list[dict[str, Any]]:
        """Raises Refused."""
        found: list[dict[str, Any]] = self._connection.get(f"/api/v1/namespaces/{namespace}/services")["items"]
        return found

    def create(self, pod: Mapping[str, Any]) -> None:
        """Make a pod; one of that name that is there is ours already, from an attempt whose answer was lost. Raises Refused."""
        try:
            self._send("POST", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods", pod)
        except Refused as error:
            if error.status != _THERE:
                raise

    def add_ephemeral(self, namespace: str, name: str, patch: Mapping[str, Any]) -> None:
        """Raises Refused."""
        self._send("PATCH", f"{_path(namespace, name)}/ephemeralcontainers", patch, _PATCH)

    def delete(self, namespace: str, name: str) -> None:
        """At once; one that is gone is well. Raises CollectError."""
        try:
            self._send("DELETE", _path(namespace, name), {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        except Refused as error:
            if error.status != _GONE:
                raise _not_allowed(f"pod {namespace}/{name} cannot be removed", error) from error
        except HTTPError as error:
            raise CollectError(f"pod {namespace}/{name} cannot be removed: {error}") from error

    def log(self, namespace: str, name: str, container: str) -> bytes:
        """Everything that a container has written so far. Raises Refused."""
        return self._send("GET", f"{_path(namespace, name)}/log", None, query={"container": container})

    def may_add_ephemeral(self, namespace: str) -> bool:
        """Whether this user may patch pods/ephemeralcontainers there (SelfSubjectAccessReview)."""
        attributes = {
            "namespace": namespace,
            "verb": "patch",
            "resource": "pods",
            "subresource": "ephemeralcontainers",
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = self._connection.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        except Refused:
            return False
        return bool(answer.get("status", {}).get("allowed"))

    @stamina.retry(on=_worth_retrying, attempts=4, timeout=30.0, wait_initial=0.2, wait_max=3.0)
    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        client = self._connection.client
        headers = {"Accept": "*/*", **({"Content-Type": content_type} if body is not None else {})}
        request = client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = client.call_api(*request, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
        data: bytes = response.read()  # type: ignore[no-untyped-call]
        if response.status >= 400:
            raise Refused(response.status, _message(data, response.reason))
        return data


def _not_allowed(what: str, error: Refused) -> CollectError:
    return CollectError(f"{what}: {error.message}; the prober's rights are in deploy/probe/clusterrole.yaml")


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _message(data: bytes, reason: str) -> str:
    """The server's own explanation, on one line."""
    try:
        status = orjson.loads(data)
    except orjson.JSONDecodeError:
        return reason
    return " ".join(str(status.get("message") or reason).split()) if isinstance(status, dict) else reason

"""How to reach an API server and as whom: from a kubeconfig, or from the service account of the pod this runs in.

The official client reads both: tokens, client certificates, credential plugins (exec), OIDC, proxy-url, and HTTPS_PROXY with NO_PROXY.
What it passes over is done here: a kubeconfig that impersonates somebody, and saying why a credential plugin gave nothing.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import yaml
from kubernetes.client import Configuration
from kubernetes.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from evidence.errors import CollectError

_BROKEN_CONFIGURATION = (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)


def load(
    configuration: Configuration, context: str | None, kubeconfig: str | None, in_cluster: bool
) -> tuple[str, dict[str, str]]:
    """Fill the client's configuration; gives the cluster's name, and the headers by which the kubeconfig impersonates somebody."""
    if in_cluster:
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except _BROKEN_CONFIGURATION as error:
            raise CollectError(
                f"no service account of a pod is here ({' '.join(str(error).split())}); leave out --in-cluster"
            ) from error
        return "", {}
    try:
        contexts, current = list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
        with _heard() as complaints:
            load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, context, client_configuration=configuration, persist_config=False
            )
        chosen = next((entry for entry in contexts if entry["name"] == context), current)["context"]
        user = _user(kubeconfig, chosen.get("user"))
    except _BROKEN_CONFIGURATION as error:
        where, why = kubeconfig or "kubeconfig", " ".join(str(error).split()).rstrip(".")
        raise CollectError(
            f"{where}: gives no connection: {why}; name one with --kubeconfig and --context, or use --in-cluster in a pod"
        ) from error
    if complaints and not (configuration.api_key or configuration.cert_file):
        raise CollectError(f"{kubeconfig or 'kubeconfig'}: gives no credentials: {'; '.join(complaints)}")
    return str(chosen["cluster"]), _impersonation(user, kubeconfig or "kubeconfig")


def _user(kubeconfig: str | None, name: str | None) -> Mapping[str, Any]:
    """The kubeconfig's entry for a user; empty when there is none."""
    config = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config  # type: ignore[no-untyped-call]
    entry = config["users"].get_with_name(name, safe=True) if name else None
    found = entry.value.get("user") if entry else None
    return found if isinstance(found, dict) else {}


def _impersonation(user: Mapping[str, Any], where: str) -> dict[str, str]:
    """The headers for a user entry's `as` and its like, which the client library passes over.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation. The library sends each header once, so a
    list of several groups is refused: without one of them this would be somebody else.
    """
    headers = {"Impersonate-User": user.get("as"), "Impersonate-Uid": user.get("as-uid")}
    lists = {"Impersonate-Group": user.get("as-groups") or []}
    for key, values in (user.get("as-user-extra") or {}).items():
        lists[f"Impersonate-Extra-{quote(key.lower(), safe='')}"] = values
    for header, values in lists.items():
        if len(values) > 1:
            raise CollectError(
                f"{where}: {header} has several values, which cannot be sent; impersonate with --as USER instead"
            )
        headers[header] = next(iter(values), None)
    return {header: str(value) for header, value in headers.items() if value}


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the client library logs as errors: a credential plugin that fails is no exception to it, and the server then says only 401."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lines.append(" ".join(record.getMessage().split()))  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield lines
    finally:
        root.removeHandler(handler)

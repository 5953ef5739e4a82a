"""Who we are to the API server and how we reach it: impersonation, credential plugins, OIDC, a pod's account, proxies, TLS."""

import base64
import json
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from kubernetes.config import incluster_config

from evidence.collect.connection import Connection, connect
from evidence.collect.pace import Pace
from evidence.errors import CollectError
from tests.collect.api import Api, kubeconfig, own_tls, serving


def connected(file: str, **options: Any) -> Connection:
    return connect(**{"context": None, "kubeconfig": file, "in_cluster": False, "impersonate": None, **options})


def sent(api: Api, header: str) -> set[str | None]:
    return {headers.get(header) for headers in api.headers}


def test_a_kubeconfig_that_impersonates_somebody_is_heeded(api: Api, url: str, tmp_path: Path) -> None:
    user = {"token": "t", "as": "auditor", "as-uid": "7", "as-groups": ["readers"], "as-user-extra": {"Scope/a": ["x"]}}
    connected(kubeconfig(tmp_path, url, user))
    assert sent(api, "Impersonate-User") == {"auditor"}
    assert sent(api, "Impersonate-Uid") == {"7"}
    assert sent(api, "Impersonate-Group") == {"readers"}
    assert sent(api, "Impersonate-Extra-scope%2Fa") == {"x"}


def test_the_option_wins_over_the_kubeconfigs_own_impersonation(api: Api, url: str, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, url, {"token": "t", "as": "auditor", "as-groups": ["readers"]})
    connected(file, impersonate="other")
    assert sent(api, "Impersonate-User") == {"other"}
    assert sent(api, "Impersonate-Group") == {None}


def test_groups_that_cannot_be_sent_are_an_error_and_not_left_out(url: str, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, url, {"token": "t", "as": "auditor", "as-groups": ["a", "b"]})
    with pytest.raises(CollectError, match=r"Impersonate-Group has several values.*--as USER"):
        connected(file)


# -- credentials ------------------------------------------------------------------------------------------------------


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """A user entry whose credentials come from a program."""
    file = folder / "plugin.py"
    file.write_text(script)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(file)],
            "interactiveMode": "Never",
        }
    }


def test_a_credential_plugin_is_run_and_run_again_when_its_token_has_expired(
    api: Api, url: str, tmp_path: Path
) -> None:
    script = """
import json, pathlib
count = pathlib.Path(__file__).with_name("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
status = {"token": f"token-{number}", "expirationTimestamp": "2020-01-01T00:00:00Z" if number < 3 else "2999-01-01T00:00:00Z"}
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""
    connection = connected(kubeconfig(tmp_path, url, plugin(tmp_path, script)))
    connection.get("/version")
    assert [headers["Authorization"] for headers in api.headers][-1] == "Bearer token-3"


def test_a_credential_plugin_that_fails_is_named_with_what_it_said(api: Api, url: str, tmp_path: Path) -> None:
    user = plugin(tmp_path, "import sys; sys.exit('session is over, log in again')")
    with pytest.raises(CollectError, match=r"gives no credentials: .*session is over, log in again"):
        connected(kubeconfig(tmp_path, url, user))
    assert not api.headers


def test_an_oidc_token_is_sent_as_it_is_while_it_lasts(api: Api, url: str, tmp_path: Path) -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, {"exp": 4_000_000_000, "sub": "me"})
    )
    token = f"{head}.{body}.signature"
    connected(kubeconfig(tmp_path, url, {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}))
    assert sent(api, "Authorization") == {f"Bearer {token}"}


# -- the way there ----------------------------------------------------------------------------------------------------


def test_a_proxy_that_the_kubeconfig_names_is_used(api: Api, url: str, tmp_path: Path) -> None:
    connection = connected(kubeconfig(tmp_path, "http://api.invalid", cluster={"proxy-url": url}))
    assert connection.server_version == "v1.99.0"
    assert sent(api, "Host") == {"api.invalid"}


def test_a_proxy_of_the_environment_is_used_unless_it_is_told_not_to(
    api: Api, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.setenv("no_proxy", "")
    assert connected(kubeconfig(tmp_path, "http://api.invalid")).server_version == "v1.99.0"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert connected(kubeconfig(tmp_path, url)).server_version == "v1.99.0"


def test_a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to(api: Api, tmp_path: Path) -> None:
    server, _ = own_tls(tmp_path)
    (tmp_path / "other").mkdir()
    _, other_ca = own_tls(tmp_path / "other")
    with (
        serving(api, server) as url,
        pytest.raises(
            CollectError, match=r"^https://127\.0\.0\.1:\d+: cannot be reached: its certificate is not trusted"
        ),
    ):
        connected(kubeconfig(tmp_path, url, cluster={"certificate-authority": str(other_ca)}))
    assert not api.headers


def test_a_server_of_the_kubeconfigs_authority_is(api: Api, tmp_path: Path) -> None:
    server, ca = own_tls(tmp_path)
    with serving(api, server) as url:
        assert connected(kubeconfig(tmp_path, url, cluster={"certificate-authority": str(ca)})).identity
    assert sent(api, "Authorization") == {"Bearer t0ken"}


def test_inside_a_pod_its_account_its_authority_and_a_token_that_is_replaced_are_used(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, ca = own_tls(tmp_path)
    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    with serving(api, server) as url:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", url.rsplit(":", 1)[1])
        connection = connect(context=None, kubeconfig=None, in_cluster=True, impersonate=None)
        assert connection.identity == "system:serviceaccount:evidence:collector"
        assert sent(api, "Authorization") == {"bearer first"}
        token.write_text("second")
        with time_machine.travel(datetime.now() + timedelta(minutes=2), tick=True):  # noqa: DTZ005  (as the client reads it)
            connection.get("/version")
    assert api.headers[-1]["Authorization"] == "bearer second"


# -- a pace that all requests share -----------------------------------------------------------------------------------


class Holds(Pace):
    """Notes for how long the server asked everybody to wait."""

    def __init__(self) -> None:
        super().__init__(1000, 1000)
        self.asked: list[float] = []

    def hold(self, seconds: float) -> None:
        self.asked.append(seconds)


def test_a_busy_servers_retry_after_holds_back_all_requests(api: Api, connection: Connection) -> None:
    api.trouble["/version"] = [(429, {"Retry-After": "1"}, {"message": "too many requests"})]
    pace = Holds()
    replace(connection, pace=pace).get("/version")
    assert pace.asked == [1.0]

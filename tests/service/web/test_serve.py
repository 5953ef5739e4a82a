"""`evidence serve` as a process: what it refuses to begin with, that it answers, and that it stops when it is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from evidence.cli.serve import SECRET
from tests.cli.run import evidence

OIDC = ("--auth", "oidc", "--owner-group", "o", "--oidc-client-id", "c", "--public-url", "https://evidence.example")

PROXY = ("--auth", "proxy", "--owner-group", "o", "--trusted-proxy", "10.0.0.1/32")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "0.0.0.0:8080"), "nobody would be asked who they are"),
        (("--listen", "[::]:8080"), "nobody would be asked who they are"),
        (("--listen", "192.0.2.1:8080"), "nobody would be asked who they are"),
        (("--listen", "everywhere:8080"), "is not an address and a port"),
        (("--listen", "127.0.0.1"), "is not an address and a port"),
        (("--listen", "127.0.0.1:70000"), "is not an address and a port"),
        (("--auth", "proxy", "--owner-group", "o"), "--trusted-proxy"),
        (("--auth", "proxy", "--trusted-proxy", "10.0.0.1"), "--owner-group"),
        (("--auth", "proxy", "--owner-group", "o", "--trusted-proxy", "10.0.0.1/8"), "has host bits set"),
        (("--auth", "oidc", "--owner-group", "o"), "needs --public-url"),
        ((*OIDC, "--oidc-issuer", "http://login.example"), "must begin with https://"),
        ((*OIDC, "--oidc-issuer", "https://login.example"), SECRET),
        ((*OIDC, "--oidc-issuer", "https://login.example", "--oidc-client-secret-file", "nowhere"), "cannot be read"),
        (("--public-url", "ftp://x"), "must begin with https://"),
        (("--archive", "nowhere"), "'nowhere' does not exist"),
        (("--metrics-from", "everybody"), "--metrics-from"),
        ((*PROXY, "--listen", "0.0.0.0:8080"), "give --host or --public-url"),
        ((*PROXY, "--metrics-from", "10.0.0.0/8"), "everybody who comes by the proxy"),
    ],
)
def test_what_is_not_safe_or_makes_no_sense_is_refused(
    served: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    ran = evidence("serve", "--db", served / "evidence.db", *arguments)
    assert ran.code == 2
    assert words in ran.err


def test_a_store_that_is_not_there_and_an_address_that_is_taken_are_said_at_once(served: Path, tmp_path: Path) -> None:
    ran = evidence("serve", "--db", tmp_path / "none.db")
    assert (ran.code, "there is no store" in ran.err) == (3, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = evidence("serve", "--db", served / "evidence.db", "--listen", f"127.0.0.1:{port}")
    assert (ran.code, "cannot listen" in ran.err) == (3, True)


@contextmanager
def running(served: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server of its own process, ready, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    words = [
        sys.executable,
        "-m",
        "evidence",
        "serve",
        "--db",
        str(served / "evidence.db"),
        "--listen",
        f"127.0.0.1:{port}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EVIDENCE_")}
    process = subprocess.Popen(
        [*words, "--archive", str(served / "archive"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise AssertionError(process.stdout.read() if process.stdout else "")
            try:
                if httpx.get(f"{address}/healthz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process, address
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_answers_until_a_signal_and_then_ends_well(served: Path, number: signal.Signals) -> None:
    with running(served) as (process, address):
        assert httpx.get(f"{address}/readyz", trust_env=False).text == "ready\n"
        assert httpx.get(f"{address}/api/v1/log", trust_env=False).json()["size"] > 0
        assert httpx.get(f"{address}/clusters", headers={"host": "evil.example"}, trust_env=False).status_code == 421
        answer = httpx.get(f"{address}/snapshots/2/zones", trust_env=False, timeout=60)
        assert answer.status_code == 200
        assert "server" not in answer.headers
        process.send_signal(number)
        assert process.wait(60) == 0
        said = process.stdout.read() if process.stdout else ""
    lines = said.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [f"listening on {address}", "stopped"]


@pytest.mark.slow
def test_headers_say_nothing_of_where_a_connection_comes_from(served: Path) -> None:
    """A forwarded address is not the connection's: the proxy's networks are held against the latter."""
    proxy = ("--auth", "proxy", "--owner-group", "owners", "--trusted-proxy", "192.0.2.1/32")
    forged = {
        "x-forwarded-for": "192.0.2.1",
        "forwarded": "for=192.0.2.1",
        "x-forwarded-user": "a",
        "x-forwarded-groups": "owners",
    }
    with running(served, *proxy) as (_, address):
        answer = httpx.get(f"{address}/api/v1/clusters", headers=forged, trust_env=False)
        assert answer.status_code == 403
        assert "proxy" in json.loads(answer.text)["error"]

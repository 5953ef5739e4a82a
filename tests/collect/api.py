"""A small API server that answers over HTTP as the real one does, and misbehaves as it may: busy, slow, broken, with lists that expire."""

import json
import queue
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = tuple[int, dict[str, str], Any]
Trouble = Answer | str | float  # "hang up", or silence of so many seconds


@dataclass
class Api:
    """What the server holds and how it misbehaves. `trouble` maps a path to answers that come before the good ones."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    trouble: dict[str, list[Trouble]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    headers: list["Message[str, str]"] = field(default_factory=list)
    before_answer: Callable[[str], None] = lambda path: None
    watches: dict[str, "queue.Queue[Any]"] = field(default_factory=lambda: defaultdict(queue.Queue))
    watched: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    version: int = 77
    verbs: list[str] = field(default_factory=lambda: ["get", "list", "watch"])
    may_watch: bool = True
    closed: bool = False

    def changes(self, path: str, kind: str, obj: dict[str, Any]) -> None:
        """Change the list and tell who watches it: `kind` is ADDED, MODIFIED or DELETED."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        same = ("namespace", "name")
        others = [
            each
            for each in self.lists.get(path, [])
            if any(each["metadata"].get(name) != obj["metadata"].get(name) for name in same)
        ]
        self.lists[path] = others if kind == "DELETED" else [*others, obj]
        self.watches[path].put({"type": kind, "object": obj})

    served: dict[str, list[str]] = field(
        default_factory=lambda: {"/api/v1": ["namespaces", "pods"], "/apis/networking.k8s.io/v1": ["networkpolicies"]}
    )

    def answer(self, path: str, query: dict[str, list[str]]) -> Answer:
        if path == "/version":
            return 200, {}, {"gitVersion": "v1.99.0"}
        if path == "/apis":
            versions: dict[str, list[dict[str, str]]] = defaultdict(list)
            for root in sorted(self.served):
                if root.startswith("/apis/"):
                    _, _, group, version = root.split("/")
                    versions[group].append({"version": version})
            return (
                200,
                {},
                {
                    "groups": [
                        {"name": group, "versions": found, "preferredVersion": found[-1]}
                        for group, found in versions.items()
                    ]
                },
            )
        if path in self.served:
            return (
                200,
                {},
                {"resources": [{"name": name, "verbs": self.verbs} for name in self.served[path]]},
            )
        if path.endswith("/selfsubjectreviews"):
            return 201, {}, {"status": {"userInfo": {"username": "system:serviceaccount:evidence:collector"}}}
        if path.endswith("/selfsubjectaccessreviews"):
            return 201, {}, {"status": {"allowed": self.may_watch}}
        items = self.lists.get(path, [])
        start, limit = int(query.get("continue", ["0"])[0]), int(query["limit"][0])
        more = {"continue": str(start + limit)} if start + limit < len(items) else {}
        return (
            200,
            {},
            {"metadata": {"resourceVersion": str(self.version), **more}, "items": items[start : start + limit]},
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.api.seen[url.path] += 1
        self.api.headers.append(self.headers)
        self.api.before_answer(url.path)
        if "watch=true" in url.query:
            self.watch(url.path, parse_qs(url.query))
            return
        trouble = self.api.trouble.get(url.path)
        answer = trouble.pop(0) if trouble else self.api.answer(url.path, parse_qs(url.query))
        if isinstance(answer, float):
            time.sleep(answer)
            answer = "hang up"
        if answer == "hang up":
            self.close_connection = True
            return
        assert not isinstance(answer, str)
        status, headers, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection = "Content-Length" in headers  # more is promised than comes
        self.send_header("Content-Length", headers.get("Content-Length", str(len(data))))
        self.end_headers()
        self.wfile.write(data)

    def watch(self, path: str, query: dict[str, list[str]]) -> None:
        """Events as they are put in: an object is a line, bytes are sent as they are, "end" and "break" end it, an answer refuses it."""
        self.api.watched[path].append(query["resourceVersion"][0])
        self.close_connection = True
        begun = False
        while not self.api.closed:
            try:
                event = self.api.watches[path].get(timeout=0.02)
            except queue.Empty:
                event = b""
            if isinstance(event, tuple):
                status, headers, content = event
                data = json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
                return
            if not begun:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                begun = True
            if event == "break":
                return
            if event == "end":
                self.wfile.write(b"0\r\n\r\n")
                return
            data = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
            if data:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Silent."""


@contextmanager
def serving(api: Api, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The server's URL, as long as it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ApiHandler", (Handler,), {"api": api}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        api.closed = True
        server.shutdown()
        thread.join()
        server.server_close()


def kubeconfig(path: Path, url: str, user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "test-cluster", "user": "me"}}],
        "clusters": [{"name": "test-cluster", "cluster": {"server": url, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {"token": "t0ken"}}],
    }
    file = path / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def own_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS on 127.0.0.1, and the file of the certificate that a client has to trust for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test API server")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2999, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, key_file = folder / "ca.crt", folder / "server.key"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    return context, ca_file

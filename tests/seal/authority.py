"""A timestamp authority on loopback: openssl's own (`openssl ts -reply`) behind a small HTTP server."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONFIGURATION = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {common_name}
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[stamper]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = {usage}
[tsa]
default_tsa = clock
[clock]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/root.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """`root`: the certificate of the root that issued the authority's own."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "tsa.pem"

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query.tsq").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr")
        return (self.folder / "reply.tsr").read_bytes()

    def stamp(self, content: bytes) -> bytes:
        """The answer about some content, without a server."""
        (self.folder / "content").write_bytes(content)
        self._openssl("ts", "-query", "-data", "content", "-sha256", "-cert", "-out", "content.tsq")
        return self.reply((self.folder / "content.tsq").read_bytes())

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


def make_authority(folder: Path, usage: str = "critical, timeStamping", days: int = 30) -> Authority:
    """A root and a timestamp authority under it, with keys of their own."""
    folder.mkdir(parents=True)
    made = Authority(folder)
    for section, name in (("root", "Example Root"), ("stamper", "Example Time")):
        text = _CONFIGURATION.format(folder=folder, common_name=name, usage=usage)
        (folder / f"{section}.cnf").write_text(text, encoding="utf-8")
    (folder / "openssl.cnf").write_text((folder / "stamper.cnf").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "serial").write_text("01\n", encoding="utf-8")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    made._openssl(
        *("req", "-x509", *new_key, "-keyout", "root.key", "-out", "root.pem", "-days", str(days + 1)),
        *("-config", "root.cnf", "-extensions", "root"),
    )
    made._openssl("req", "-new", *new_key, "-keyout", "tsa.key", "-out", "tsa.csr", "-config", "stamper.cnf")
    made._openssl(
        *("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"),
        *("-out", "tsa.pem", "-days", str(days), "-extfile", "stamper.cnf", "-extensions", "stamper"),
    )
    return made


@contextmanager
def serving(authority: Authority, status: int = 200, body: bytes | None = None) -> Iterator[str]:
    """Its address while it runs. `status` and `body`: what it answers instead of a timestamp."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            answer = authority.reply(query) if body is None else body
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/tsr"
        finally:
            server.shutdown()
            thread.join()

"""A proxy before a Postgres server's socket that cuts the connection when the answer to a COMMIT comes: done, and nobody was told."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # a simple query: type, length, text


class Proxy:
    """`commits`: of so many further commits the answer is lost, and `lost` counts them. `url`: the way through the proxy."""

    def __init__(self, url: str, folder: Path) -> None:
        server = url.partition("host=")[2].partition("&")[0]
        self._target, self.url = f"{server}/{_SOCKET}", url.replace(f"host={server}", f"host={folder}")
        self.commits = self.lost = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/{_SOCKET}")
        self._listener.listen()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as ready:
            server.connect(self._target)
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            cut = False
            while True:
                for key, _ in ready.select():
                    one, other = key.fileobj, key.data
                    assert isinstance(one, socket.socket)
                    data = one.recv(65536)
                    if not data or (one is server and cut):
                        self.lost += cut
                        return
                    if one is client and _COMMIT in data and self.commits:
                        self.commits -= 1
                        cut = True
                    other.sendall(data)


@contextmanager
def proxy(url: str, folder: Path) -> Iterator[Proxy]:
    found = Proxy(url, folder)
    thread = threading.Thread(target=found.serve, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.close()
        thread.join()

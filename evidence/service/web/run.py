"""The server: one process on one address, until a signal; and the watch beside it, in a thread of its own."""

import logging
import signal
import socket
import threading
from collections.abc import Callable

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from evidence.errors import EvidenceError
from evidence.service.web.desk import Busy
from evidence.service.web.site import Site, Unavailable

THREADS = 16  # requests that are worked on at once
CONNECTIONS = 100
LOOK_SECONDS = 30.0
GRACE_SECONDS = 10  # for requests that are under way when the process is told to stop

Say = Callable[[str], None]


def serve(app: ASGIApp, site: Site, host: str, port: int, say: Say) -> None:
    """Serve until SIGTERM or SIGINT; requests under way get some seconds to end. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    stop = threading.Event()
    watch = threading.Thread(target=watching, args=(site, stop, say), name="evidence-watch", daemon=True)
    config = uvicorn.Config(
        _bounded(app),
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=16 * 1024,
    )
    logging.getLogger("uvicorn.error").addHandler(_Lines(say))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn has its own, and raises the signal again when it has ended
    with listening:
        watch.start()
        try:
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            stop.set()
            site.desk.close()


def _bounded(app: ASGIApp) -> ASGIApp:
    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        await app(scope, receive, send)

    return bounded


def watching(site: Site, stop: threading.Event, say: Say) -> None:
    """Look again and again until told to stop. What goes wrong is said once, until it goes well again."""
    said = ""
    while not stop.is_set():
        try:
            site.look()
            words = ""
        except (Unavailable, Busy, EvidenceError, OSError) as error:
            words = str(error)
        except Exception as error:  # noqa: BLE001  (the watch goes on whatever happens: pages do without it)
            words = f"{type(error).__name__}: {error}"
        if words and words != said and not stop.is_set():
            say(f"cannot look at the store or the archive: {words}")
        said = words
        stop.wait(LOOK_SECONDS)


class _Lines(logging.Handler):
    """Warnings and errors of the server as lines of our own log."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(" ".join(record.getMessage().split()) + (f": {record.exc_info[1]}" if record.exc_info else ""))

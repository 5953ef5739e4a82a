"""Copies of checkpoints: added once, never written over, in a folder and in an object store."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evidence.archive.outside import add_copy
from evidence.errors import ReportError

NOTE, STAMP, OTHER = "evidence-log/5f1c\n3\nqINS\n", b"stamp", "evidence-log/5f1c\n3\nother\n"


class ObjectStore(ThreadingHTTPServer):
    """The part of S3 that is used: PUT on the condition that there is nothing yet, and GET."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.unsigned = 0


class Handler(BaseHTTPRequestHandler):
    server: ObjectStore

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.unsigned += "Signature=" not in self.headers.get("Authorization", "")
        there = self.path in self.server.objects and self.headers.get("If-None-Match") == "*"
        if not there:
            self.server.objects[self.path] = content
        self._answer(412 if there else 200)

    def do_GET(self) -> None:
        self._answer(200, self.server.objects[self.path])

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Oct 2026 06:30:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        for name, value in (
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
        ):
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()
        thread.join()


def test_a_folder_gets_the_checkpoint_and_its_timestamp_and_keeps_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "copies" / "deep"
    add_copy(NOTE, 3, STAMP, str(folder))
    add_copy(NOTE, 3, b"a later one", str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "checkpoint-000000000003.txt": NOTE.encode(),
        "checkpoint-000000000003.tsr": STAMP,
    }


def test_another_head_of_the_same_size_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    add_copy(NOTE, 3, None, str(tmp_path))
    with pytest.raises(ReportError, match="another checkpoint of the same size"):
        add_copy(OTHER, 3, None, str(tmp_path))
    assert (tmp_path / "checkpoint-000000000003.txt").read_text() == NOTE


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="file: the copy cannot be written"):
        add_copy(NOTE, 3, None, str(tmp_path / "file"))


def test_an_object_store_gets_it_on_the_condition_that_nothing_is_there(store: ObjectStore) -> None:
    add_copy(NOTE, 3, STAMP, "s3://bucket/prod/log")
    add_copy(NOTE, 3, b"a later one", "s3://bucket/prod/log")
    assert store.objects == {
        "/bucket/prod/log/checkpoint-000000000003.txt": NOTE.encode(),
        "/bucket/prod/log/checkpoint-000000000003.tsr": STAMP,
    }
    assert store.unsigned == 0
    with pytest.raises(ReportError, match="another checkpoint of the same size"):
        add_copy(OTHER, 3, None, "s3://bucket/prod/log")
    assert store.objects["/bucket/prod/log/checkpoint-000000000003.txt"] == NOTE.encode()


def test_an_object_store_that_is_away_is_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ReportError, match="s3://bucket: the copy cannot be written"):
        add_copy(NOTE, 3, None, "s3://bucket")

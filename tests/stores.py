"""A server of files that can be slow, away or wrong, for tests of thumbnails in an object store."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class StoreServer(ThreadingHTTPServer):
    """Serves a folder at /bucket/.

    Attributes:
        requests: Paths that were asked for.
        delay: Seconds before each answer.
        status: Of every answer; 200 for the files.
        content: Answer for every file; None for the files.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[str] = []
        self.delay = 0.0
        self.status = 200
        self.content: bytes | None = None

    @property
    def prefix(self) -> str:
        """The address of the folder."""
        return f"http://127.0.0.1:{self.server_address[1]}/bucket"


class _Handler(BaseHTTPRequestHandler):
    server: StoreServer

    def do_GET(self) -> None:
        store = self.server
        store.requests.append(self.path)
        time.sleep(store.delay)
        file = store.folder / self.path.removeprefix("/bucket/")
        status = store.status if file.is_file() else 404
        body = store.content or (file.read_bytes() if file.is_file() else b"")
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # nobody waits any more
            pass

    def log_message(self, format: str, *args: object) -> None:
        """Write no line for each request."""


@contextmanager
def served_store(folder: Path) -> Iterator[StoreServer]:
    """Serve a folder until the context ends."""
    with StoreServer(folder) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()

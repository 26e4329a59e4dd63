"""The app in another process, for tests that talk to it over HTTP."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import httpx
import psutil

from tests.ui.browser import PATIENCE

ROOT = Path(__file__).parents[2]
PROCESSOR_SECONDS = 120
"""Limit of the start of an app, ten times the usual; the time by the clock depends on other work."""


def http_client(url: str = "") -> httpx.Client:
    """Return a client that busy machines do not disturb.

    It waits as long as the pages' tests do; httpx itself waits 5 seconds. It opens a connection for each
    request: the server closes an idle one after 5 seconds, maybe while the next request is on its way.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=url, timeout=PATIENCE / 1000, limits=limits)


HTTP = http_client()
"""Shared by tests that keep no cookies."""


@contextmanager
def served_app(log: Path, *galleries: str, options: Sequence[str] = ()) -> Iterator[str]:
    """Serve galleries on a free port; yield the address of the app once it answers. `log` gets its output."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port)]
    command += options
    command += [argument for gallery in galleries for argument in ("--gallery", gallery)]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out) as app:
        try:
            _await(url, app, log)
            yield url
        finally:
            app.terminate()
            app.wait(60)


def _await(url: str, app: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for an answer. Pytest's time limit ends the wait for an app that hangs without computing."""
    times = psutil.Process(app.pid).cpu_times
    while app.poll() is None and sum(times()[:2]) < PROCESSOR_SECONDS:
        try:
            urlopen(url, timeout=2).close()
            return
        except (URLError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"The app does not answer. {log.read_text()}")

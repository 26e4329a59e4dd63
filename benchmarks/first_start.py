"""How soon a first start shows something: `python benchmarks/first_start.py [--starts 3]`.

Starts the app with an empty cache and tells the seconds until the page is served, and until the demo's own
gallery of 2,000 pictures can be searched.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]


def first_start() -> dict[str, float]:
    """Seconds since the command was given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "app.py", "--port", str(port)]
        start = time.perf_counter()
        with subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PAIRSCOPE_CACHE": cache}, stdout=subprocess.DEVNULL
        ) as app:
            try:
                while not _serves(port):
                    time.sleep(0.05)
                served = time.perf_counter() - start
                while not list(Path(cache).glob("galleries/picturebook-*/manifest.json")):
                    time.sleep(0.05)
                return {"page": round(served, 1), "gallery": round(time.perf_counter() - start, 1)}
            finally:
                app.terminate()


def _serves(port: int) -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status == 200
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    for _ in range(parser.parse_args().starts):
        print(json.dumps(first_start()), flush=True)

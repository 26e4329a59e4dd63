"""Start the `pairscope demo` of this Python's environment, search with it once and stop it.

Run it with the Python of an environment in which Pairscope is installed, outside of any checkout:

    cd "$(mktemp -d)" && ENVIRONMENT/bin/python CHECKOUT/.ci/try_demo.py

It fails if Pairscope is imported from another place than that environment, if the demo ends or does not
answer within two minutes, or if the search finds something else than it should.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib import import_module
from pathlib import Path
from urllib.error import URLError

QUERY = "a lighthouse at sunset"
SECONDS = 120.0


def installed_files() -> list[str]:
    """Return the files of Pairscope's packages; exit if one is outside of this environment."""
    files = [str(import_module(name).__file__) for name in ("itr_core", "analysis", "ui", "assets", "app")]
    for file in files:
        if not Path(file).resolve().is_relative_to(Path(sys.prefix).resolve()):
            sys.exit(f"{file} is not in the environment {sys.prefix}.")
    return files


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait(url: str, demo: subprocess.Popen[bytes]) -> None:
    """Return once `url` answers; exit if the process `demo` ends or the time is over."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if demo.poll() is not None:
            sys.exit(f"The demo ended with code {demo.returncode}.")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (URLError, TimeoutError):
            time.sleep(0.5)
    sys.exit(f"The demo did not answer within {SECONDS:.0f} s.")


def main() -> None:
    """Run the demo and print what it finds."""
    environment = dict(os.environ)
    # For the client in this process, whose libraries ask the network at import; the demo runs without these.
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    from gradio_client import Client

    print("Installed:", *installed_files(), sep="\n  ")
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(Path(sys.executable).with_name("pairscope")), "demo", "--port", url.rpartition(":")[2]]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+b") as log:
        environment.setdefault("PAIRSCOPE_CACHE", cache)
        with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as demo:
            try:
                wait(url, demo)
                client = Client(url, verbose=False, analytics_enabled=False)
                hits = client.predict(QUERY, 5, "", api_name="/search_text")
            finally:
                demo.terminate()
                log.seek(0)
                print("Log:", log.read().decode(errors="replace"), sep="\n")
    for hit in hits:
        print(f"{hit['rank']}  {hit['score']:.3f}  {hit['caption']}")
    if [hit["rank"] for hit in hits] != [1, 2, 3, 4, 5]:
        sys.exit("The search did not return five images.")
    if not any("lighthouse" in hit["caption"] for hit in hits):
        sys.exit(f"None of the five images for {QUERY!r} shows a lighthouse.")


if __name__ == "__main__":
    main()

"""A stand-in for the HTTP API of the Hugging Face hub: those routes that publishing and downloading use.

It is written from what the hub's client sends, and from one rule of the hub: binary files are accepted
through LFS or Xet only. It offers LFS. It shows that the client and Pairscope fit together, not that the hub
has not changed.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
_KIND = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo>[\w.-]+/[\w.-]+)"


class Hub(ThreadingHTTPServer):
    """The server; `repositories` has the files of "kind/ORG/NAME" by their paths."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.variables: dict[str, str] = {}
        self.large: dict[str, bytes] = {}
        self.requested: list[str] = []


@contextmanager
def served_hub() -> Iterator[Hub]:
    """Serve a hub without repositories."""
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def commit_of(files: dict[str, bytes]) -> str:
    """Return the commit that the stand-in names for these files."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


def is_binary(content: bytes) -> bool:
    """Return whether the hub would refuse these bytes as a plain file."""
    try:
        return "\0" in content.decode()
    except UnicodeDecodeError as error:
        return error.end < len(content) or len(content) - error.start > 3  # a sample may cut a character


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials in Authorization header"}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif match := re.fullmatch(f"{_KIND}/preupload/main", path):
            self._modes(json.loads(body))
        elif match := re.fullmatch(f"{_KIND}/commit/main", path):
            self._commit(match, [json.loads(line) for line in body.splitlines()])
        elif re.fullmatch(f"{_KIND}/variables", path):
            variable = json.loads(body)
            self.server.variables[variable["key"]] = variable["value"]
            self._answer({variable["key"]: variable})
        else:
            self._answer({"error": "Not Found"}, 404)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[hashlib.sha256(content).hexdigest()] = content
        self._answer({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(f"{_KIND}/tree/[\\w.-]+", path):
            files = self._files(match)
            entries = [{"type": "file", "path": name, "size": len(files[name]), "oid": "0"} for name in files]
            self._answer(entries)
        elif (match := re.fullmatch(rf"{_KIND}(/revision/(?P<revision>[\w.-]+))?", path)) and self._known(
            match
        ):
            files = self._files(match)
            siblings = [{"rfilename": name} for name in files]
            self._answer({"id": match["repo"], "sha": commit_of(files), "siblings": siblings})
        elif match := re.fullmatch(
            r"/(?P<kind>datasets)/(?P<repo>[^/]+/[^/]+)/resolve/(\w+)/(?P<name>.+)", path
        ):
            self.server.requested.append(match["name"])
            content = self._files(match)[match["name"]]
            etag = hashlib.sha256(content).hexdigest()
            headers = {"X-Repo-Commit": commit_of(self._files(match)), "ETag": f'"{etag}"'}
            self._answer(content, headers=headers)
        else:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _known(self, match: re.Match[str]) -> bool:
        return f"{match['kind']}/{match['repo']}" in self.server.repositories

    def _files(self, match: re.Match[str]) -> dict[str, bytes]:
        return self.server.repositories[f"{match['kind']}/{match['repo']}"]

    def _create(self, wanted: dict[str, Any]) -> None:
        name, kind = f"{wanted['organization']}/{wanted['name']}", wanted.get("type", "model")
        known = f"{kind}s/{name}" in self.server.repositories
        self.server.repositories.setdefault(f"{kind}s/{name}", {})
        prefix = "" if kind == "model" else f"{kind}s/"
        self._answer({"url": f"{self.server.url}/{prefix}{name}", "id": name}, 409 if known else 200)

    def _modes(self, asked: dict[str, Any]) -> None:
        files = []
        for file in asked["files"]:
            mode = "lfs" if is_binary(base64.b64decode(file["sample"])) else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
        self._answer({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            each | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        self._answer({"transfer": "basic", "objects": objects})

    def _commit(self, match: re.Match[str], lines: list[dict[str, Any]]) -> None:
        files = dict(self._files(match))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                if is_binary(content):
                    self._answer({"error": "Your push was rejected because it contains binary files."}, 400)
                    return
                files[value["path"]] = content
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.server.repositories[f"{match['kind']}/{match['repo']}"] = files
        commit = commit_of(files)
        self._answer({"commitUrl": f"{self.server.url}/{match['repo']}/commit/{commit}", "commitOid": commit})

    def _answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

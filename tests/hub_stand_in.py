"""A stand-in for the HTTP API of the Hugging Face hub: the routes of publishing, downloading and streaming.

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
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"
_KIND = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo>[\w.-]+/[\w.-]+)"


class Range(NamedTuple):
    """Bytes of a file of a commit, from `start` to before `stop`."""

    name: str
    commit: str
    start: int
    stop: int


class Hub(ThreadingHTTPServer):
    """The server.

    Attributes:
        repositories: the files of "kind/ORG/NAME" by their paths.
        commits: the files of each commit that a client has been told.
        gated: repositories whose files nobody may read.
        requested: the files that were read.
        ranges: the parts of files that were read.
        broken: parts of files that cannot be read, by file name and one of their bytes.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.variables: dict[str, str] = {}
        self.large: dict[str, bytes] = {}
        self.requested: list[str] = []
        self.commits: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.ranges: list[Range] = []
        self.broken: set[tuple[str, int]] = set()


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
        address = urlsplit(self.path)
        path = unquote(address.path)
        if match := re.fullmatch(rf"{_KIND}/tree/(?P<revision>[\w.-]+)/?(?P<folder>.*)", path):
            self._tree(match, recursive="recursive=true" in address.query.lower())
        elif (match := re.fullmatch(rf"{_KIND}(/revision/(?P<revision>[\w.-]+))?", path)) and self._known(
            match
        ):
            files = self._files(match)
            siblings = [{"rfilename": name} for name in files]
            commit = commit_of(files)
            self.server.commits[commit] = files
            self._answer({"id": match["repo"], "sha": commit, "siblings": siblings})
        elif (
            match := re.fullmatch(
                r"/(?P<kind>datasets)/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>\w+)/(?P<name>.+)", path
            )
        ) and self._known(match):
            self._resolve(match)
        else:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _tree(self, match: re.Match[str], *, recursive: bool) -> None:
        files, folder = self._files(match), f"{match['folder']}/".lstrip("/")
        entries: dict[str, dict[str, Any]] = {}
        for name, content in files.items():
            if name.startswith(folder):
                first, *deeper = name.removeprefix(folder).split("/")
                if deeper:
                    entries[first] = {"type": "directory", "path": folder + first, "size": 0, "oid": "0"}
                if not deeper or recursive:
                    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 1}
                    file = {"type": "file", "path": name, "size": len(content), "oid": "0"}
                    entries[name] = file | ({"lfs": lfs} if is_binary(content) else {})
        self._answer(list(entries.values()))

    def _resolve(self, match: re.Match[str]) -> None:
        files, name = self._files(match), match["name"]
        if match["repo"] in self.server.gated:
            self._answer({"error": "gated"}, 403, {"X-Error-Code": "GatedRepo"})
            return
        if name not in files:
            self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self.server.requested.append(name)
        content, status = files[name], 200
        commit = commit_of(files)
        self.server.commits[commit] = files
        headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if part := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(part[1]), min(int(part[2]), len(content) - 1)
            if any(file == name and first <= byte <= last for file, byte in self.server.broken):
                self._answer({"error": "Service Unavailable"}, 503)
                return
            self.server.ranges.append(Range(name, match["revision"], first, last + 1))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        self._answer(content, status, headers)

    def _known(self, match: re.Match[str]) -> bool:
        return f"{match['kind']}/{match['repo']}" in self.server.repositories

    def _files(self, match: re.Match[str]) -> dict[str, bytes]:
        now = self.server.repositories[f"{match['kind']}/{match['repo']}"]
        return self.server.commits.get(match.groupdict().get("revision") or "", now)

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

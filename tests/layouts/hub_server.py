"""A server that answers as the Hugging Face Hub does for datasets and models in folders of this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.layouts.hub_uploads import TOKEN, Uploads

REVISION = "5e1f" * 10
BRANCHES = ("main", "refs/convert/parquet")


class HubServer(http.server.ThreadingHTTPServer):
    """Serves `folder/owner/name/…` as the dataset `owner/name`, the same at all revisions; models are in `uploads`.

    `requests`: the method, path and byte range of everything that was asked for. `refused`: how often the contents of a
    file are still refused.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[tuple[str, str, str | None]] = []
        self.refused: dict[str, int] = {}
        self.uploads = Uploads(folder / "models")

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self._body()
        self.server.requests.append((self.command, unquote(url.path), self.headers.get("Range")))
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts[:1] == ["datasets"] and parts[3:4] == ["resolve"]:
            self._file(self.server.folder / "/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        elif parts[2:3] == ["resolve"]:
            self._file(self.server.uploads.folder / "/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        elif parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), self.server.folder, parts[4:], body.decode())
        elif self.command in ("POST", "PUT"):
            self._upload(url.path, body)
        elif parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), self.server.uploads.folder, parts[4:], body.decode())
        else:
            self._send(404, {}, error="EntryNotFound")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _upload(self, path: str, body: bytes) -> None:
        if not path.startswith("/large/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid username or password."})
            return
        self._send(*self.server.uploads.answer(self.command, unquote(path), body, self.server.url))

    def _api(self, name: str, folder: Path, rest: list[str], body: str) -> None:
        root = folder / name
        if not root.is_dir():
            self._send(404, {}, error="RepoNotFound")
        elif rest[:1] in ([], ["revision"]):
            if rest and rest[1] not in (*BRANCHES, REVISION):
                self._send(404, {}, error="RevisionNotFound")
                return
            siblings = [{"rfilename": path} for path in self._paths(root)]
            self._send(200, {"id": name, "sha": REVISION, "private": False, "tags": [], "siblings": siblings})
        elif rest[0] == "tree":
            folder = root / "/".join(rest[2:])
            if not folder.is_dir():
                self._send(404, {}, error="EntryNotFound")
                return
            self._send(200, [self._entry(root, path) for path in sorted(folder.rglob("*"))])
        elif rest[0] == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
            self._send(200, [self._entry(root, root / path) for path in wanted if (root / path).exists()])
        else:
            self._send(404, {}, error="EntryNotFound")

    def _file(self, root: Path, revision: str, path: str) -> None:
        file = root / path
        if not root.is_dir():
            self._send(404, {}, error="RepoNotFound")
        elif revision not in (*BRANCHES, REVISION):
            self._send(404, {}, error="RevisionNotFound")
        elif not file.is_file():
            self._send(404, {}, error="EntryNotFound")
        elif self.command == "GET" and self.server.refused.get(path, 0) > 0:
            self.server.refused[path] -= 1
            self._send(403, {})
        else:
            self._bytes(file)

    def _bytes(self, file: Path) -> None:
        data = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        status = 200
        if found := self.headers.get("Range"):
            first, _, last = found.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else len(data), len(data))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            data, status = data[start:stop], 206
        self._send(status, data, headers)

    def _paths(self, root: Path) -> Iterator[str]:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                yield path.relative_to(root).as_posix()

    def _entry(self, root: Path, path: Path) -> dict[str, object]:
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        data = path.read_bytes()
        return {"type": "file", "path": name, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}

    def _send(
        self, status: int, content: object, headers: dict[str, str] | None = None, *, error: str | None = None
    ) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def hub_server(folder: Path) -> Iterator[HubServer]:
    """Serve until the end of the block."""
    server = HubServer(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""An S3-compatible server in a process of its own: moto's, with faults on request.

`python -m tests.s3_server` prints its port and serves the bucket BUCKET until its standard input is closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET = "corpora"
KEY, SECRET = "tester", "of-this-test"
ANSWERS = {"SlowDown": "503 Slow Down", "AccessDenied": "403 Forbidden"}
"""Faults by S3's error code, and the HTTP status of each. The fault `cut` ends an answer half-way."""


class S3Server:
    """The running server, as seen by a test."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which every client of Amazon's finds the server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def fail(self, method: str, part: str, kind: str, times: int = 1_000_000) -> None:
        """Answer the next `times` requests whose method is `method`, with `part` in their path, with a fault."""
        self._control({"fail": {"method": method, "part": part, "kind": kind, "times": times}})

    def heal(self) -> None:
        """Forget all faults, and the requests so far."""
        self._control({"heal": True})

    def requests(self) -> list[str]:
        """Return method and path of every request since `heal`."""
        found: list[str] = self._control({})
        return found

    def fill(self, prefix: str, count: int) -> None:
        """Store so many small objects `prefix/<number>/index.json`."""
        self._control({"fill": {"prefix": prefix, "count": count}})

    def _control(self, message: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/_control", json.dumps(message).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run the server until the end of the block."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.s3_server"]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield S3Server(int(process.stdout.readline()))
        finally:
            process.stdin.close()


class _WithFaults:
    """A WSGI application in front of moto's."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._faults: list[dict[str, Any]] = []
        self._requests: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/_control":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            data = json.dumps(self._control(json.loads(body))).encode()
            start_response("200 OK", [("Content-Length", str(len(data)))])
            return [data]
        with self._lock:
            self._requests.append(f"{method} {path}")
            fault = next((one for one in self._faults if one["method"] == method and one["part"] in path), None)
            if fault is not None:
                fault["times"] -= 1
                self._faults = [one for one in self._faults if one["times"] > 0]
        kind = None if fault is None else fault["kind"]
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            kind, status = "InvalidAccessKeyId", "403 Forbidden"
        elif kind != "cut":
            status = ANSWERS.get(kind, "")
        if kind in (None, "cut"):
            answer = b"".join(self._application(environ, start_response))
            return [answer[: len(answer) // 2] if kind else answer]
        text = f"<Error><Code>{kind}</Code><Message>answered by the test</Message></Error>".encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
        return [] if method == "HEAD" else [text]

    def _control(self, message: dict[str, Any]) -> list[str]:
        with self._lock:
            if "fail" in message:
                self._faults.append(message["fail"])
            if "heal" in message:
                self._faults, self._requests = [], []
            if "fill" in message:
                for number in range(message["fill"]["count"]):
                    _backend().put_object(BUCKET, f"{message['fill']['prefix']}/{number:05}/index.json", b"{}")
            return self._requests


def _backend() -> Any:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def _serve() -> None:
    import logging

    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _backend().create_bucket(BUCKET, "us-east-1")
    server = make_server("127.0.0.1", 0, _WithFaults(DomainDispatcherApplication(create_backend_app)), threaded=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    _serve()

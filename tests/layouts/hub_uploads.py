"""How the Hub takes uploads: repositories are created, files checked, stored and committed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOKEN = "hf_token_of_the_test"
OWNER = "me"
LARGE_BYTES = 10_000
"""Files from this size on go to large file storage; on the Hub 10 MB."""


@dataclass
class Uploads:
    """Model repositories in `folder/owner/name`, to which a token may write, and what was uploaded.

    `private`: repositories created so. `sent`: bytes of large files that came, by their SHA-256. `commits`: messages.
    """

    folder: Path
    private: set[str] = field(default_factory=set)
    sent: dict[str, bytes] = field(default_factory=dict)
    commits: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, url: str) -> tuple[int, Any]:
        """Return the status and the content that answer a request; the token was checked."""
        if method == "PUT" and path.startswith("/large/"):
            digest = hashlib.sha256(body).hexdigest()
            self.sent[digest] = body
            return (200 if path.endswith(digest) else 400), {}
        content = [json.loads(line) for line in body.splitlines()] if body else []
        if path == "/api/validate-yaml":
            errors = card_errors(content[0]["content"])
            return (400 if errors else 200), {"errors": [{"message": each} for each in errors], "warnings": []}
        if path == "/api/repos/create":
            return self._create(content[0], url)
        if found := re.fullmatch(r"/(.+)\.git/info/lfs/objects/batch", path):
            return 200, {"transfer": "basic", "objects": [self._action(each, url) for each in content[0]["objects"]]}
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        if found is None:
            return 404, {"error": "not found"}
        if found[2] == "preupload":
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": each["path"], "uploadMode": modes[each["size"] >= LARGE_BYTES], "shouldIgnore": False}
                for each in content[0]["files"]
            ]
            return 200, {"files": files}
        return self._commit(found[1], content, url)

    def _create(self, wanted: dict[str, Any], url: str) -> tuple[int, Any]:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] != OWNER:
            return 403, {"error": f"You don't have the rights to create a model under {wanted['organization']}"}
        if wanted.get("visibility") == "private":
            self.private.add(name)
        existed = (self.folder / name).is_dir()
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        return (409 if existed else 200), {"url": f"{url}/{name}", "name": name}

    def _action(self, wanted: dict[str, Any], url: str) -> dict[str, Any]:
        if wanted["oid"] in self.sent:
            return wanted
        return wanted | {"actions": {"upload": {"href": f"{url}/large/{wanted['oid']}"}}}

    def _commit(self, name: str, lines: list[dict[str, Any]], url: str) -> tuple[int, Any]:
        root = self.folder / name
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.commits.append((name, value["summary"]))
            elif line["key"] == "file":
                _write(root / value["path"], base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                _write(root / value["path"], self.sent[value["oid"]])
            elif line["key"] == "deletedFile":
                (root / value["path"]).unlink()
            else:
                shutil.rmtree(root / value["path"])
        return 200, {"commitUrl": f"{url}/{name}/commit/{len(self.commits)}", "commitOid": f"{len(self.commits):040x}"}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def card_errors(card: str) -> list[str]:
    """What the Hub refuses in the metadata of a model card, by the rules of its documentation."""
    front = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    if front is None:
        return ["there is no metadata"]
    data = yaml.safe_load(front[1])
    errors = [
        f'"language" {code!r} must be an ISO 639-1, 639-2 or 639-3 code'
        for code in data.get("language", [])
        if not isinstance(code, str) or not re.fullmatch("[a-z]{2,3}", code)
    ]
    if not re.fullmatch(r"[a-z0-9.-]+", data.get("license", "unknown")):
        errors.append('"license" is not an identifier')
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", data.get("base_model", "owner/name")):
        errors.append('"base_model" is not a model id')
    for model in data.get("model-index", []):
        for result in model["results"]:
            wanted = {("task", "type"), ("dataset", "type"), ("dataset", "name")}
            errors += [f'"{part}.{name}" is required' for part, name in wanted if name not in result[part]]
            metrics = result["metrics"]
            errors += ['"metrics" need type and value' for each in metrics if not {"type", "value"} <= set(each)]
    return errors

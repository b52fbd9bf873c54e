"""What a part of the suite finds, written line by line as it is found, so that a run that is cut off loses nothing.

A line of `findings.jsonl` is one finding. `collect` makes the document from the lines, whenever it is asked to.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Record:
    """The findings of one part."""

    def __init__(self, path: Path, part: str) -> None:
        self._path, self._part, self._began = path, part, time.monotonic()
        self._all_passed = True

    def check(self, name: str, measured: float, *, at_most: float) -> bool:
        """A figure that must not be above a bound; NaN fails."""
        passed = bool(measured <= at_most)
        self._write("checks", name, {"passed": passed, "measured": measured, "at_most": at_most})
        return passed

    def holds(self, name: str, truth: bool, detail: str = "") -> bool:
        """Something that must be so."""
        self._write("checks", name, {"passed": bool(truth)} | ({"detail": detail} if detail else {}))
        return bool(truth)

    def figure(self, name: str, value: float) -> None:
        """A key figure, by the name that `targets` knows it by."""
        self._write("figures", name, float(value))

    def note(self, name: str, value: object) -> None:
        """Anything else that a reader wants to see."""
        self._write("notes", name, value)

    def skip(self, name: str, reason: str) -> None:
        """Something that was not done, and why."""
        self._write("skipped", name, reason)

    def end_by_checks(self) -> None:
        """The part has come to its end; whether every check of it passed."""
        self.end("passed" if self._all_passed else "failed")

    def end(self, status: str, *, error: str = "") -> None:
        """How the part ended: passed, failed, crashed, timed out or skipped."""
        value = {
            "status": status,
            "seconds": round(time.monotonic() - self._began, 1),
            "cpu_seconds": round(sum(os.times()[:4]), 1),
        }
        self._write("end", "", value | ({"error": error} if error else {}))

    def _write(self, kind: str, name: str, value: object) -> None:
        line = {"part": self._part, "kind": kind, "name": name, "value": plain(value)}
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        passed = ""
        if isinstance(value, dict) and kind == "checks":
            passed = "ok   " if value["passed"] else "FAIL "
            self._all_passed &= value["passed"]
        shown = json.dumps(line["value"], ensure_ascii=False)
        print(f"[{time.monotonic() - self._began:6.1f}] {passed}{name or self._part}: {shown[:400]}", flush=True)


def collect(path: Path) -> Document:
    """{part: {checks, figures, notes, skipped, status, seconds, error}} from the lines so far."""
    parts: Document = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue  # cut off in the middle of a line
        part = parts.setdefault(line["part"], {"status": "unfinished", "checks": {}, "figures": {}, "notes": {}})
        if line["kind"] == "end":
            part.update(line["value"])
        else:
            part.setdefault(line["kind"], {})[line["name"]] = line["value"]
    return parts


def plain(value: object) -> object:
    """As JSON has it: numbers to six digits, what is not finite as text, everything unknown as text."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)

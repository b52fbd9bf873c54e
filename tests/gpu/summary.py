"""The short table at the end: where it ran, what passed, and which targets are met."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.gpu.record import Document
from tests.gpu.targets import verdicts

RESULTS, TABLE = "results.json", "table.md"
INCOMPLETE = 3
_NO_FIGURES = "A smoke run on a CPU: it shows that the suite runs. Its figures mean nothing, and none is shown."


def write_results(folder: Path, parts: Document, *, smoke: bool, expected: Sequence[str] = ()) -> None:
    """`results.json` and `table.md`, each whole or not at all. `expected` are the parts that were asked for."""
    document = json.dumps({"smoke": smoke, "parts": parts}, indent=1, ensure_ascii=False) + "\n"
    for name, text in ((RESULTS, document), (TABLE, table(parts, smoke=smoke, expected=expected))):
        staged = folder / f".{name}.staging"
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, folder / name)


def table(parts: Document, *, smoke: bool, expected: Sequence[str] = ()) -> str:
    """Markdown; the first line says how it went."""
    lines = [f"# GPU suite: {_outcome(parts, expected)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _conditions(parts).items()]
    lines += ["", "| part | | s | checks |", "|---|---|--:|---|"]
    lines += [_part_line(name, part) for name, part in parts.items()]
    lines += _failures(parts)
    lines += ["", _NO_FIGURES] if smoke else ["", *_figures(parts)]
    return "\n".join(lines) + "\n"


def failed_parts(parts: Document) -> list[str]:
    """Those with a check that failed, or that did not come to their end."""
    return [name for name, part in parts.items() if part["status"] not in ("passed", "skipped")]


def left_out(parts: Document, expected: Sequence[str] = ()) -> list[str]:
    """What was not done: parts for which no time was left, those not begun yet, and pieces of the others."""
    found = [name for name, part in parts.items() if part["status"] == "skipped"]
    found += [name for name in expected if name not in parts]
    return found + [f"{name}: {what}" for name, part in parts.items() for what in part.get("skipped", {})]


def exit_status(parts: Document) -> int:
    """0: everything was done and passed, 1: something failed, 3: nothing failed, but something was left out."""
    return 1 if failed_parts(parts) else (INCOMPLETE if left_out(parts) else 0)


def _outcome(parts: Document, expected: Sequence[str]) -> str:
    failed, missing = failed_parts(parts), left_out(parts, expected)
    words = [f"failed: {', '.join(failed)}"] if failed else []
    words += [f"incomplete, {len(missing)} left out or not begun: {', '.join(missing)}"] if missing else []
    return "; ".join(words) or "complete, every check passed"


def _conditions(parts: Document) -> dict[str, Any]:
    passed, failed = _count(parts.values())
    statuses = [part["status"] for part in parts.values()]
    return parts.get("environment", {}).get("notes", {}).get("conditions", {}) | {
        "checks": f"{passed} passed, {failed} failed",
        "parts": ", ".join(f"{statuses.count(one)} {one}" for one in dict.fromkeys(statuses)),
    }


def _count(parts: Any) -> tuple[int, int]:
    results = [check["passed"] for part in parts for check in part["checks"].values()]
    return results.count(True), results.count(False)


def _part_line(name: str, part: dict[str, Any]) -> str:
    passed, failed = _count([part])
    missing = "".join(f"; left out: {what} ({why})" for what, why in part.get("skipped", {}).items())
    return f"| {name} | {part['status']} | {part.get('seconds', '–')} | {passed} of {passed + failed}{missing} |"


def _failures(parts: Document) -> list[str]:
    lines = []
    for name, part in parts.items():
        for what, check in part["checks"].items():
            if not check["passed"]:
                bound = f" > {check['at_most']:.3g}" if "at_most" in check else check.get("detail", "")
                lines.append(f"* {name}: {what}: {check.get('measured', '')}{bound}")
        if part.get("error"):
            lines.append(f"* {name}, {part['status']}: {part['error'].strip().splitlines()[-1]}")
    return ["", "Not passed:", "", *lines] if lines else []


def _figures(parts: Document) -> list[str]:
    lines = ["| figure | value | target | |", "|---|--:|--:|---|"]
    judged = verdicts(parts)
    for name, (value, target, verdict) in judged.items():
        lines.append(f"| {name} | {'–' if value is None else _number(value)} | {target} | {verdict} |")
    for part in parts.values():
        lines += [f"| {name} | {_number(value)} | | |" for name, value in part["figures"].items() if name not in judged]
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

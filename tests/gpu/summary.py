"""The short table at the end: where it ran, what passed, and which targets are met."""

import json
import os
from pathlib import Path
from typing import Any

from tests.gpu.record import Document
from tests.gpu.targets import verdicts

RESULTS, TABLE = "results.json", "table.md"
_NO_FIGURES = "A smoke run on a CPU: it shows that the suite runs. Its figures mean nothing, and none is shown."


def write_results(folder: Path, parts: Document, *, smoke: bool) -> None:
    """`results.json` and `table.md`, each whole or not at all."""
    document = json.dumps({"smoke": smoke, "parts": parts}, indent=1, ensure_ascii=False) + "\n"
    for name, text in ((RESULTS, document), (TABLE, table(parts, smoke=smoke))):
        staged = folder / f".{name}.staging"
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, folder / name)


def table(parts: Document, *, smoke: bool) -> str:
    """Markdown."""
    lines = ["# GPU suite", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _conditions(parts).items()]
    lines += ["", "| part | | s | checks |", "|---|---|--:|---|"]
    lines += [_part_line(name, part) for name, part in parts.items()]
    lines += _failures(parts)
    lines += ["", _NO_FIGURES] if smoke else ["", *_figures(parts)]
    return "\n".join(lines) + "\n"


def failed_parts(parts: Document) -> list[str]:
    """Those with a check that failed, or that did not come to their end."""
    return [name for name, part in parts.items() if part["status"] not in ("passed", "skipped")]


def _conditions(parts: Document) -> dict[str, Any]:
    passed, failed = _count(parts.values())
    return parts.get("environment", {}).get("notes", {}).get("conditions", {}) | {
        "checks": f"{passed} passed, {failed} failed",
        "parts": f"{len(parts) - len(failed_parts(parts))} of {len(parts)} passed or left out for want of time",
    }


def _count(parts: Any) -> tuple[int, int]:
    results = [check["passed"] for part in parts for check in part["checks"].values()]
    return results.count(True), results.count(False)


def _part_line(name: str, part: dict[str, Any]) -> str:
    passed, failed = _count([part])
    left_out = "".join(f"; left out: {what}" for what in part.get("skipped", {}))
    return f"| {name} | {part['status']} | {part.get('seconds', '–')} | {passed} of {passed + failed}{left_out} |"


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

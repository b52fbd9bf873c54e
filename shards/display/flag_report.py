"""Print how many utterances of each language have which flags, with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from shards.display.tables import TextColumn, fitting_table, rounded_duration
from shards.display.terminal import say
from shards.flags.names import FLAGS, NEEDS_OTHERS

_EXAMPLES = 3


def print_flags(console: Console, flags: Mapping[str, Mapping[str, Any] | None], *, examples: bool) -> None:
    """Print a table with a row for each flag of each language, what the flags mean, and how to leave them out.

    Args:
        flags: by language, what its index says; None if it was never flagged.
        examples: show some of each, too.
    """
    rows, shown = [], Counter[str]()
    for language, described in flags.items():
        for flag, entry in (described or {}).get("found", {}).items():
            counts = (f"{entry['splits'].get(split, 0):,}" for split in ("train", "dev", "test"))
            example = entry["examples"][0].partition(": ")[2] if entry["examples"] else ""
            rows.append((language, flag, *counts, rounded_duration(entry["seconds"]), example))
            shown[flag] += entry["count"]
    if rows:
        columns = [
            TextColumn("language", right=False),
            TextColumn("flag", right=False),
            *(TextColumn(split) for split in ("train", "dev", "test")),
            TextColumn("audio", rank=1),
            *([] if examples else [TextColumn("example", right=False, folds=True)]),
        ]
        table_rows = [row[: len(columns)] for row in rows]
        console.print(fitting_table("Flagged utterances", columns, table_rows, console.width))
        for flag in FLAGS:
            if flag in shown:
                say(console, f"  {flag}: {FLAGS[flag].meaning}")
    if examples:
        _print_examples(console, flags)
    never = [language for language, described in flags.items() if described is None]
    alone = [language for language, described in flags.items() if described and not described["compared_with"]]
    if never:
        say(console, f"without flags: {_some(never)}; 'mms-dist shards flag SHARDS' looks for some")
    elif len(alone) > 1:
        say(console, f"not looked for yet: {NEEDS_OTHERS}; 'mms-dist shards flag SHARDS' does that")
    if rows:
        say(console, f"leave them out of training with --data.leave_out_flagged, for example {min(shown)}")


def _print_examples(console: Console, flags: Mapping[str, Mapping[str, Any] | None]) -> None:
    for language, described in flags.items():
        for flag, entry in (described or {}).get("found", {}).items():
            say(console, f"{language}, {flag}")
            for example in entry["examples"][:_EXAMPLES]:
                say(console, f"  {example}")


def _some(languages: list[str]) -> str:
    return ", ".join(languages[:8]) + (f" and {len(languages) - 8:,} more" if len(languages) > 8 else "")

"""Flag the utterances of finished shards, before their sample table is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shards.flags.flagging import describe, flag_utterances, utterances_of
from shards.flags.measures import MEASURES, table_values
from shards.flags.names import FLAGS_COLUMN, FlagOptions
from shards.splits import SPLITS

if TYPE_CHECKING:
    from shards.index.parts import ShardPart
    from shards.text_rules import TextRules


def flag_parts(
    language: str,
    parts: Sequence[ShardPart],
    texts: Sequence[Sequence[str]],
    options: FlagOptions,
    scripts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Give all parts of a language the column of flags. Returns what the index says about them.

    Args:
        texts: those of the rows of each part.
        scripts: those that the texts are in; empty: those of the language.
    """
    in_order = sorted(range(len(parts)), key=lambda number: SPLITS.index(parts[number].split))
    columns: dict[str, list[Any]] = {name: [] for name in ("split", "key", "samples", "align_score", *MEASURES)}
    for part in (parts[number] for number in in_order):
        count = part.info.samples
        columns["split"] += [part.split] * count
        columns["align_score"] += part.rows.get("align_score", [None] * count)
        for name in ("key", "samples", *MEASURES):
            columns[name] += table_values(name, part.rows[name])
    found = utterances_of(language, columns, [text for number in in_order for text in texts[number]], scripts)
    flagged = flag_utterances(found, options)
    names = iter(flagged.names())
    for part in (parts[number] for number in in_order):
        part.rows[FLAGS_COLUMN] = [next(names) for _ in range(part.info.samples)]
    return describe(found, flagged, options)


def scripts_of(rules: TextRules) -> tuple[str, ...]:
    """Return the scripts that these rules write text in; empty: that of the language."""
    return ("Latin",) if rules.romanise else ()

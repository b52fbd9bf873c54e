"""Survey the raw transcripts of shards, or of a source before it is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from shards import storage
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import INDEX_NAME, SAMPLE_RATE
from shards.sources.rows import SourceRow
from shards.text.survey import TextSurvey
from shards.text_rules import TextRules


def holds_shards(place: str) -> bool:
    """Whether `place` is a folder or URL of indexed shards, and not a source."""
    if storage.is_url(place):
        return True
    return os.path.isdir(place) and any(
        os.path.isfile(os.path.join(place, name, INDEX_NAME)) for name in os.listdir(place)
    )


def survey_shards(
    index: ShardIndex, rules_of: Callable[[str], TextRules], advance: Callable[[], None] = lambda: None
) -> Iterator[TextSurvey]:
    """Yield a survey of each language: all splits, with durations. `advance` is called after each transcript.

    Raises:
        ShardsError: a shard cannot be read.
    """
    reader = ShardReader(index)
    try:
        for code in index.languages:
            survey = TextSurvey(code, rules_of(code))
            language = index.language(code)
            for split in language.splits:
                table = language.table(split)
                for row in range(len(table)):
                    raw = reader.transcript(code, split, row)
                    survey.add(raw, str(table.keys[row]), int(table.samples[row]) / SAMPLE_RATE)
                    advance()
            language.forget()
            yield survey
    finally:
        reader.close()


def survey_source(rows: Iterable[SourceRow], rules_of: Callable[[str], TextRules]) -> list[TextSurvey]:
    """Return a survey of each language. Durations are known for segments alone, because no audio is opened."""
    surveys: dict[str, TextSurvey] = {}
    for row in rows:
        if row.text is None:
            continue
        if row.language not in surveys:
            surveys[row.language] = TextSurvey(row.language, rules_of(row.language))
        known = row.start_seconds is not None and row.end_seconds is not None
        seconds = (row.end_seconds or 0.0) - (row.start_seconds or 0.0) if known else None
        surveys[row.language].add(row.text, row.name, seconds if seconds and seconds > 0 else None)
    return [surveys[code] for code in sorted(surveys)]

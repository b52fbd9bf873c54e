"""Read Common Voice's spontaneous speech as it is downloaded: the folder of one language or of several, or a tar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.corpus_files import CorpusFiles, corpus_files, names_at
from shards.sources.corpus_parts import corpus_parts
from shards.sources.plain_table import PlainTable
from shards.sources.row_fields import audio_path, split, tag
from shards.sources.rows import RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace

_TABLE = re.compile(r"ss-corpus-([A-Za-z0-9_-]+)\.tsv")
_AUDIO = "audios"
_COLUMNS = ("client_id", "audio_file", "transcription")
_TAGS = {
    "accent": "accents",
    "variant": "variant",
    "gender": "gender",
    "age": "age",
    "quality": "quality_tags",
    "votes": "votes",
}
_NO_SPLIT = "unassigned"


class SpontaneousSpeech:
    """A release of Common Voice's spontaneous speech: `ss-corpus-<locale>.tsv` and `audios/` for every language.

    Transcripts keep their tags, such as `[noise]`: the rules for text decide on them.
    """

    name = "spontaneous-speech"
    expected = "a folder or tar of Common Voice's spontaneous speech"
    row_noun = "lines"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether there is a table named as these, or a tar begins with such recordings."""
        return any(
            _TABLE.fullmatch(name.name) or (name.parent.name == _AUDIO and name.name.startswith("spontaneous-speech-"))
            for name in names_at(place.path, ending=".tsv")
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, language by language, in the order of their tables."""
        with corpus_files(place.path, lambda name: _TABLE.fullmatch(name.name) is not None) as files:
            if not files.tables:
                raise SourceError(f"{place} has no ss-corpus-<locale>.tsv")
            yield from with_copies_noted(_read(place, files, options.language))


def _read(place: SourcePlace, files: CorpusFiles, language: str | None) -> Iterator[Found]:
    for part in corpus_parts(place, files.tables, language, written=lambda _, tables: _locale(tables[0])):
        if isinstance(part, RowError):
            yield part
            continue
        for table in part.tables:
            yield from _rows(files, table, part.language)


def _locale(table: PurePosixPath) -> str:
    named = _TABLE.fullmatch(table.name)
    assert named is not None, "only such tables are listed"
    return named[1]


def _rows(files: CorpusFiles, table: PurePosixPath, language: str) -> Iterator[Found]:
    lines = files.lines(table)
    plain = PlainTable(lines)
    plain.require(_COLUMNS)
    for number, fields in plain.rows():
        where = lines.where(number)
        try:
            if isinstance(fields, RowError):
                raise fields
            name = audio_path(fields["audio_file"], "audio_file", where)
            named_split = fields.get("split")
            text = check_text(fields["transcription"], "'transcription'", where)
            yield SourceRow(
                audio=files.audio(table.parent / _AUDIO / name),
                name=name,
                text=text if text.strip() else None,
                language=language,
                where=where,
                split=None if named_split == _NO_SPLIT else split(named_split, "split", where),
                speaker=check_text(fields["client_id"], "'client_id'", where) or None,
                tags={ours: value for ours, its in _TAGS.items() if (value := tag(fields.get(its), where))} or None,
                detail="it is not transcribed",
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)

"""Read Common Voice's spontaneous speech as it is downloaded: the folder of one language or of several, or a tar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from shards.drops import Drop
from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.corpus_files import CorpusFiles, corpus_files, names_at
from shards.sources.corpus_parts import corpus_parts
from shards.sources.plain_table import PlainTable
from shards.sources.row_fields import audio_path, split, tag
from shards.sources.rows import LeftOut, RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.wording import counted

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
_ALL = "all"


class SpontaneousSpeech:
    """A release of Common Voice's spontaneous speech: `ss-corpus-<locale>.tsv` and `audios/` for every language.

    Only clips with validated transcripts are in a split. With `split_from="all"`, all transcribed clips are used, and
    none has a split. Transcripts keep their tags, such as `[noise]`: the rules for text decide on them.

    Layout: https://github.com/common-voice/cv-dataset/blob/main/datasets/spontaneous-speech/README.md
    """

    name = "spontaneous-speech"
    expected = "a folder or tar of Common Voice's spontaneous speech"
    row_noun = "lines"
    uses = frozenset({"split_from"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether there is a table named as these, or a tar begins with such recordings."""
        return any(
            _TABLE.fullmatch(name.name) or (name.parent.name == _AUDIO and name.name.startswith("spontaneous-speech-"))
            for name in names_at(place.path, ending=".tsv")
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, language by language, in the order of their tables."""
        if options.split_from not in (None, _ALL):
            raise SourceError(f"--split-from {options.split_from}: expected {_ALL} for spontaneous speech")
        with corpus_files(place.path, lambda name: _TABLE.fullmatch(name.name) is not None) as files:
            if not files.tables:
                raise SourceError(f"{place} has no ss-corpus-<locale>.tsv")
            found = _read(place, files, options.language, every=options.split_from == _ALL)
            yield from with_copies_noted(found)


def _read(place: SourcePlace, files: CorpusFiles, language: str | None, *, every: bool) -> Iterator[Found]:
    rows = unassigned = 0
    for part in corpus_parts(place, files.tables, language, written=lambda _, tables: _locale(tables[0])):
        if isinstance(part, RowError):
            yield part
            continue
        for table in part.tables:
            for found in _rows(files, table, part.language, every=every):
                rows += isinstance(found, SourceRow) and found.text is not None
                unassigned += isinstance(found, LeftOut) and found.drop.reason == "unassigned"
                yield found
    if unassigned and not rows:
        raise SourceError(
            f"{place}: none of the {counted(unassigned, 'transcribed clip')} is in a split, as none is validated",
            fix=f"use them all: --split-from {_ALL}",
        )


def _locale(table: PurePosixPath) -> str:
    named = _TABLE.fullmatch(table.name)
    assert named is not None, "only such tables are listed"
    return named[1]


def _rows(files: CorpusFiles, table: PurePosixPath, language: str, *, every: bool) -> Iterator[Found]:
    lines = files.lines(table)
    plain = PlainTable(lines)
    plain.require(_COLUMNS)
    for number, fields in plain.rows():
        where = lines.where(number)
        try:
            if isinstance(fields, RowError):
                raise fields
            name = audio_path(fields["audio_file"], "audio_file", where)
            text = check_text(fields["transcription"], "'transcription'", where)
            unassigned = fields.get("split") == _NO_SPLIT
            if unassigned and text.strip() and not every:
                yield LeftOut(Drop("unassigned", f"{table.name}:{number}"), language, line=number)
                continue
            yield SourceRow(
                audio=files.audio(table.parent / _AUDIO / name),
                name=name,
                text=text if text.strip() else None,
                language=language,
                where=where,
                split=None if every or unassigned else split(fields.get("split"), "split", where),
                speaker=check_text(fields["client_id"], "'client_id'", where) or None,
                tags={ours: value for ours, its in _TAGS.items() if (value := tag(fields.get(its), where))} or None,
                detail="it is not transcribed",
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)

"""Read Multilingual LibriSpeech: `transcripts.txt` for each split, and recordings by speaker and book."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.corpus_files import CorpusFiles, corpus_files, names_at
from shards.sources.corpus_parts import CorpusPart, corpus_parts
from shards.sources.rows import RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.splits import SPLITS

_TRANSCRIPTS = "transcripts.txt"
_SPEAKERS = "metainfo.txt"
# Speaker, book and number of the segment.
_ID = re.compile(r"(\w+)_(\w+)_\w+")
_FOLDER = re.compile(r"mls_(?P<language>[a-z]+?)(_opus)?")
_GENDERS = {"M": "male", "F": "female"}
_ENDINGS = (".flac", ".opus", ".wav")


class MultilingualLibriSpeech:
    """MLS: `<split>/transcripts.txt` with lines `id<tab>text`, and `<split>/audio/<speaker>/<book>/<id>.flac`."""

    name = "mls"
    expected = "a folder or tar of MLS"
    row_noun = "lines"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether the folder of a split has `transcripts.txt`, or a tar is named as those of MLS."""
        if os.path.isdir(place.path):
            return any(_is_transcripts(name) for name in names_at(place.path, ending=_TRANSCRIPTS))
        return _FOLDER.match(place.path.name) is not None and any(
            name.suffix in _ENDINGS or _is_transcripts(name) for name in names_at(place.path, ending="")
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances in the order of train, dev and test."""
        with corpus_files(place.path, lambda name: _is_transcripts(name) or name.name == _SPEAKERS) as files:
            if not any(map(_is_transcripts, files.tables)):
                raise SourceError(f"{place} has no train/{_TRANSCRIPTS}, dev/{_TRANSCRIPTS} or test/{_TRANSCRIPTS}")
            yield from with_copies_noted(_read(place, files, options.language))


def _is_transcripts(name: PurePosixPath) -> bool:
    return name.name == _TRANSCRIPTS and name.parent.name in SPLITS


def _read(place: SourcePlace, files: CorpusFiles, language: str | None) -> Iterator[Found]:
    def written(folder: PurePosixPath, _: object) -> str:
        name = folder.name or files.name
        named = _FOLDER.fullmatch(name)
        return named["language"] if named else name

    def folder_of(table: PurePosixPath) -> PurePosixPath:
        return table.parent if table.name == _SPEAKERS else table.parent.parent

    for part in corpus_parts(place, files.tables, language, written=written, folder_of=folder_of):
        if isinstance(part, RowError):
            yield part
            continue
        genders = _genders(files, part)
        for split in SPLITS:
            table = part.folder / split / _TRANSCRIPTS
            if table in part.tables:
                yield from _rows(files, table, part.language, split, genders)


def _genders(files: CorpusFiles, part: CorpusPart) -> dict[str, str]:
    """Return the gender of every speaker of which it is known."""
    table = part.named(_SPEAKERS)
    if table is None:
        return {}
    found = {}
    for _, line in files.lines(table).decoded():
        if isinstance(line, str):
            speaker, gender, *_ = [*(field.strip() for field in line.split("|")), ""]
            if gender in _GENDERS:
                found[speaker] = _GENDERS[gender]
    return found


def _rows(
    files: CorpusFiles, table: PurePosixPath, language: str, split: str, genders: dict[str, str]
) -> Iterator[Found]:
    lines = files.lines(table)
    ending: str | None = None
    for number, line in lines.decoded():
        where = lines.where(number)
        try:
            if isinstance(line, RowError):
                raise line
            if not line.strip():
                continue
            key, tab, text = line.partition("\t")
            named = _ID.fullmatch(key)
            if not tab or named is None:
                raise RowError(where, "row_fields", "expected SPEAKER_BOOK_NUMBER, a tab and the text")
            speaker, book = named.groups()
            recording = table.parent / "audio" / speaker / book / key
            if ending is None:
                ending = _ending(files, recording)
            gender = genders.get(speaker)
            yield SourceRow(
                audio=files.audio(recording.with_name(f"{key}{ending}")),
                name=f"{key}{ending}",
                text=check_text(text, "the text", where),
                language=language,
                where=where,
                split=split,
                speaker=speaker,
                tags={"gender": gender} if gender else None,
            )
        except RowError as error:
            yield error.at(f"{split}/{table.name}:{number}", language, number)


def _ending(files: CorpusFiles, recording: PurePosixPath) -> str:
    """Return the ending of the recordings' names: MLS is published as FLAC and as Opus."""

    def is_there(ending: str) -> bool:
        return files.audio(recording.with_name(f"{recording.name}{ending}")).check().missing is None

    return next(filter(is_there, _ENDINGS), _ENDINGS[0])

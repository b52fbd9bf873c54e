"""Read LJSpeech and the many corpora laid out like it: `metadata.csv` without a header, and `wavs/`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shards.audio.extensions import readable_extensions
from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.audio_reference import AudioReference
from shards.sources.corpus_files import CorpusFiles, corpus_files, names_at
from shards.sources.corpus_parts import corpus_parts
from shards.sources.file_finder import FileFinder
from shards.sources.folder_names import is_kind_of_file
from shards.sources.plain_table import read_header_line
from shards.sources.row_fields import audio_path
from shards.sources.rows import RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.wording import printable

_TABLE = "metadata.csv"
_WAVS = "wavs"
_FIELDS = (2, 3, 4)
_EXPECTED = "id|text|normalised text|speaker, of which the last two may be left out"


class LJSpeech:
    """A folder with `wavs/id.wav` and `metadata.csv`: `id|text`, `id|text|normalised` or `id|text|normalised|speaker`.

    The normalised text is used where there is one: its numbers are spelled. Several such folders in one are as many
    speakers, or languages if they are named so.
    """

    name = "ljspeech"
    expected = "a folder or tar with metadata.csv and wavs/, as LJSpeech"
    row_noun = "lines"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether a table without a header has bars, and its first recording is in `wavs`."""
        path = place.path.parent if place.path.name == _TABLE else place.path
        for name in names_at(path, ending=_TABLE):
            if name.name == _TABLE and os.path.isdir(path):
                fields = read_header_line(path / name).split("|")
                wavs = path / name.parent / _WAVS
                return len(fields) in _FIELDS and _is_there(wavs, fields[0])
            if name.parent.name == _WAVS:  # in a tar
                return True
        return False

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances in the order of the lines."""
        path = place.path.parent if place.path.name == _TABLE else place.path
        with corpus_files(path, lambda name: name.name == _TABLE) as files:
            if not files.tables:
                raise SourceError(f"{place} has no {_TABLE}")
            yield from with_copies_noted(_read(SourcePlace(str(path)), files, options.language))


def _read(place: SourcePlace, files: CorpusFiles, language: str | None) -> Iterator[Found]:
    several = len(files.tables) > 1
    if several and language is not None:  # folders of speakers, all in this language
        for table in files.tables:
            yield from _rows(files, table, language, table.parent.name)
        return
    only = files.tables[0].parent.name or files.name
    if not several and language is None and is_kind_of_file(only):
        raise SourceError(
            f"folder {printable(only)!r} is named after a kind of file",
            fix=f"pass the language with --lang, even if it is {printable(only)}",
        )
    for part in corpus_parts(place, files.tables, language, written=lambda folder, _: folder.name or files.name):
        if isinstance(part, RowError):
            yield part
        else:
            yield from _rows(files, part.tables[0], part.language, None)


def _rows(files: CorpusFiles, table: PurePosixPath, language: str, speaker: str | None) -> Iterator[Found]:
    lines = files.lines(table)
    wavs = table.parent / _WAVS
    ending: str | None = None
    for number, line in lines.decoded():
        where = lines.where(number)
        try:
            if isinstance(line, RowError):
                raise line
            if not line.strip():
                continue
            fields = line.split("|")
            if len(fields) not in _FIELDS:
                raise RowError(where, "row_fields", f"{len(fields)} fields between bars, expected {_EXPECTED}")
            name = audio_path(fields[0].strip(), "id", where)
            if ending is None:
                ending = _ending(files, wavs, name)
            texts = [field for field in fields[1:3] if field.strip()]
            named = check_text(fields[3].strip(), "the speaker", where) if len(fields) == 4 else None
            yield SourceRow(
                audio=files.audio(wavs / f"{name}{ending}"),
                name=f"{speaker}/{name}{ending}" if speaker else f"{name}{ending}",
                text=check_text(texts[-1].strip() if texts else "", "the text", where),
                language=language,
                where=where,
                speaker=named or speaker,
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)


def _is_there(wavs: Path, name: str) -> bool:
    finder = FileFinder()
    try:
        return any(os.path.isfile(finder.find(wavs / found)) for found in _file_names(name))
    except SourceError:  # two files have names that look the same
        return True


def _ending(files: CorpusFiles, wavs: PurePosixPath, name: str) -> str:
    """Return what follows the ids in the names of the recordings, by the first one."""

    def is_there(found: str) -> bool:
        reference: AudioReference = files.audio(wavs / found)
        return reference.check().missing is None

    found = next(filter(is_there, _file_names(name)), f"{name}.wav")
    return found.removeprefix(name)


def _file_names(name: str) -> Iterator[str]:
    yield f"{name}.wav"
    yield name
    yield from (f"{name}.{extension}" for extension in readable_extensions())

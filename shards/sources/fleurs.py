"""Read FLEURS: tables without a header for every language and split, and recordings in folders or in tars."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.audio_reference import AudioReference
from shards.sources.corpus_files import CorpusFiles, TarFiles, corpus_files, names_at
from shards.sources.corpus_parts import corpus_parts
from shards.sources.plain_table import first_fields
from shards.sources.row_fields import audio_path, tag
from shards.sources.rows import RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.splits import SPLITS

# The fields of a line, as the parquet files on the Hub name them.
_FIELDS = ("id", "file_name", "raw_transcription", "transcription", "characters", "num_samples", "gender")
_TABLES = tuple(f"{split}.tsv" for split in SPLITS)
_AUDIO = "audio"
_TEXTS = ("transcription", "raw_transcription")
_SUFFIXES = (".tar.gz", ".tar")


class Fleurs:
    """FLEURS: `<language>_<region>/<split>.tsv`, with `audio/<split>/` or `audio/<split>.tar.gz` beside the tables.

    A sentence is read by one to three people, whose names are unknown. Its splits share no sentence.
    """

    name = "fleurs"
    expected = "a folder of FLEURS"
    row_noun = "lines"
    uses = frozenset({"columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether a table looks like one of FLEURS, or a tar begins with its recordings."""
        found = names_at(place.path, ending=".tsv")
        if os.path.isdir(place.path):
            return any(name.name in _TABLES and _is_line(first_fields(place.path / name)) for name in found)
        return any(
            name.parent.name in SPLITS and name.parent.parent.name == _AUDIO and name.stem.isdecimal() for name in found
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, language by language, in the order of train, dev and test."""
        text = (options.columns or {}).get("text", _TEXTS[0])
        if text not in _TEXTS or set(options.columns or {}) - {"text"}:
            raise SourceError(
                "--columns: FLEURS has a choice of texts alone", fix=f"--columns text={' or text='.join(_TEXTS)}"
            )
        with corpus_files(place.path, lambda name: name.name in _TABLES) as files:
            if not files.tables:
                raise SourceError(f"{place} has no train.tsv, dev.tsv or test.tsv")
            found = _read(place, files, options.language, _FIELDS.index(text))
            yield from with_copies_noted(found)


def _is_line(fields: list[str]) -> bool:
    return len(fields) == len(_FIELDS) and fields[0].isdecimal() and fields[5].isdecimal()


def _read(place: SourcePlace, files: CorpusFiles, language: str | None, text: int) -> Iterator[Found]:
    for part in corpus_parts(place, files.tables, language, written=lambda folder, _: folder.name or files.name):
        if isinstance(part, RowError):
            yield part
            continue
        for split in SPLITS:
            table = part.named(f"{split}.tsv")
            if table is not None:
                audio = _Recordings(place.path, files, part.folder / _AUDIO, split)
                yield from _rows(files, table, part.language, split, audio, text)


class _Recordings:
    """The recordings of one split: files of a folder, or members of a tar."""

    def __init__(self, root: Path, files: CorpusFiles, folder: PurePosixPath, split: str) -> None:
        self._files = files
        self._folder = folder / split
        self._split = split
        archives = (root / folder / f"{split}{suffix}" for suffix in _SUFFIXES)
        archive = None if os.path.isdir(root / self._folder) else next(filter(os.path.isfile, archives), None)
        self._tar = None if archive is None else TarFiles(archive)

    def named(self, name: str) -> AudioReference:
        if self._tar is None:
            return self._files.audio(self._folder / name)
        return self._tar.audio(PurePosixPath(self._split, name))


def _rows(
    files: CorpusFiles, table: PurePosixPath, language: str, split: str, audio: _Recordings, text: int
) -> Iterator[Found]:
    lines = files.lines(table)
    for number, line in lines.decoded():
        where = lines.where(number)
        try:
            if isinstance(line, RowError):
                raise line
            if not line.strip():
                continue
            fields = line.split("\t")
            if not _is_line(fields):
                found = f"{len(fields)} tab-separated fields" if len(fields) != len(_FIELDS) else "no id or no samples"
                raise RowError(where, "row_fields", f"{found}, expected {', '.join(_FIELDS)}")
            name = audio_path(fields[1], "file_name", where)
            gender = tag(fields[6].strip().lower(), where)
            yield SourceRow(
                audio=audio.named(name),
                name=f"{split}/{name}",
                text=check_text(fields[text], f"'{_FIELDS[text]}'", where),
                language=language,
                where=where,
                split=split,
                tags={"gender": gender} if gender else None,
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)

"""Read VoxPopuli's transcribed speech: `asr_<split>.tsv` for each language, and recordings by year or in tars."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.audio_reference import AudioReference
from shards.sources.corpus_files import CorpusFiles, TarFiles, corpus_files, names_at
from shards.sources.corpus_parts import corpus_parts
from shards.sources.plain_table import PlainTable, first_fields
from shards.sources.row_fields import audio_path, string, tag
from shards.sources.rows import RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.splits import SPLITS

_TABLE = re.compile(rf"asr_({'|'.join(SPLITS)})\.tsv")
_TEXTS = ("normalized_text", "raw_text")
_COLUMNS = ("id", *_TEXTS)
_ENDINGS = (".ogg", ".wav")
_UNKNOWN = ("", "None")


class VoxPopuli:
    """VoxPopuli: `<language>/asr_<split>.tsv`, with `<year>/<id>.ogg`, or tars in `<split>/` as on the Hub.

    The normalised text is used where there is one: its numbers are spelled.

    Layout: https://github.com/facebookresearch/voxpopuli/blob/main/voxpopuli/get_asr_data.py
    """

    name = "voxpopuli"
    expected = "a folder of VoxPopuli"
    row_noun = "lines"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it has tables with the names and columns of VoxPopuli."""
        return os.path.isdir(place.path) and any(
            _TABLE.fullmatch(name.name) and set(_COLUMNS) <= set(first_fields(place.path / name))
            for name in names_at(place.path, ending=".tsv")
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, language by language, in the order of train, dev and test."""
        with corpus_files(place.path, lambda name: _TABLE.fullmatch(name.name) is not None) as files:
            if not files.tables:
                raise SourceError(f"{place} has no asr_train.tsv, asr_dev.tsv or asr_test.tsv")
            yield from with_copies_noted(_read(place, files, options.language))


def _read(place: SourcePlace, files: CorpusFiles, language: str | None) -> Iterator[Found]:
    for part in corpus_parts(place, files.tables, language, written=lambda folder, _: folder.name or files.name):
        if isinstance(part, RowError):
            yield part
            continue
        for split in SPLITS:
            table = part.named(f"asr_{split}.tsv")
            if table is not None:
                yield from _rows(files, table, part.language, split, _Recordings(place.path, files, part.folder, split))


class _Recordings:
    """The recordings of one split: files in folders of years, or members of the tars of the split."""

    def __init__(self, root: Path, files: CorpusFiles, folder: PurePosixPath, split: str) -> None:
        self._files = files
        self._folder = folder
        self._tars: dict[str, AudioReference] = {}
        tars = root / folder / split
        for path in sorted(tars.glob("*.tar.gz")) if os.path.isdir(tars) else ():
            self._tars |= {name.stem: audio for name, audio in TarFiles(path).recordings() if name.suffix in _ENDINGS}

    def named(self, key: str) -> AudioReference:
        if key in self._tars:
            return self._tars[key]
        # The year is the beginning of the session's date, with which an id begins.
        found = [self._files.audio(self._folder / key[:4] / f"{key}{ending}") for ending in _ENDINGS]
        return next((one for one in found if one.check().missing is None), found[0])


def _rows(files: CorpusFiles, table: PurePosixPath, language: str, split: str, audio: _Recordings) -> Iterator[Found]:
    lines = files.lines(table)
    plain = PlainTable(lines)
    plain.require(_COLUMNS)
    for number, fields in plain.rows():
        where = lines.where(number)
        try:
            if isinstance(fields, RowError):
                raise fields
            key = audio_path(fields["id"], "id", where)
            texts = [string(fields[name], name, where) or "" for name in _TEXTS]
            tags = {name: value for name in ("gender", "accent") if (value := tag(fields.get(name), where))}
            speaker = string(fields.get("speaker_id"), "speaker_id", where) or ""
            yield SourceRow(
                audio=audio.named(key),
                name=f"{key}{_ENDINGS[0]}",
                text=next(filter(str.strip, texts), ""),
                language=language,
                where=where,
                split=split,
                speaker=None if speaker in _UNKNOWN else speaker,
                tags={name: value for name, value in tags.items() if value not in _UNKNOWN} or None,
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)

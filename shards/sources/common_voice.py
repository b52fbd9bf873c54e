"""Read Common Voice, scripted speech, as it is downloaded: the folder of a release or of one language, or its tar."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from shards.errors import SourceError
from shards.sources.archived_audio import with_copies_noted
from shards.sources.corpus_files import CorpusFiles, corpus_files, names_at
from shards.sources.corpus_parts import CorpusPart, Tables, corpus_parts
from shards.sources.plain_table import PlainTable, first_fields
from shards.sources.row_fields import audio_path, tag
from shards.sources.rows import Note, RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.splits import SPLITS
from shards.wording import counted, printable

_COLUMNS = ("client_id", "path", "sentence")
# Where releases have what is stored among the tags.
_TAGS = {
    "accent": ("accents", "accent"),
    "variant": ("variant",),
    "gender": ("gender",),
    "age": ("age",),
    "domain": ("sentence_domain",),
    "segment": ("segment",),
    "up_votes": ("up_votes",),
    "down_votes": ("down_votes",),
}
_ALL = "validated"
_DURATIONS = "clip_durations.tsv"
# Tables that no other corpus has, and those whose names others use too.
_OWN_TABLES = (f"{_ALL}.tsv", "invalidated.tsv", "other.tsv", _DURATIONS)
_TABLES = (*_OWN_TABLES, *(f"{split}.tsv" for split in SPLITS))
_CLIPS = "clips"


class CommonVoice:
    """A release of Common Voice: a folder for every language, with `clips/` and tables of them.

    Without `split_from`, the clips of train.tsv, dev.tsv and test.tsv; these hold every sentence once, so that many of
    the validated clips are in none of them.

    Layout: https://github.com/common-voice/cv-dataset/blob/main/datasets/scripted-speech/README.md
    """

    name = "common-voice"
    expected = "a folder or tar of Common Voice"
    row_noun = "lines"
    uses = frozenset({"split_from"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether a folder has tables with Common Voice's columns, or a tar begins with clips or tables of it."""
        path = place.path
        if path.name in _TABLES and os.path.isdir(path.parent / _CLIPS):
            return _is_table_of_clips(first_fields(path))
        found = list(names_at(path, ending=".tsv"))
        if os.path.isdir(path):
            return any(name.name in _TABLES and _is_table_of_clips(first_fields(path / name)) for name in found)
        return any(
            name.name in _OWN_TABLES or (name.parent.name == _CLIPS and name.name.startswith("common_voice_"))
            for name in found
        )

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, language by language, and of one language in the order of its tables."""
        if place.path.name in _TABLES:
            folder = printable(str(place.path.parent))
            choice = "" if place.path.stem in SPLITS else f" --split-from {place.path.stem}"
            raise SourceError(
                f"{place} is one table of Common Voice, expected the folder that it is in",
                fix=f"mms-dist shards build {folder} SHARDS{choice}",
            )
        chosen = [options.split_from] if options.split_from else list(SPLITS)
        needed = {f"{name}.tsv" for name in (*chosen, _ALL)} | {_DURATIONS}
        with corpus_files(place.path, lambda name: name.name in needed) as files:
            yield from with_copies_noted(_read(place, files, options.language, chosen, options.split_from))


def _is_table_of_clips(header: Collection[str]) -> bool:
    return set(_COLUMNS) <= set(header)


def _read(
    place: SourcePlace, files: CorpusFiles, language: str | None, chosen: list[str], split_from: str | None
) -> Iterator[Found]:
    lines = 0
    for part in corpus_parts(place, files.tables, language, written=lambda *its: _locale(files, *its)):
        if isinstance(part, RowError):
            lines += 1
            yield part
            continue
        here = 0
        for table in filter(None, (part.named(f"{name}.tsv") for name in chosen)):
            for found in _rows(files, table, part.language, None if split_from else table.stem):
                here += isinstance(found, SourceRow)
                lines += 1
                yield found
        if not split_from and (note := _more_in_validated(files, part, here)):
            yield Note(note, part.language)
    if lines:
        return
    if split_from:
        raise SourceError(f"{place} has no {split_from}.tsv with clips", fix=f"--split-from {_ALL} uses {_ALL}.tsv")
    raise SourceError(
        f"{place}: there are no clips in train.tsv, dev.tsv and test.tsv",
        fix=f"--split-from {_ALL} makes splits of the clips in {_ALL}.tsv",
    )


def _locale(files: CorpusFiles, folder: PurePosixPath, tables: Tables) -> str:
    """Return the first locale in the tables of a language, or else the name of its folder."""
    for table in tables:
        if table.name == _DURATIONS:
            continue
        row = next(PlainTable(files.lines(table)).rows(), None)
        if row is not None and not isinstance(row.fields, RowError) and row.fields.get("locale"):
            return row.fields["locale"]
    return folder.name or files.name


def _rows(files: CorpusFiles, table: PurePosixPath, language: str, split: str | None) -> Iterator[Found]:
    lines = files.lines(table)
    plain = PlainTable(lines)
    plain.require(_COLUMNS)
    clips = table.parent / _CLIPS
    for number, fields in plain.rows():
        where = lines.where(number)
        try:
            if isinstance(fields, RowError):
                raise fields
            name = audio_path(fields["path"], "path", where)
            if "." not in name:  # as in the releases of 2019
                name += ".mp3"
            yield SourceRow(
                audio=files.audio(clips / name),
                name=name,
                text=check_text(fields["sentence"], "'sentence'", where),
                language=language,
                where=where,
                split=split,
                speaker=check_text(fields["client_id"], "'client_id'", where) or None,
                tags=_tags(fields, where),
            )
        except RowError as error:
            yield error.at(f"{table.name}:{number}", language, number)


def _tags(fields: dict[str, str], where: str) -> dict[str, str] | None:
    found = {}
    for name, columns in _TAGS.items():
        for column in columns:
            if value := tag(fields.get(column), where):
                found[name] = value
                break
    return found or None


def _more_in_validated(files: CorpusFiles, part: CorpusPart, used: int) -> str | None:
    """Say how many validated clips are in no split; None if there are none."""
    validated = part.named(f"{_ALL}.tsv")
    if validated is None:
        return None
    lines = files.lines(validated)
    clips = sum(1 for _, line in lines if line.strip()) - 1
    if clips <= used:
        return None
    durations = part.named(_DURATIONS)
    mean = _mean_seconds(files, durations) if durations else None
    about = "" if mean is None else f", about {clips * mean / 3600:.1f} h"
    return (
        f"{part.language}: train, dev and test of Common Voice have {used:,} of the {counted(clips, 'clip')} in "
        f"{_ALL}.tsv{about}; --split-from {_ALL} uses all of them"
    )


def _mean_seconds(files: CorpusFiles, durations: PurePosixPath) -> float | None:
    """Return the mean duration of all clips of a language; None if the table has none."""
    milliseconds = clips = 0
    for _, fields in PlainTable(files.lines(durations)).rows():
        value = "" if isinstance(fields, RowError) else list(fields.values())[-1]
        if value.isdecimal():
            milliseconds += int(value)
            clips += 1
    return milliseconds / clips / 1000 if clips else None

"""All kinds of sources, and how one is chosen and read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shards.errors import SourceError
from shards.file_content import detect_placeholder
from shards.sources.aligned import Aligned
from shards.sources.audiofolder import Audiofolder
from shards.sources.common_voice import CommonVoice
from shards.sources.corpus_files import TAR_NAME
from shards.sources.fleurs import Fleurs
from shards.sources.folder import Folder
from shards.sources.hub import Hub
from shards.sources.kaldi import Kaldi
from shards.sources.lhotse import Lhotse
from shards.sources.ljspeech import LJSpeech
from shards.sources.manifest import Manifest
from shards.sources.mls import MultilingualLibriSpeech
from shards.sources.nemo import Nemo
from shards.sources.omnilingual import Omnilingual
from shards.sources.parquet import Parquet
from shards.sources.rows import Failure, LeftOut, Note, RowError, SourceRow
from shards.sources.saved_dataset import SavedDataset
from shards.sources.source import Source, SourceOptions
from shards.sources.source_list import SourceList
from shards.sources.source_place import SourcePlace
from shards.sources.source_rows import SourceRows
from shards.sources.spontaneous_speech import SpontaneousSpeech
from shards.sources.voxpopuli import VoxPopuli
from shards.wording import nearest, printable


def _choose(place: SourcePlace, kind: str | None, options: SourceOptions) -> Source:
    return choose_source(place, kind, options)


# The first one that recognises a source reads it, so those that look more closely come first.
SOURCES: list[Source] = [
    SourceList(_choose),
    Aligned(),
    Audiofolder(),
    SavedDataset(),
    Omnilingual(),
    Parquet(),
    CommonVoice(),
    SpontaneousSpeech(),
    Fleurs(),
    VoxPopuli(),
    MultilingualLibriSpeech(),
    LJSpeech(),
    Nemo(),
    Lhotse(),
    Kaldi(),
    Manifest(),
    Folder(),
    Hub(),
]

# Options that only some kinds of sources use, with their flags.
_FLAGS = {"audio_root": "--audio-root", "columns": "--columns", "split_from": "--split-from"}
# How to convert files that are not a source into one.
_FIXES = {
    ".xlsx": "save the table as text with tabs between its columns",
    ".json": "if it has one object in each line, or an array of objects, name their keys: --from manifest "
    "--columns audio=KEY,text=KEY",
    ".gz": "decompress it with gunzip",
    ".zip": "unpack it and name its folder",
    ".tar": "index tars of samples with 'mms-dist shards index'; unpack others",
}
_TAR_FIX = "unpack it and name its folder, or name its kind with --from"


def read_source(
    written: str | Path,
    *,
    kind: str | None = None,
    language: str | None = None,
    audio_root: Path | None = None,
    skip: Path | None = None,
    columns: Mapping[str, str] | None = None,
    split_from: str | None = None,
    wanted: Sequence[str] = (),
    channel: int | None = None,
    skip_bad_rows: bool = False,
    kept: Collection[str] | None = None,
) -> SourceRows:
    """Read a source. Its rows are kept in a temporary file (`shards.spool`).

    Args:
        written: a path, or the name of a dataset on the Hugging Face Hub.
        kind: the name of the kind of source; None to recognise it.
        language, audio_root, skip, columns, split_from, wanted: as in `SourceOptions`.
        channel: the channel of every recording whose row names none, from 1; None mixes all.
        skip_bad_rows: count unusable rows instead of stopping at the first.
        kept: the languages whose utterances will be needed; None: all.

    Raises:
        SourceError: the kind is unknown, does not use an option, or the source cannot be read.
        StorageError: the temporary directory is full.
    """
    place = SourcePlace(os.fspath(written))
    options = SourceOptions(language, audio_root, skip, columns, split_from, wanted)
    source = choose_source(place, kind, options)
    rows = SourceRows(source.name, kept=kept)
    for found in source.read(place, options):
        match found:
            case SourceRow():
                rows.add(found if channel is None or found.channel else replace(found, channel=channel))
            case RowError():
                if not skip_bad_rows:
                    raise _stopped(found, source) from found
                rows.leave_out(found.left_out)
            case LeftOut():
                rows.leave_out(found)
            case Note():
                rows.note(found)
            case Failure():
                rows.fail(found)
    return rows


def choose_source(place: SourcePlace, kind: str | None, options: SourceOptions) -> Source:
    """Return the source that reads `place`: of the kind with this name, or of the one that recognises it.

    Raises:
        SourceError: there is none, or it does not use one of the options.
    """
    source = recognised(place) if kind is None else source_named(kind)
    _check_options(source, options, place)
    return source


def source_named(kind: str) -> Source:
    """Return the kind of source with this name.

    Raises:
        SourceError: no kind has this name; the fix lists all names.
    """
    by_name = {source.name: source for source in SOURCES}
    if kind not in by_name:
        raise SourceError(
            f"--from {kind}: no such kind of source{nearest(kind, by_name)}",
            fix="\n".join(["use one of:", *(f"  {name}: {by_name[name].expected}" for name in sorted(by_name))]),
        )
    return by_name[kind]


def recognised(place: SourcePlace) -> Source:
    """Return the kind of a source.

    Raises:
        SourceError: no kind of source recognises it.
    """
    is_file_url = place.is_url and place.hub_name is None
    found = None if is_file_url else next((source for source in SOURCES if source.recognises(place)), None)
    if found is not None:
        return found
    if is_file_url:
        raise SourceError(f"{place} is a URL, expected a file or folder of this machine", fix="download it first")
    if not place.exists:
        raise SourceError(f"no file or folder {place}")
    _check_fetched(place)
    names = ", ".join(source.name for source in SOURCES)
    raise SourceError(
        f"{place} is of no known kind, expected one of {names}",
        fix=_fix_for(place.path),
    )


def _check_fetched(place: SourcePlace) -> None:
    """Raise a `SourceError` if a file is something else in place of what its name says, such as a web page."""
    if not os.path.isfile(place.path):
        return
    try:
        instead = detect_placeholder(place.path)
    except OSError as error:
        raise SourceError(f"{place} cannot be read: {error.strerror or error}") from error
    if instead:
        raise SourceError(f"{place} {instead.found}", fix=instead.fix)


def _fix_for(path: Path) -> str:
    if path.suffix.lower() != ".tar" and TAR_NAME.fullmatch(path.name):
        return _TAR_FIX
    return _FIXES.get(path.suffix.lower(), "if it is one of them, name it with --from")


def _check_options(source: Source, options: SourceOptions, place: SourcePlace) -> None:
    for option, flag in _FLAGS.items():
        if getattr(options, option) is None or option in source.uses:
            continue
        users = ", ".join(other.name for other in SOURCES if option in other.uses) or "no kind of source"
        raise SourceError(
            f"{flag} is for {users}, but {place} is read as {source.name}",
            fix="leave it out, or name another kind with --from",
        )


def _stopped(error: RowError, source: Source) -> SourceError:
    """Return the error for an unusable row that is not skipped."""
    skip = f"leave such {source.row_noun} out with --skip-bad-rows"
    fix = skip if error.fix is None else f"{error.fix}, or {skip}"
    return SourceError(printable(error.found), fix=printable(fix))

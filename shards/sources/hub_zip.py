"""Read zip archives on the Hugging Face Hub that hold an audiofolder: recordings, and `metadata.csv` with their names.

How they are made: https://huggingface.co/docs/datasets/audio_dataset
"""

from __future__ import annotations

import posixpath
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shards.errors import SourceError
from shards.sources.audio_reference import AudioFile, AudioReference
from shards.sources.audiofolder import METADATA_NAMES, Audiofolder
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Defaults
from shards.sources.remote_member import RemoteMember
from shards.sources.rows import RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace


def read_hub_zip(file: DataFile, options: SourceOptions, defaults: Defaults) -> Iterator[Found]:
    """Yield the utterances of an archive, and the unusable lines of its metadata.

    Raises:
        SourceError: it has no metadata of an audiofolder, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="mms-dist-") as folder:
        members = _unpack_metadata(file, folder)
        place = SourcePlace(folder)
        source = Audiofolder()
        if not source.recognises(place):
            raise SourceError(
                f"{file} is not an audiofolder: it has no metadata.csv, .jsonl or .parquet that names its recordings",
                fix="put it into the archive, beside the recordings, with the columns file_name and text",
            )
        try:
            for found in source.read(place, replace(options, language=defaults.language)):
                yield _placed(found, file, folder, members, defaults)
        except SourceError as error:
            fix = None if error.fix is None else error.fix.replace(folder, str(file))
            raise SourceError(error.found.replace(folder, str(file)), fix) from error


def _unpack_metadata(file: DataFile, folder: str) -> dict[str, zipfile.ZipInfo]:
    """Write the metadata to a folder, and return all files of the archive by their names."""
    try:
        with file.readable() as stream, zipfile.ZipFile(stream) as archive:
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            for name in members:
                if posixpath.basename(name) in METADATA_NAMES and not name.startswith("__MACOSX/"):
                    archive.extract(name, folder)
            return members
    except zipfile.BadZipFile as error:
        raise SourceError(f"{file} is damaged, or not a zip archive: {error}", fix="upload it again") from error
    except Exception as error:  # those of the network have no common base
        raise file.unreadable(error) from error


def _placed(
    found: Found, file: DataFile, folder: str, members: dict[str, zipfile.ZipInfo], defaults: Defaults
) -> Found:
    """Return what was found with its place in the archive."""
    if isinstance(found, RowError):
        drop = found.left_out.drop
        where = found.where.replace(folder, str(file))
        return RowError(
            where, drop.reason, drop.found, drop.fix, language=found.left_out.language, line=found.left_out.line
        ).at(f"{file.name}/{drop.where}", found.left_out.language, found.left_out.line)
    if not isinstance(found, SourceRow):
        return found
    member = _member(found.audio, folder)
    return replace(
        found,
        audio=_audio(found.audio, file, members.get(member)),
        name=f"{file.name}/{found.name}",
        where=found.where.replace(folder, str(file)),
        split=found.split or defaults.split,
        source=found.source or f"{defaults.source}/{member}",
    )


def _member(audio: AudioReference, folder: str) -> str:
    assert isinstance(audio, AudioFile)
    return posixpath.normpath(audio.path.as_posix().removeprefix(f"{Path(folder).as_posix()}/"))


def _audio(audio: AudioReference, file: DataFile, info: zipfile.ZipInfo | None) -> AudioReference:
    """Return the recording in the archive; what is not there stays a file that is missing."""
    return audio if info is None else RemoteMember(file, info.header_offset, info.file_size, info.filename)

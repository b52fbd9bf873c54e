"""Read an audiofolder on the Hugging Face Hub: the metadata is fetched, recordings are read when they are decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from shards.sources.audio_reference import AudioFile
from shards.sources.audiofolder import METADATA_NAMES, Audiofolder
from shards.sources.hub_dataset import fetched
from shards.sources.remote_audio import RemoteAudio
from shards.sources.rows import SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import HubName, SourcePlace


def hub_metadata(name: HubName, base: str, files: Collection[str]) -> Path | None:
    """Fetch the metadata of an audiofolder, and return the folder that it is in; None if the dataset is none.

    Args:
        base: the URL of the dataset, with its revision.
        files: the paths of its files within it.

    Raises:
        SourceError: it cannot be read.
    """
    metadata = [path for path in files if path.rpartition("/")[2] in METADATA_NAMES]
    root = fetched(name, base.rpartition("@")[2], metadata) if metadata else None
    return root if root is not None and Audiofolder().recognises(SourcePlace(str(root))) else None


def read_hub_audiofolder(root: Path, base: str, files: Collection[str], options: SourceOptions) -> Iterator[Found]:
    """Yield the utterances of an audiofolder whose metadata is below `root`.

    Raises:
        SourceError: the metadata cannot be read.
    """
    source = Audiofolder()
    present = frozenset(files)
    for found in source.read(SourcePlace(str(root)), options):
        if isinstance(found, SourceRow) and isinstance(found.audio, AudioFile):
            path = _within(found.audio.path, root)
            audio = RemoteAudio(f"{base}/{path}") if path in present else found.audio
            yield replace(found, audio=audio, source=found.source or f"{base}/{path}")
        else:
            yield found


def _within(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()

"""Read an audiofolder on the Hugging Face Hub: the metadata is fetched, recordings are read when they are decoded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from shards.errors import SourceError
from shards.sources.audio_reference import AudioFile
from shards.sources.audiofolder import METADATA_NAMES, Audiofolder
from shards.sources.hub_dataset import hub_errors
from shards.sources.remote_audio import RemoteAudio
from shards.sources.rows import SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import HubName, SourcePlace


def read_hub_audiofolder(name: HubName, base: str, files: Collection[str], options: SourceOptions) -> Iterator[Found]:
    """Yield the utterances of an audiofolder.

    Args:
        base: the URL of the dataset, with its revision.
        files: the paths of its files within it.

    Raises:
        SourceError: it has no metadata of an audiofolder, or cannot be read.
    """
    metadata = [path for path in files if path.rpartition("/")[2] in METADATA_NAMES]
    root = _fetched(name, base.rpartition("@")[2], metadata) if metadata else None
    source = Audiofolder()
    if root is None or not source.recognises(SourcePlace(str(root))):
        raise SourceError(
            f"{name.repository} is neither parquet files nor an audiofolder, which are the formats read from the Hub",
            fix=f"use its parquet files: {name.repository}@refs/convert/parquet; or download it and build from the "
            f"folder: hf download {name.repository} --repo-type dataset --local-dir FOLDER",
        )
    present = frozenset(files)
    for found in source.read(SourcePlace(str(root)), options):
        if isinstance(found, SourceRow) and isinstance(found.audio, AudioFile):
            path = _within(found.audio.path, root)
            audio = RemoteAudio(f"{base}/{path}") if path in present else found.audio
            yield replace(found, audio=audio, source=found.source or f"{base}/{path}")
        else:
            yield found


def _fetched(name: HubName, revision: str, paths: Collection[str]) -> Path:
    """Fetch files into the cache of `huggingface_hub`, and return the folder that they are in by their paths."""
    import huggingface_hub

    root = Path()
    with hub_errors(name):
        for path in paths:
            copy = huggingface_hub.hf_hub_download(name.repository, path, repo_type="dataset", revision=revision)
            root = Path(copy.removesuffix(path))
    return root


def _within(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()

"""Find recordings and their texts: text beside each recording, or the rows of a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mms_dist.alignment.passage import Line
from mms_dist.alignment.timed_text import SUFFIXES, read_lines
from mms_dist.errors import DataError
from shards.audio.extensions import recordings_below
from shards.errors import ShardsError
from shards.languages import resolve_language
from shards.sources.aligned import ENDING
from shards.sources.audio_reference import AudioFile
from shards.sources.registry import read_source
from shards.sources.table_rows import SUFFIXES as TABLES


@dataclass(frozen=True, slots=True)
class AlignmentItem:
    """A recording with its text.

    Attributes:
        audio: the recording.
        name: its path below the folder that was given, or the name of its file.
        language: code.
        text: the file with its text.
        lines: those of a manifest, with rough times where it has any. Without a text and lines, it cannot be aligned.
        speaker: if the manifest names one, the same for all lines.
    """

    audio: Path
    name: str
    language: str
    text: Path | None = None
    lines: tuple[Line, ...] = field(default=())
    speaker: str | None = None

    def is_older_than(self, manifest: Path) -> bool:
        """Whether its manifest is there, and recording and text have not changed since."""
        try:
            written = manifest.stat().st_mtime_ns
            return all(path.stat().st_mtime_ns <= written for path in (self.audio, self.text) if path is not None)
        except OSError:  # a recording that is not there is reported when it is read
            return manifest.is_file()

    @property
    def output_name(self) -> str:
        """Path of its manifest below the output folder."""
        return Path(self.name).with_suffix("").as_posix() + ENDING

    def read_lines(self) -> tuple[Line, ...]:
        """Return the lines of its text.

        Raises:
            DataError: the text cannot be read, or is empty.
        """
        if self.text is None and not self.lines:
            raise _without_text(self.audio)
        return self.lines if self.text is None else read_lines(self.text)


def find_items(places: Sequence[str], language: str | None) -> list[AlignmentItem]:
    """Return the recordings in the order given.

    Args:
        places: recordings, folders (searched with all folders below) and manifests.
        language: of recordings whose folder or row names none.

    Raises:
        DataError: something does not exist, a text or language is missing, or there is nothing to align.
        ShardsError: a manifest cannot be read.
    """
    found: list[AlignmentItem] = []
    for place in map(Path, places):
        if place.is_dir():
            found += _in_folder(place, language)
        elif not place.is_file():
            raise DataError(f"{place} does not exist", fix="check the path")
        elif place.suffix.lower() in TABLES:
            found += _in_manifest(place, language)
        else:
            text = _text_beside(place)
            if text is None:
                raise _without_text(place)
            found.append(AlignmentItem(place, place.name, _known(language, place), text))
    _check_outputs(found)
    return found


def _in_folder(folder: Path, language: str | None) -> list[AlignmentItem]:
    paths = recordings_below(folder)
    texts = {path: _text_beside(path) for path in paths}
    if not any(texts.values()):
        found = f"{folder} has {len(paths):,} recordings, none with a text beside it" if paths else f"{folder} is empty"
        raise DataError(found, fix="write the text of talk.mp3 to talk.txt, talk.srt or talk.vtt in the same folder")
    return [
        AlignmentItem(path, path.relative_to(folder).as_posix(), _of_folders(path, folder, language), text)
        for path, text in texts.items()
    ]


def _in_manifest(path: Path, language: str | None) -> list[AlignmentItem]:
    """Return the recordings of a manifest: consecutive rows of one are its lines."""
    found: dict[tuple[Path, str], AlignmentItem] = {}
    rows = read_source(path, kind="manifest", language=language)
    for code in rows.languages:
        for row in rows.of(code):
            if not isinstance(row.audio, AudioFile):
                raise DataError(f"{row.where}: {row.audio} is not a file", fix="unpack the recordings")
            line = Line(row.text or "", row.start_seconds, row.end_seconds)
            before = found.get((row.audio.path, code))
            speaker = row.speaker if before is None or before.speaker == row.speaker else None
            lines = (*(before.lines if before else ()), line)
            found[row.audio.path, code] = AlignmentItem(
                row.audio.path, _below(row.name), code, lines=lines, speaker=speaker
            )
    return list(found.values())


def _below(name: str) -> str:
    """Return the path of a recording in a manifest without what leads out of the manifest's folder."""
    path = PurePosixPath(name)
    return "/".join(part for part in path.parts if part not in (path.anchor, ".."))


def _without_text(audio: Path) -> DataError:
    fix = f"write it to {audio.with_suffix('.txt').name} there, or give a manifest"
    return DataError(f"{audio} has no text beside it", fix)


def _text_beside(audio: Path) -> Path | None:
    return next((path for suffix in SUFFIXES if (path := audio.with_suffix(suffix)).is_file()), None)


def _of_folders(path: Path, folder: Path, language: str | None) -> str:
    """Return the language that is given, or that the nearest folder above a recording is named after."""
    if language is None:
        for part in reversed(path.relative_to(folder).parts[:-1]):
            try:
                return resolve_language(part)
            except ShardsError:
                continue
    return _known(language, path)


def _known(language: str | None, where: Path) -> str:
    if language is None:
        raise DataError(f"{where} has no language", fix="give it with --lang, or name a folder above it after it")
    return language


def _check_outputs(items: Sequence[AlignmentItem]) -> None:
    seen: dict[str, AlignmentItem] = {}
    for item in items:
        other = seen.setdefault(item.output_name, item)
        if other is not item:
            raise DataError(
                f"{other.audio} and {item.audio} would both be written to {item.output_name}",
                fix="align them into two folders",
            )

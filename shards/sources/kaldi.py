"""Read Kaldi data folders: `wav.scp`, `text`, and what else they have of utterances, speakers and channels.

Their format: https://kaldi-asr.org/doc/data_prep.html
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shards.drops import Drop
from shards.errors import Problem, SourceError
from shards.sources.audio_reference import AudioFile
from shards.sources.kaldi_commands import DecodedFile, decoded_file
from shards.sources.keyed_lines import KeyedLines, keyed
from shards.sources.nearby_audio import NearbyAudio
from shards.sources.part_names import PartNames
from shards.sources.row_fields import language
from shards.sources.rows import LeftOut, Note, RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.text_lines import TextLines
from shards.wording import printable

_DEPTH = 2
_PART = re.compile(r"split\d+(utt)?")  # parts of a data folder, made by utils/split_data.sh
_IN_ARCHIVE = re.compile(r".+:\d+(\[.*\])?")
_SIDES = {"A": 1, "B": 2, "1": 1, "2": 2}
_GENDERS = {"m": "male", "f": "female"}
_SHOWN_CHARACTERS = 60


class Kaldi:
    """A data folder of Kaldi, or a folder of such folders, whose names say the splits."""

    name = "kaldi"
    expected = "a Kaldi data folder (wav.scp, text)"
    row_noun = "lines"
    uses = frozenset({"audio_root"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it, or a folder in it, has wav.scp."""
        return next(_data_folders(place.path), None) is not None

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the files, folder by folder."""
        folders = sorted(_data_folders(place.path), key=lambda folder: folder.parts)
        if not folders:
            raise SourceError(f"no wav.scp in {place} or a folder in it")
        parts = {folder: folder.relative_to(place.path).parts for folder in folders}
        decoding = False
        names = PartNames(place.path, parts.values())
        for folder, part in parts.items():
            language = options.language or names.language(part)
            data = _DataFolder(folder, "/".join(part), language, names.split(part), options.audio_root)
            yield from data.rows()
            decoding = decoding or data.has_commands
        if decoding:
            yield Note("wav.scp has commands that only decode files: the files are read, and no command is run")


def _data_folders(root: Path, depth: int = _DEPTH) -> Iterator[Path]:
    if os.path.isfile(root / "wav.scp"):
        yield root
    elif depth and os.path.isdir(root):
        inner: list[str] = []
        # A folder that cannot be listed is reported by the kind of source that reads it.
        with contextlib.suppress(OSError), os.scandir(root) as entries:
            inner = sorted(entry.name for entry in entries if entry.is_dir() and not _PART.fullmatch(entry.name))
        for name in inner:
            yield from _data_folders(root / name, depth - 1)


@dataclass(frozen=True, slots=True)
class _Utterance:
    """An utterance before its recording and text are looked up. Times are in seconds; channels count from 1."""

    key: str
    recording: str
    start: float | None
    end: float | None
    channel: int | None = None


class _DataFolder:
    """One folder with `wav.scp`.

    Args:
        within: the folder's path below the source, empty for the source itself.
        language: of the utterances that are not in `utt2lang`.

    `has_commands`: whether files were read in place of commands, once `rows` has ended.
    """

    def __init__(
        self, folder: Path, within: str, language: str | None, split: str | None, audio_root: Path | None
    ) -> None:
        self.has_commands = False
        self._folder = folder
        self._within = within
        self._split = split
        self._language = language
        self._audio = NearbyAudio(folder, audio_root)
        self._texts, self._speakers, self._languages, self._genders = (
            _looked_up(self._lines(name)) for name in ("text", "utt2spk", "utt2lang", "spk2gender")
        )
        self._sides = _looked_up(self._lines("reco2file_and_channel"))
        if self._lines("text") is None:
            raise SourceError(f"no file 'text' in {printable(str(folder))}, which has the transcripts")

    def rows(self) -> Iterator[Found]:
        """Yield the utterances of `segments`, or of `wav.scp` if there are no segments; then texts without audio."""
        segments = self._lines("segments")
        wav_scp = TextLines(self._folder / "wav.scp")
        recordings = _looked_up(wav_scp) if segments else None
        lines = segments or wav_scp
        for number, key, value in keyed(lines):
            where = lines.where(number)
            code = self._language
            try:
                text = self._texts.get(key)
                if isinstance(value, RowError):
                    raise value
                code = self._language_of(key, where)
                if recordings is None:
                    utterance, path = _Utterance(key, key, None, None), value
                else:
                    utterance = _segment(key, value, where)
                    found = recordings.get(utterance.recording, keep=True)
                    if found is None:
                        raise RowError(where, "row_value", f"recording {utterance.recording!r} is not in wav.scp")
                    path = found
                yield self._row(utterance, _checked_path(path, where), text, code, where)
                self.has_commands = self.has_commands or path.endswith("|")
            except RowError as error:
                yield error.at(f"{self._shown(lines.path.name)}:{number}", code, number)
        for key in self._texts.rest():
            yield LeftOut(Drop("missing_audio", f"{self._shown('text')}: {printable(key)}"), self._language)

    def _row(self, utterance: _Utterance, file: DecodedFile, text: str | None, code: str, where: str) -> SourceRow:
        speaker = self._speakers.get(utterance.key)
        gender = self._genders.get(speaker, keep=True) if speaker else None
        return SourceRow(
            audio=AudioFile(self._audio.find(file.path)),
            # The path often begins with the folders of one machine. The name of the recording never changes.
            name=self._shown(utterance.recording),
            text=text,
            language=code,
            where=where,
            split=self._split,
            # Without known speakers, Kaldi wants every utterance to be its own speaker.
            speaker=speaker if speaker != utterance.key else None,
            start_seconds=utterance.start,
            end_seconds=utterance.end,
            channel=file.channel or utterance.channel or self._side(utterance.recording, file.path, where),
            tags={"gender": _GENDERS.get(gender.lower(), gender)} if gender else None,
            detail="no line in the file 'text'",
        )

    def _side(self, recording: str, path: str, where: str) -> int | None:
        """Return the channel of a recording by `reco2file_and_channel`; None if it names none."""
        written = self._sides.get(recording, keep=True)
        if written is None:
            return None
        file, *side = written.split()
        if len(side) != 1 or side[0] not in _SIDES:
            found = f"recording {recording!r} has {written!r} in reco2file_and_channel, expected a file and A or B"
            raise RowError(where, "row_value", found)
        # Where a side was written to a file of its own, that is named after the recording, and has one channel.
        own_file = recording != file and Path(path).stem == recording
        return None if own_file else _SIDES[side[0]]

    def _language_of(self, key: str, where: str) -> str:
        written = self._languages.get(key) or self._language
        if written is None:
            found = f"utterance {key!r} has no language in utt2lang"
            raise RowError(where, "row_fields", found, fix="give one language to all of it with --lang")
        return language(written, "utt2lang", where, self._language)

    def _lines(self, name: str) -> TextLines | None:
        path = self._folder / name
        return TextLines(path) if os.path.exists(path) else None

    def _shown(self, name: str) -> str:
        return f"{self._within}/{name}" if self._within else name


def _looked_up(lines: TextLines | None) -> KeyedLines[str]:
    return KeyedLines(lambda: ((key, value) for _, key, value in keyed(lines)) if lines else ())


def _segment(key: str, value: str, where: str) -> _Utterance:
    """Parse a line of `segments`: utterance, recording, start, end and perhaps a channel.

    An end below 0 is that of the recording. Channels count from 0, as `extract-segments` of Kaldi has them.
    """
    fields = value.split()
    if len(fields) not in (3, 4):
        raise RowError(
            where, "row_fields", f"{len(fields) + 1} fields, expected: utterance recording start end [channel]"
        )
    try:
        start, end = (float(field) for field in fields[1:3])
    except ValueError as error:
        raise RowError(where, "row_value", f"times {fields[1]!r} and {fields[2]!r}, expected seconds") from error
    channel = _segment_channel(fields[3], where) if len(fields) == 4 else None
    return _Utterance(key, fields[0], start, None if end < 0 else end, channel)


def _segment_channel(written: str, where: str) -> int:
    """Return the channel of a segment, from 1."""
    if written in ("A", "B"):
        return _SIDES[written]
    if not written.isascii() or not written.isdecimal():
        raise RowError(where, "row_value", f"channel {written!r}, expected a number from 0, or A or B")
    return int(written) + 1


def _checked_path(written: str, where: str) -> DecodedFile:
    """Return a recording's path in `wav.scp`, which may also hold commands. They are never run.

    Raises:
        RowError: it is no path of a file, and no command that only decodes one.
    """
    problem = None
    decoded = decoded_file(written)
    if decoded is not None:
        return decoded
    if written.endswith("|") or written.startswith("|"):
        command = written if len(written) <= _SHOWN_CHARACTERS else f"{written[: _SHOWN_CHARACTERS - 3]}… |"
        problem = Problem(
            f"the recording is a command, {command!r}, which may change what is heard; commands are never run",
            "write the path alone: FLAC, MP3, Ogg and SPHERE need no conversion (or run the command into a file)",
        )
    elif written in ("", "-"):
        problem = Problem(f"the recording is {written!r}, expected a path")
    elif _IN_ARCHIVE.fullmatch(written) and not os.path.exists(written):
        problem = Problem(
            f"the recording is in an archive, {written!r}, expected a path",
            "write the recordings to files, for example with: wav-copy scp:wav.scp scp,t:files.scp",
        )
    if problem:
        raise RowError(where, "row_value", problem.found, fix=problem.fix)
    return DecodedFile(written)

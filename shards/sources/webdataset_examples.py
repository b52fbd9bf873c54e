"""Read the tars of WebDatasets on the Hub: `key.flac` beside `key.json` or `key.txt`. Tars here are for `shards index`.

Their format: https://huggingface.co/docs/hub/datasets-webdataset
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from shards.audio.extensions import is_audio, is_unread
from shards.drops import Drop, Rejected
from shards.errors import SourceError
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Example
from shards.sources.remote_range import RemoteRange
from shards.tars.members import audio_extension, info_in, text_in
from shards.tars.spans import split_name

# As many as `datasets` looks at for the columns of a WebDataset.
_LOOKED_AT = 5
_END_BYTES = 1024
# More than the zeros that fill the last record of a tar.
_AFTER_END_BYTES = 1 << 16
_TXT = "txt"


class _Sample(NamedTuple):
    """A sample: where its members are, by extension, and the content of those that hold text."""

    key: str
    ranges: dict[str, tuple[int, int]]
    texts: dict[str, memoryview]


class WebDatasetExamples:
    """A tar of samples. Its columns are the keys of its JSON, and `txt`, the content of its `.txt`.

    It is read from its beginning to its end, since a tar has no table of contents; recordings are skipped as far as
    blocks that are read at once allow. `left_out`: files of the tar that belong to no sample.

    Raises:
        SourceError: the file cannot be read, or has no samples with recordings.
    """

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self.name = file.name
        self.shown = str(file)
        self.labels: Mapping[str, Sequence[str]] = {}
        self.left_out: list[Drop] = []
        self._samples = self._read()
        first = list(itertools.islice(self._samples, _LOOKED_AT))
        self._samples = itertools.chain(first, self._samples)
        named = next((extension for sample in first for extension in sample.ranges if is_audio(extension)), None)
        if named is None:
            members = ", ".join(sorted({f".{extension}" for sample in first for extension in sample.ranges}))
            raise SourceError(
                f"{file} is not a WebDataset of recordings: its first samples have {members or 'no members'}",
                fix="expected <key>.flac, .wav, .mp3 … with <key>.json or <key>.txt",
            )
        self.audio_columns = [named]
        columns = itertools.chain.from_iterable(_columns(sample) for sample in first)
        self.header: list[str] = list(dict.fromkeys((named, *columns)))

    def holds_paths(self, column: str) -> bool:
        """Whether a column has text in place of recordings: none does."""
        return False

    def examples(self, columns: Collection[str], audio: str | None) -> Iterator[Example]:
        """Yield every sample, with the values of `columns` and its recording. Can be called once."""
        for number, sample in enumerate(self._samples, start=1):
            try:
                extension = _recording(sample)
                fields = _fields(sample)
            except Rejected as rejected:
                yield Example(number, dict.fromkeys(columns), None, sample.key, rejected)
                continue
            recording = RemoteRange(self._file, *sample.ranges[extension])
            yield Example(number, {name: fields.get(name) for name in columns}, recording, f"{sample.key}.{extension}")

    def _read(self) -> Iterator[_Sample]:
        try:
            with self._file.readable(whole=True) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
                yield from self._grouped(tar)
                _check_end(stream, cast("Any", tar).offset)
        except SourceError:
            raise
        except tarfile.TarError as error:
            raise SourceError(f"{self._file} is damaged, or not a tar: {error}") from error
        except Exception as error:  # those of the network have no common base
            raise self._file.unreadable(error) from error

    def _grouped(self, tar: tarfile.TarFile) -> Iterator[_Sample]:
        sample: _Sample | None = None
        while (member := tar.next()) is not None:
            cast("Any", tar).members = []  # or memory would grow with every member
            if not member.isreg():
                continue
            split = split_name(member.name)
            if split is None:
                self.left_out.append(Drop("no_sample", f"{self.name}:{member.name}", "it has no key and extension"))
                continue
            key, extension = split
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = _Sample(key, {}, {})
            sample.ranges[extension] = (member.offset_data, member.size)
            if extension.rpartition(".")[2] in ("json", _TXT):
                content = tar.extractfile(member)
                assert content is not None, "it is a regular file"
                sample.texts[extension] = memoryview(content.read())
        if sample is not None:
            yield sample


def _recording(sample: _Sample) -> str:
    """Return the extension of the recording.

    Raises:
        Rejected: there is none, or several.
    """
    unread = next(filter(is_unread, sorted(sample.ranges)), None)
    if unread is not None and not any(map(is_audio, sample.ranges)):
        raise Rejected("unread_format", f".{unread} is not read")
    return audio_extension(sample.ranges)


def _fields(sample: _Sample) -> dict[str, Any]:
    text = text_in(sample.texts)
    return {**info_in(sample.texts, strict=True), **({} if text is None else {_TXT: text})}


def _columns(sample: _Sample) -> list[str]:
    try:
        return list(_fields(sample))
    except Rejected:  # it is named when its row is read
        return []


def _check_end(stream: Any, offset: int) -> None:
    """Raise a `TarError` if a tar goes on after what was read as its end, or has no end: tarfile is silent then."""
    stream.seek(offset)
    after = stream.read(_AFTER_END_BYTES)
    if any(after):
        raise tarfile.ReadError("there is data after its end")
    if len(after) < _END_BYTES:
        raise tarfile.ReadError("it ends without its end mark")

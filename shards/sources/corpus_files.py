"""The files of a corpus, in a folder or in the tar that it is downloaded as: its tables, and its recordings by name."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from shards.errors import SourceError
from shards.sources.archived_audio import ArchivedAudio
from shards.sources.audio_reference import AudioFile, AudioReference, FileRange
from shards.sources.file_finder import FileFinder
from shards.sources.folder_files import is_hidden
from shards.sources.tar_reader import TarReader, is_compressed
from shards.sources.text_lines import TextLines
from shards.wording import printable

TAR_NAME = re.compile(r".*\.(tar|tar\.(gz|bz2|xz)|tgz)", re.IGNORECASE)
_PEEKED_MEMBERS = 200
_RECORDINGS_FOLDERS = ("clips", "audios", "audio", "wavs")
_DATA_FOLDERS = ("data", "transcribed_data")
_DEPTH = 2

# Whether a file is a table that is needed, by its path within the corpus.
IsTable = Callable[[PurePosixPath], bool]


class CorpusFiles(Protocol):
    """The files of a corpus. `name`: of its folder or tar. `tables`: the paths of its tables, sorted."""

    name: str
    tables: list[PurePosixPath]

    def lines(self, table: PurePosixPath) -> TextLines:
        """Return the lines of a table.

        Raises:
            SourceError: it cannot be read, or is not text.
        """
        ...

    def audio(self, name: PurePosixPath) -> AudioReference:
        """Return the recording with this path, which may be missing."""
        ...


class FolderFiles:
    """A corpus in a folder. Tables are looked for there and in two levels of folders below."""

    def __init__(self, root: Path, is_table: IsTable) -> None:
        self._root = root
        self.name = root.absolute().name
        self._finder = FileFinder()
        self.tables = sorted(name for name in _names_near(root, ending="", depth=_DEPTH) if is_table(name))

    def lines(self, table: PurePosixPath) -> TextLines:
        """Return the lines of a table."""
        return TextLines(self._root / table, "table")

    def audio(self, name: PurePosixPath) -> AudioReference:
        """Return the recording with this path."""
        return AudioFile(self._finder.find(self._root / name))


class TarFiles:
    """A corpus in a tar, or its recordings. Tables are copied to `folder`; recordings stay where they are.

    Raises:
        SourceError: the tar cannot be read, or is damaged.
    """

    def __init__(self, path: Path, is_table: IsTable = lambda _: False, folder: Path = Path()) -> None:
        self._path = path
        self.name = path.name.partition(".")[0]
        self._members: dict[str, tuple[str, int, int]] = {}
        self._tables: dict[PurePosixPath, Path] = {}
        with TarReader(path) as tar:
            for member in tar.members():
                name = PurePosixPath(member.name)
                if any(is_hidden(part) for part in name.parts):
                    continue
                if is_table(name):
                    self._tables[name] = folder / str(len(self._tables))
                    with open(self._tables[name], "wb") as target:
                        tar.read(member, target)
                else:
                    self._members[_composed(name)] = member.name, member.offset_data, member.size
        self.tables = sorted(self._tables)
        self._compressed = is_compressed(path)

    def lines(self, table: PurePosixPath) -> TextLines:
        """Return the lines of a table."""
        return TextLines(self._tables[table], "table", shown=f"{self._path}/{table}")

    def audio(self, name: PurePosixPath) -> AudioReference:
        """Return the recording with this path."""
        return self._reference(*self._members.get(_composed(name), (str(name), 0, None)))

    def recordings(self) -> Iterator[tuple[PurePosixPath, AudioReference]]:
        """Yield all members that are no tables, with their paths."""
        for name, member in self._members.items():
            yield PurePosixPath(name), self._reference(*member)

    def _reference(self, member: str, start: int, size: int | None) -> AudioReference:
        if size is not None and not self._compressed:
            return FileRange(self._path, start, size)
        return ArchivedAudio(self._path, member, size)


@contextmanager
def corpus_files(place: Path, is_table: IsTable) -> Iterator[CorpusFiles]:
    """Open a corpus in a folder or a tar.

    Raises:
        SourceError: it cannot be read.
    """
    if os.path.isdir(place):
        yield FolderFiles(place, is_table)
        return
    if not os.path.exists(place):
        raise SourceError(f"no file or folder {printable(str(place))}")
    with tempfile.TemporaryDirectory(prefix="mms-dist-") as folder:
        yield TarFiles(place, is_table, Path(folder))


def names_at(place: Path, *, ending: str) -> Iterator[PurePosixPath]:
    """Yield the paths near the top of a folder whose names end so, or the first paths of a tar; for recognising it.

    Yields nothing if `place` is neither, or cannot be read.
    """
    if os.path.isdir(place):
        yield from _names_near(place, ending=ending, depth=1)
    elif TAR_NAME.fullmatch(place.name):
        try:
            with TarReader(place) as tar:
                for member in itertools.islice(tar.members(), _PEEKED_MEMBERS):
                    yield PurePosixPath(member.name)
        except (SourceError, OSError):  # whatever reads it says so
            return


def _names_near(root: Path, *, ending: str, depth: int) -> Iterator[PurePosixPath]:
    """Yield the paths of files in a folder and `depth` levels below, one more below `data`; none of recordings.

    A folder named `data` or `transcribed_data` only holds the languages of a corpus.
    """
    folders = [PurePosixPath()]
    while folders:
        folder = folders.pop(0)
        try:
            with os.scandir(root / folder) as entries:
                found = [entry for entry in entries if entry.name.endswith(ending) or _is_folder(entry)]
        except OSError:  # lost+found, for example
            continue
        for entry in sorted(found, key=lambda entry: entry.name):
            if is_hidden(entry.name):
                continue
            if not _is_folder(entry):
                yield folder / entry.name
            elif len(folder.parts) < depth + (folder.name in _DATA_FOLDERS) and entry.name not in _RECORDINGS_FOLDERS:
                folders.append(folder / entry.name)


def _composed(name: PurePosixPath) -> str:
    """Return a path with composed characters (NFC): a tar made on macOS may have them decomposed."""
    return unicodedata.normalize("NFC", str(name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()

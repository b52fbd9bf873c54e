"""Which tars `mms-dist shards index` is to index: those that are named, or all that lie in the languages' folders."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from braceexpand import braceexpand

from shards import storage
from shards.errors import ShardsError, SourceError, StorageError
from shards.schema import INDEX_NAME, SPLITS, parse_language, parse_split
from shards.wording import counted

_TAR = ".tar"
# Archives that hold tars, or what tars hold, but cannot be read at any place in them.
_PACKED = {
    **dict.fromkeys((".tar.gz", ".tgz"), "unpack it with 'gunzip'"),
    **dict.fromkeys((".tar.zst", ".tar.zstd", ".tzst"), "unpack it with 'unzstd'"),
    **dict.fromkeys((".tar.xz", ".txz"), "unpack it with 'unxz'"),
    **dict.fromkeys((".tar.bz2", ".tbz", ".tbz2"), "unpack it with 'bunzip2'"),
    ".tar.lz4": "unpack it with 'unlz4'",
    **dict.fromkeys((".zip", ".7z", ".rar"), "unpack it and write its files again with 'tar --sort=name -cf'"),
}


@dataclass(frozen=True, slots=True)
class ForeignTar:
    """A tar to index: `name` as the index will hold it, `place` where it is read from."""

    name: str
    place: str
    split: str


def split_of(name: str) -> str:
    """The split that a tar's name tells, or else its folders: `train-000.tar`, `ron_dev_3.tar`, `val/0.tar`.

    Raises:
        SourceError: if it tells none, or several.
    """
    path = Path(name)
    for part in (path.name, *(folder.name for folder in path.parents if not path.is_absolute())):
        found = _splits_in(part)
        if len(found) == 1:
            return found.pop()
        if found or storage.is_url(name):
            break
    raise SourceError(f"the name of {name} does not tell one split of {', '.join(SPLITS)}", fix="give --split")


def _splits_in(part: str) -> set[str]:
    found = set()
    for word in re.split(r"[^a-z]+", part.lower()):
        try:
            found.add(parse_split(word))
        except ShardsError:
            continue
    return found


def find_tars(
    root: Path, given: Sequence[str], *, languages: Sequence[str], split: str | None, again: bool
) -> dict[str, list[ForeignTar]]:
    """The tars to index, by language: those given, else `<root>/<language>/*.tar` of languages without an index, and
    those in folders below, as `<language>/train/*.tar`.

    Args:
        languages: the language of the tars that are given; else these only, or all if there are none here.

    Raises:
        SourceError: if there is none, or a language or split cannot be told.
    """
    if given:
        if len(languages) != 1:
            raise SourceError(f"found {counted(len(languages), 'language')}, expected one: --lang, that of the tars")
        (language,) = languages
        folder = (root / parse_language(language)).resolve()
        tars = [_given_tar(folder, place, split) for pattern in given for place in _expanded(pattern)]
        places = [tar.place for tar in tars]
        twice = next((place for place in places if places.count(place) > 1), None)
        if twice is not None:
            raise SourceError(f"{twice} is named twice", fix="its samples would be trained on twice as often")
        return {language: _by_split(tars)}
    with storage.local_errors(root):
        if not root.is_dir():
            raise SourceError(f"no folder {root}", fix="expected one that holds <language>/*.tar")
    codes = [parse_language(language) for language in languages] if languages else storage.list_folders(str(root))
    found = {code: _below(root / code, _TAR) for code in codes}
    if not any(found.values()):
        raise SourceError(_no_tars(root, codes))
    return {
        parse_language(code): _by_split([_found_tar(root / code, path, split) for path in paths])
        for code, paths in found.items()
        if paths and (again or not (root / code / INDEX_NAME).is_file())
    }


def packed_beside(folder: Path, tars: Sequence[ForeignTar]) -> list[tuple[Path, str]]:
    """Packed archives in a language's folder that nothing of is indexed, and how to unpack each; none if the tars lie
    elsewhere. One that is there unpacked as well is not meant."""
    names = {tar.name for tar in tars}
    if any(storage.is_url(name) or Path(name).is_absolute() for name in names):
        return []
    found = []
    for ending, way in _PACKED.items():
        for path in _below(folder, ending):
            unpacked = path.relative_to(folder).as_posix()[: -len(ending)] + _TAR
            if unpacked not in names:
                found.append((path, way))
    return sorted(found)


def deeper_note(folder: Path, language: str, tars: Sequence[ForeignTar]) -> str | None:
    """What is to be known where tars lie in a language's folder and others in folders below, which are left alone."""
    places = {tar.place for tar in tars}
    deeper = [path for path in _matching(folder, "*/*", _TAR) if str(path) not in places]
    if not deeper or not any(Path(place).parent == folder for place in places):
        return None
    return (
        f"{language}: {counted(len(deeper), 'tar')} in folders below, as {deeper[0].relative_to(folder)}, left alone; "
        f"to index them too, name all: mms-dist shards index {folder.parent} TAR … --lang {language}"
    )


@contextmanager
def local_copy(place: str) -> Iterator[Path]:
    """The tar itself, or a copy of a remote one that is removed afterwards.

    Raises:
        SourceError: if there is no such tar.
        StorageError: if it cannot be fetched or kept.
    """
    path = storage.local_path(place)
    if path is not None:
        if not storage.exists(place):
            raise SourceError(f"no tar {path}")
        yield path
        return
    try:
        copy = tempfile.NamedTemporaryFile(suffix=_TAR)  # noqa: SIM115 - closed below
    except OSError as error:
        raise _no_room(place, error) from error
    with copy:
        try:
            storage.copy_to(place, copy.file)
            copy.flush()
        except FileNotFoundError as error:
            raise SourceError(f"no tar {place}") from error
        except OSError as error:
            raise _no_room(place, error) from error
        yield Path(copy.name)


def _no_room(place: str, error: OSError) -> StorageError:
    return StorageError(
        f"{place} cannot be copied to {tempfile.gettempdir()} to be indexed: {error.strerror}",
        fix="set TMPDIR to a folder with room for the largest tar",
    )


def _expanded(pattern: str) -> list[str]:
    try:
        return list(braceexpand(pattern))
    except ValueError as error:
        raise SourceError(f"{pattern}: {error}", fix="write a literal brace as '\\{'") from error


def _given_tar(folder: Path, place: str, split: str | None) -> ForeignTar:
    """A tar that was named; the index holds its bare name if it lies in the language's own folder."""
    if storage.is_url(place):
        return ForeignTar(_checked(place), place, split or split_of(place))
    path = Path(place).resolve()
    name = path.name if path.parent == folder else str(path)
    return ForeignTar(_checked(name), str(path), split or split_of(path.name))


def _found_tar(folder: Path, path: Path, split: str | None) -> ForeignTar:
    name = _checked(path.relative_to(folder).as_posix())
    return ForeignTar(name, str(path), split or split_of(name))


def _by_split(tars: Sequence[ForeignTar]) -> list[ForeignTar]:
    return sorted(tars, key=lambda tar: SPLITS.index(tar.split))


def _below(folder: Path, ending: str) -> list[Path]:
    """Files with such an ending in a folder, or if there are none, in its folders; not `._x.tar` and the like."""
    return _matching(folder, "*", ending) or _matching(folder, "*/*", ending)


def _matching(folder: Path, pattern: str, ending: str) -> list[Path]:
    return sorted(
        path
        for path in folder.glob(pattern)
        if path.name.lower().endswith(ending)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _checked(name: str) -> str:
    """The name itself, if an index can hold it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise SourceError(f"the name of {shown} is not UTF-8, as an index must hold it", fix="rename the tar") from None
    return name


def _no_tars(root: Path, codes: Sequence[str]) -> str:
    """Why there is nothing to index, by what is there instead."""
    packed = [(path, way) for code in codes for ending, way in _PACKED.items() for path in _below(root / code, ending)]
    if packed:
        path, way = min(packed)
        return (
            f"no tars in {root}/<language>/, but {counted(len(packed), 'packed archive')}, of which samples cannot be "
            f"read one by one, as {path}: {way}"
        )
    loose = _below(root, _TAR)
    if loose and loose[0].parent == root:
        return (
            f"{counted(len(loose), 'tar')} in {root} itself, expected them in {root}/<language>/; name them with their "
            f"language: mms-dist shards index {root} {root}/*.tar --lang CODE"
        )
    return f"no tars in {root}/<language>/, or name them: mms-dist shards index {root} TAR … --lang CODE"

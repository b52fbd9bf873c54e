"""Choose the tars that `mms-dist shards index` indexes: those named, or all in the languages' folders."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from braceexpand import braceexpand

from shards import storage
from shards.errors import Problem, ShardsError, SourceError, StorageError
from shards.file_content import ARCHIVES
from shards.languages import parse_language
from shards.schema import INDEX_NAME
from shards.splits import SPLITS, parse_split
from shards.wording import counted

_TAR = ".tar"
_PACKED = {ending: archive.fix_for_tars for archive in ARCHIVES for ending in archive.endings}
"""Archives that do not allow random access to their samples, by the end of their name, and how to unpack them."""


@dataclass(frozen=True, slots=True)
class ForeignTar:
    """A tar to index: `name` as stored in the index, `place` is the path or URL to read it from."""

    name: str
    place: str
    split: str


@dataclass(frozen=True, slots=True)
class FoundTars:
    """The tars to index, by language, and why the tars of other languages cannot be indexed."""

    languages: dict[str, list[ForeignTar]]
    failed: dict[str, Problem] = field(default_factory=dict)


def split_of(name: str) -> str:
    """Infer the split from a tar's name, or else from its folders: `train-000.tar`, `ron_dev_3.tar`, `val/0.tar`.

    Raises:
        SourceError: the name mentions no split, or several.
    """
    path = Path(name)
    for part in (path.name, *(folder.name for folder in path.parents if not path.is_absolute())):
        found = _splits_in(part)
        if len(found) == 1:
            return found.pop()
        if found or storage.is_url(name):
            break
    raise SourceError(f"{name} is not named after exactly one of {', '.join(SPLITS)}", fix="pass --split")


def _splits_in(part: str) -> set[str]:
    found = set()
    for word in re.split(r"[^a-z]+", part.lower()):
        try:
            found.add(parse_split(word))
        except ShardsError:
            continue
    return found


def find_tars(
    root: Path, given: Sequence[str], *, languages: Sequence[str], split: str | None, reindex: bool
) -> FoundTars:
    """Return the tars to index, by language: those given, or the tars of all languages without an index.

    A language's tars are `<root>/<language>/*.tar`, or if there are none, those one folder below, such as
    `<language>/train/*.tar`.

    Args:
        languages: with `given`, the one language of those tars. Otherwise the languages to index; empty: all.
        reindex: also index languages that have an index.

    Raises:
        SourceError: there are no tars, or the language or split of `given` tars is unclear.
    """
    if given:
        if len(languages) != 1:
            raise SourceError(
                f"found {counted(len(languages), 'language')}, expected one",
                fix="pass the language of the tars with --lang",
            )
        (language,) = languages
        folder = (root / parse_language(language)).resolve()
        tars = [_given_tar(folder, place, split) for pattern in given for place in _expanded(pattern)]
        places = [tar.place for tar in tars]
        twice = next((place for place in places if places.count(place) > 1), None)
        if twice is not None:
            raise SourceError(
                f"{twice} is named twice, so its samples would be trained on twice as often", fix="name it once"
            )
        return FoundTars({language: _by_split(tars)})
    with storage.local_errors(root):
        if not root.is_dir():
            raise SourceError(f"no folder {root}, expected one that contains <language>/*.tar")
    codes = [parse_language(language) for language in languages] if languages else storage.list_folders(str(root))
    found = {code: _below(root / code, _TAR) for code in codes}
    if not any(found.values()):
        raise _no_tars(root, codes)
    tars_of: dict[str, list[ForeignTar]] = {}
    failed: dict[str, Problem] = {}
    for code, paths in found.items():
        if paths and (reindex or not (root / code / INDEX_NAME).is_file()):
            try:
                tars_of[parse_language(code)] = _by_split([_found_tar(root / code, path, split) for path in paths])
            except ShardsError as error:
                failed[code] = error.problem
    return FoundTars(tars_of, failed)


def packed_beside(folder: Path, tars: Sequence[ForeignTar]) -> list[tuple[Path, str]]:
    """Return the packed archives in a language's folder, and how to unpack each.

    Archives that have also been unpacked there are not listed. Returns nothing if the tars are in other folders.
    """
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
    """Return a note if a language has tars in its folder and more tars in folders below, which are not indexed."""
    places = {tar.place for tar in tars}
    deeper = [path for path in _matching(folder, "*/*", _TAR) if str(path) not in places]
    if not deeper or not any(Path(place).parent == folder for place in places):
        return None
    return (
        f"{language}: {counted(len(deeper), 'tar')} in folders below not indexed, for example "
        f"{deeper[0].relative_to(folder)}; to index them too, name all tars: "
        f"mms-dist shards index {folder.parent} TAR … --lang {language}"
    )


@contextmanager
def local_copy(place: str) -> Iterator[Path]:
    """Yield the path of a tar. A remote tar is copied, and the copy removed afterwards.

    Raises:
        SourceError: there is no such tar.
        StorageError: the tar cannot be fetched or stored.
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
        f"{place} cannot be copied to {tempfile.gettempdir()} for indexing: {error.strerror}",
        fix="set TMPDIR to a folder with space for the largest tar",
    )


def _expanded(pattern: str) -> list[str]:
    try:
        return list(braceexpand(pattern))
    except ValueError as error:
        raise SourceError(f"{pattern}: {error}", fix="write a literal brace as '\\{'") from error


def _given_tar(folder: Path, place: str, split: str | None) -> ForeignTar:
    """Return a tar that was named. Its `name` has no folder if the tar is in the language's own folder."""
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
    """Return files with this ending in a folder, or if there are none, one folder below. Skips hidden files."""
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
    """Return the name if an index can store it.

    Raises:
        SourceError: the name is not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise SourceError(f"the name of {shown} is not UTF-8, so an index cannot store it", fix="rename it") from None
    return name


def _no_tars(root: Path, codes: Sequence[str]) -> SourceError:
    """Return the error for a root without tars, given what is there instead."""
    packed = [(path, way) for code in codes for ending, way in _PACKED.items() for path in _below(root / code, ending)]
    if packed:
        path, way = min(packed)
        return SourceError(
            f"no tars in {root}/<language>/, but {counted(len(packed), 'packed archive')}, whose samples cannot be "
            "read one by one",
            fix=f"unpack them, for example {path}: {way}",
        )
    loose = _below(root, _TAR)
    if loose and loose[0].parent == root:
        return SourceError(
            f"{counted(len(loose), 'tar')} in {root} itself, expected them in {root}/<language>/",
            fix=f"name them with their language: mms-dist shards index {root} {root}/*.tar --lang CODE",
        )
    return SourceError(
        f"no tars in {root}/<language>/", fix=f"name them: mms-dist shards index {root} TAR … --lang CODE"
    )

"""Choose the tars that `mms-dist shards index` indexes: those named, or all in the languages' folders."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from braceexpand import braceexpand

from shards import remote, storage
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
    root: Path | str, given: Sequence[str], *, languages: Sequence[str], split: str | None, reindex: bool
) -> FoundTars:
    """Return the tars to index, by language: those given, or the tars of all languages without an index.

    A language's tars are `<root>/<language>/*.tar`, or if there are none, those one folder below, such as
    `<language>/train/*.tar`.

    Args:
        root: a folder, or as a string a URL.
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
        code = parse_language(language)
        folder = (root / code).resolve() if isinstance(root, Path) else storage.join(root, code)
        tars = [_given_tar(folder, place, split) for pattern in given for place in _expanded(pattern)]
        places = [tar.place for tar in tars]
        twice = next((place for place in places if places.count(place) > 1), None)
        if twice is not None:
            raise SourceError(
                f"{twice} is named twice, so its samples would be trained on twice as often", fix="name it once"
            )
        return FoundTars({language: _by_split(tars)})
    if isinstance(root, Path):
        with storage.local_errors(root):
            if not root.is_dir():
                raise SourceError(f"no folder {root}, expected one that contains <language>/*.tar")
    codes = [parse_language(language) for language in languages] if languages else storage.list_folders(str(root))
    names = dict(zip(codes, storage.each(str(root), _files, [_folder_of(root, code) for code in codes]), strict=True))
    found = {code: _below(names[code], _TAR) for code in codes}
    if not any(found.values()):
        raise _no_tars(root, names)
    tars_of: dict[str, list[ForeignTar]] = {}
    failed: dict[str, Problem] = {}
    for code, paths in found.items():
        if paths and (reindex or INDEX_NAME not in names[code]):
            try:
                folder = _folder_of(root, code)
                tars_of[parse_language(code)] = _by_split([_found_tar(folder, name, split) for name in paths])
            except ShardsError as error:
                failed[code] = error.problem
    return FoundTars(tars_of, failed)


def packed_beside(folder: Path | str, tars: Sequence[ForeignTar]) -> list[tuple[str, str]]:
    """Return the packed archives in a language's folder, by name, and how to unpack each.

    Archives that have also been unpacked there are not listed. Returns nothing if the tars are in other folders.
    """
    names = {tar.name for tar in tars}
    if any(storage.is_url(name) or Path(name).is_absolute() for name in names):
        return []
    files = _files(folder)
    return sorted(
        (name, way)
        for ending, way in _PACKED.items()
        for name in _below(files, ending)
        if name[: -len(ending)] + _TAR not in names
    )


def deeper_note(folder: Path | str, language: str, tars: Sequence[ForeignTar]) -> str | None:
    """Return a note if a language has tars in its folder and more tars in folders below, which are not indexed."""
    if all("/" in tar.name for tar in tars):
        return None
    places = {tar.place for tar in tars}
    deeper = [
        name
        for name in _files(folder)
        if "/" in name and name.lower().endswith(_TAR) and storage.join(str(folder), name) not in places
    ]
    if not deeper:
        return None
    return (
        f"{language}: {counted(len(deeper), 'tar')} in folders below not indexed, for example "
        f"{deeper[0]}; to index them too, name all tars: "
        f"mms-dist shards index {str(folder).removesuffix(language).rstrip('/')} TAR … --lang {language}"
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


def _given_tar(folder: Path | str, place: str, split: str | None) -> ForeignTar:
    """Return a tar that was named. Its `name` has no folder if the tar is in the language's own folder."""
    if storage.is_url(place):
        own = place.rpartition("/")[0] == folder
        return ForeignTar(_checked(place.rpartition("/")[2] if own else place), place, split or split_of(place))
    path = Path(place).resolve()
    if isinstance(folder, str):
        raise SourceError(
            f"{path} is a file of this machine, but its index would be in {folder}, for other machines too",
            fix="upload the tar and give its URL, or write the index to a folder",
        )
    name = path.name if path.parent == folder else str(path)
    return ForeignTar(_checked(name), str(path), split or split_of(path.name))


def _found_tar(folder: Path | str, name: str, split: str | None) -> ForeignTar:
    return ForeignTar(_checked(name), storage.join(str(folder), name), split or split_of(name))


def _by_split(tars: Sequence[ForeignTar]) -> list[ForeignTar]:
    return sorted(tars, key=lambda tar: SPLITS.index(tar.split))


def _folder_of(root: Path | str, code: str) -> Path | str:
    return root / code if isinstance(root, Path) else storage.join(root, code)


def _files(folder: Path | str) -> list[str]:
    """Return the files in a folder and one folder below, by their paths from there. Skips hidden ones."""
    if isinstance(folder, Path):
        paths = (path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in paths]
    else:
        names = [name for name in remote.list_files(folder) if name.count("/") <= 1]
    parts = sorted(name.split("/") for name in names)
    return ["/".join(each) for each in parts if not any(part.startswith(".") for part in each)]


def _below(files: Sequence[str], ending: str) -> list[str]:
    """Return the files with this ending that are in no folder, or if there are none, all."""
    found = [name for name in files if name.lower().endswith(ending)]
    return [name for name in found if "/" not in name] or found


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


def _no_tars(root: Path | str, files: Mapping[str, Sequence[str]]) -> SourceError:
    """Return the error for a root without tars, given the files of its folders."""
    packed = [
        (storage.join(str(root), code, name), way)
        for code, names in files.items()
        for ending, way in _PACKED.items()
        for name in _below(names, ending)
    ]
    if packed:
        path, way = min(packed)
        return SourceError(
            f"no tars in {root}/<language>/, but {counted(len(packed), 'packed archive')}, whose samples cannot be "
            "read one by one",
            fix=f"unpack them, for example {path}: {way}",
        )
    loose = [name for name in _files(root) if "/" not in name and name.lower().endswith(_TAR)]
    if loose:
        return SourceError(
            f"{counted(len(loose), 'tar')} in {root} itself, expected them in {root}/<language>/",
            fix=f"name them with their language: mms-dist shards index {root} {root}/*.tar --lang CODE",
        )
    return SourceError(
        f"no tars in {root}/<language>/", fix=f"name them: mms-dist shards index {root} TAR … --lang CODE"
    )

"""Find the recordings to transcribe: files, folders, a list with a language for each, standard input."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.errors import DataError
from mms_dist.files import UnreadableFileError, read_text
from shards.audio.audio_errors import UndecodableError
from shards.audio.extensions import readable_extensions, recordings_below
from shards.audio.recording import Recording
from shards.errors import ShardsError
from shards.languages import parse_language

STANDARD_INPUT = "-"

Languages = str | Sequence[str] | None
"""A code, or several: separated by commas, or as a sequence."""


@dataclass(frozen=True, slots=True)
class Item:
    """A recording.

    Attributes:
        path: its file; None for standard input.
        name: what it is called in the output: its path as it was given, or below the folder that was given.
        languages: code, or several of which one is to be chosen.
        named: whether the user named this very file, so that it must be audio.
    """

    path: Path | None
    name: str
    languages: tuple[str, ...]
    named: bool = False

    @property
    def output_name(self) -> str:
        """Path of its output below the output folder, without an ending: where it was below the folder or list."""
        path = Path(self.name)
        inside = not (self.named or path.is_absolute() or ".." in path.parts)
        return path.with_suffix("").as_posix() if inside else path.stem


def find_items(places: Sequence[str], lists: Sequence[Path], language: Languages) -> list[Item]:
    """Return the recordings in the order given.

    Args:
        places: files, folders (searched with all folders below) and `-`.
        lists: text files with a recording in each line, and perhaps a tab and its language. Paths are relative to the
            list, or to the working folder if it is a pipe. Empty lines and those that begin with `#` are left out.
        language: of recordings that have none of their own; several: one of them is to be chosen.

    Raises:
        DataError: something does not exist, a language is missing, or there is nothing to transcribe.
    """
    found: list[Item] = []
    for place in places:
        if place == STANDARD_INPUT:
            found.append(Item(None, STANDARD_INPUT, _known(language, "standard input"), named=True))
        elif Path(place).is_dir():
            found += _in_folder(Path(place), language)
        elif Path(place).is_file():
            found.append(Item(Path(place), place, _known(language, place), named=True))
        else:
            raise DataError(f"{place} does not exist", fix="check the path")
    for path in lists:
        found += _in_list(path, language)
    if not found:
        raise DataError("there is nothing to transcribe", fix="give recordings, folders or a list with --list")
    return found


def _in_folder(folder: Path, language: Languages) -> list[Item]:
    paths = recordings_below(folder)
    if not paths:
        raise DataError(
            f"{folder} has no recordings", fix=f"give files that end with .{', .'.join(readable_extensions())}"
        )
    return [Item(path, path.relative_to(folder).as_posix(), _known(language, str(folder))) for path in paths]


def _in_list(path: Path, language: Languages) -> list[Item]:
    try:
        lines = read_text(path, pipes=True).splitlines()
    except UnreadableFileError as error:
        raise DataError(
            f"the list {path} cannot be read: {error.found}", fix=error.fix or "give the path of a text file"
        ) from error
    folder = path.parent if path.is_file() else Path()  # a pipe lies in /dev/fd
    items = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, own = line.partition("\t")
        where = f"{path}:{number}"
        items.append(Item(folder / name, name, _known(own.strip() or language, where)))
    if not items:
        raise DataError(f"the list {path} is empty", fix="write the path of a recording into each line")
    return items


def _known(languages: Languages, where: str) -> tuple[str, ...]:
    codes = languages.replace(",", " ").split() if isinstance(languages, str) else list(languages or ())
    if not codes:
        raise DataError(f"{where} has no language", fix="give it with --lang, or after a tab in each line of the list")
    try:
        return tuple(dict.fromkeys(map(parse_language, codes)))
    except ShardsError as error:
        raise DataError(f"{where}: {error.found}", fix=error.fix) from error


def part_of(items: Sequence[Item], part: int, parts: int) -> list[Item]:
    """Return the share of one of several jobs: every `parts`-th item, from number `part` (the first is 0)."""
    return list(items[part::parts])


def check_outputs(items: Sequence[Item]) -> None:
    """Check that no two recordings would be written to the same file.

    Raises:
        DataError: two would; names both.
    """
    seen: dict[str, Item] = {}
    for item in items:
        other = seen.setdefault(item.output_name, item)
        if other is not item:
            raise DataError(
                f"{other.path} and {item.path} would both be written to {item.output_name}",
                fix="transcribe them into two folders",
            )


def languages_of(items: Sequence[Item]) -> list[str]:
    """Return all languages that recordings may have."""
    return sorted({language for item in items for language in item.languages})


def check_named(items: Sequence[Item]) -> None:
    """Check that the files that the user named are audio.

    Raises:
        DataError: the first that is not.
    """
    for item in items:
        if item.named and item.path is not None:
            try:
                Recording(item.path).close()
            except UndecodableError as error:
                raise DataError(
                    f"{item.path} cannot be read as a recording: {error.found}",
                    fix=error.fix or "convert it, for example with: ffmpeg -i FILE FILE.flac",
                ) from error

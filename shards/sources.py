"""One utterance of a corpus before anything was decoded, and a folder of recordings with text beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shards.errors import ShardsError, SourceError
from shards.sample import AUDIO_EXTENSIONS
from shards.schema import SPLITS, parse_language


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One utterance. `name` is its recording as the source writes it; `where` says where in the source it was found.

    `text` is None if there is none; `start_seconds`/`end_seconds` cut a segment from a longer recording.
    """

    audio: Path
    name: str
    text: str | None
    language: str
    where: str
    split: str | None = None
    speaker: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    source: str | None = None


def read_folder(folder: Path, *, language: str | None = None) -> list[SourceRow]:
    """Every `clip.<audio>` with its `clip.txt`, below `folder`, sorted by path.

    The language is the parent folder's name; a parent named as a split is the split, and the language the folder above
    it. With `language`, the recordings in folders of that name; if there is no such folder, all of them are that
    language.

    Raises:
        SourceError: if there is no recording, or a folder's name is no language code.
    """
    if not folder.is_dir():
        raise SourceError(f"no folder {folder}")
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower()[1:] in AUDIO_EXTENSIONS):
        split = path.parent.name if path.parent.name in SPLITS else None
        found.append((path, split, (path.parent.parent if split else path.parent).name))
    if language in {name for _, _, name in found}:
        found = [entry for entry in found if entry[2] == language]
    rows = []
    for path, split, name in found:
        code = language or name
        transcript = path.with_suffix(".txt")
        rows.append(
            SourceRow(
                audio=path,
                name=path.relative_to(folder).as_posix(),
                text=_read_text(transcript) if transcript.is_file() else None,
                language=_language(code, path, given=language is not None),
                where=str(path),
                split=split,
            )
        )
    if not rows:
        raise SourceError(f"no recording below {folder}: expected clip.<{'|'.join(AUDIO_EXTENSIONS)}> with clip.txt")
    return rows


def _language(code: str, path: Path, *, given: bool) -> str:
    try:
        return parse_language(code)
    except ShardsError as error:
        hint = "" if given else f" (the folder of {path}; give --lang if all of it is one language)"
        raise SourceError(f"{error}{hint}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8: {error}; convert it, as with iconv") from error

"""The columns of a manifest, and advice for tables with other columns."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from shards.errors import Problem
from shards.wording import nearest, printable

REQUIRED = ("audio", "text", "lang")
OPTIONAL = ("split", "speaker", "start", "end", "source")
KNOWN = REQUIRED + OPTIONAL

# Names that other tools use for these columns.
_OTHER_NAMES = {
    "audio": ("path", "file", "filename", "file_name", "filepath", "audio_path", "audio_filepath", "audio_file", "wav"),
    "text": ("sentence", "transcript", "transcription", "transcripts", "txt", "raw_transcription", "normalized_text"),
    "lang": ("language", "lang_code", "lang_id", "iso", "iso639_3"),
}
# Common Voice's tables of sentences and of spontaneous speech: recording column, transcript column, recordings folder.
_COMMON_VOICE = (("path", "sentence", "clips"), ("audio_file", "transcription", "audios"))
_SHOWN_NAMES = 12


def columns_problem(found: Sequence[str], language: str | None) -> Problem | None:
    """Return what is wrong with the names of a manifest's columns or an object's keys; None if nothing is."""
    for name in found:
        plain = name.strip().lower()
        if name not in KNOWN and plain in KNOWN and plain not in found:
            return Problem(f"column {name!r} is not known", f"write it {plain!r}")
    missing = [name for name in REQUIRED if name not in found and (name != "lang" or language is None)]
    if not missing:
        return None
    others = [name for name in found if name not in KNOWN]
    close = "".join(f"; for {name!r}{hint}" for name in missing if (hint := _close_to(name, others)))
    separators = [kind for mark, kind in ((",", "commas"), (";", "semicolons")) if len(found) == 1 and mark in found[0]]
    for separator in separators[:1]:
        close = f"; the header is separated by {separator}, expected tabs"
    return Problem(
        f"no column {' and no column '.join(map(repr, missing))}{close}; found {_listed(found)}; "
        f"expected {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL)}",
        "--lang gives one language to all of it" if "lang" in missing else None,
    )


def _close_to(name: str, others: Collection[str]) -> str:
    for other in _OTHER_NAMES[name]:
        if other in others:
            return f" (did you mean {other!r}?)"
    return nearest(name, others, cutoff=0.65)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in names[:_SHOWN_NAMES])
    return f"{shown} and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else shown or "none"


def common_voice_help(path: Path, header: Sequence[str]) -> Problem | None:
    """Return how to build from a Common Voice table; None if this is not one.

    The command selects columns by number, since numbers differ between releases. With all three splits of a release
    present, it keeps them; for any other table, such as validated.tsv, `shards build` makes the splits.
    """
    kinds = [kind for kind in _COMMON_VOICE if {"client_id", *kind[:2]}.issubset(header)]
    if not kinds or {"audio", "text"}.issubset(header):
        return None
    audio, text, clips_folder = kinds[0]
    splits = [f"{name}.tsv" for name in ("train", "dev", "test")]
    split = path.name in splits and all((path.parent / name).is_file() for name in splits)
    names = splits if split else [printable(path.name)]
    own_split = [] if split or "split" not in header else ["split"]
    columns = ",".join(f"${header.index(name) + 1}" for name in (audio, text, "client_id", *own_split))
    title = '"audio","text","speaker"' + (',"split"' if split or own_split else "")
    body = f'sub(/[.]tsv$/,"",s);print {columns},s' if split else f"print {columns}"
    start = "FNR>1{s=FILENAME;" if split else "FNR>1{"
    program = f'BEGIN{{OFS=FS="\\t";print {title}}}{start}{body}}}'
    folder = printable(str(path.parent))
    clips = printable(str(path.parent / clips_folder))
    return Problem(
        f"this is a Common Voice table (client_id, {audio}, {text}), expected {', '.join(REQUIRED)}",
        f"make a manifest: (cd {shlex.quote(folder)} && awk '{program}' {shlex.join(names)}) > manifest.tsv\n"
        f"and build it with the language's ISO 639-3 code: mms-dist shards build manifest.tsv SHARDS --lang CODE "
        f"--audio-root {shlex.quote(clips)}",
    )

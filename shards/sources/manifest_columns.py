"""The columns of a table of utterances: which of them holds what, by --columns, by our names and by usual ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from shards.errors import Problem, SourceError
from shards.wording import nearest

REQUIRED = ("audio", "text", "lang")
OPTIONAL = ("split", "speaker", "start", "end", "source", "align_score", "align_model")
# What is stored among an utterance's tags.
TAGS = ("accent", "variant", "gender", "age", "domain")
# Taken only where --columns names them: a column of this name may hold the name of a broadcaster.
NAMED_ONLY = ("channel",)
FIELDS = REQUIRED + OPTIONAL + TAGS + NAMED_ONLY

# Names of these columns in public corpora and other tools, the likeliest first. Times have none: a column of this kind
# may hold milliseconds or samples, so only `start` and `end` are taken as seconds.
_USUAL_NAMES = {
    "audio": (
        *("path", "audio_path", "audio_filepath", "audio_file", "file", "file_name", "filename", "filepath"),
        *("file_path", "wav", "wav_path", "wav_filename", "clip", "recording"),
    ),
    "text": (
        *("sentence", "transcription", "transcript", "transcripts", "raw_transcription", "raw_text"),
        *("normalized_text", "normalised_text", "txt", "wrd"),
    ),
    "lang": ("language", "lang_code", "language_code", "locale", "iso639_3", "iso", "lang_id"),
    "split": ("subset", "partition"),
    "speaker": ("speaker_id", "client_id", "spk", "spk_id", "speakerid", "speaker_name", "reader_id"),
    "accent": ("accents",),
    "gender": ("sex",),
    "age": ("age_group",),
    "domain": ("sentence_domain",),
}
_SHOWN_NAMES = 12
_COLUMN = re.compile(rf"\s*({'|'.join(FIELDS)})\s*=(.*)", re.DOTALL)
_NEXT_COLUMN = re.compile(rf",(?=\s*(?:{'|'.join(FIELDS)})\s*=)")


def parse_columns(text: str) -> dict[str, str]:
    """Parse `audio=path,text=sentence`. A comma that is not followed by one of our names is part of a column's name.

    Raises:
        SourceError: a part is not `NAME=COLUMN`, or a name is given twice.
    """
    columns: dict[str, str] = {}
    for part in _NEXT_COLUMN.split(text):
        match = _COLUMN.fullmatch(part)
        if match is None or not match[2]:
            name = part.partition("=")[0].strip()
            close = "" if name in FIELDS else nearest(name, FIELDS)
            raise SourceError(f"found {part!r}{close}, expected NAME=COLUMN, with {', '.join(FIELDS)} as NAME")
        if match[1] in columns:
            raise SourceError(f"{match[1]} is given twice")
        columns[match[1]] = match[2]
    return columns


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of each of our fields that a table has. `guessed`: those whose names are usual, but not ours."""

    names: dict[str, str]
    guessed: dict[str, str]

    @property
    def note(self) -> str | None:
        """What was guessed, for the user; None if nothing was."""
        if not self.guessed:
            return None
        shown = ", ".join(f"{field}={name}" for field, name in self.guessed.items())
        return f"columns recognised by usual names: {shown} (--columns overrules)"


def choose_columns(found: Sequence[str], given: Mapping[str, str], *, needs_language: bool) -> Columns | Problem:
    """Choose the columns to read among those that a table has, or the keys that an object has; or say what is missing.

    Args:
        given: the user's choice, by field.
        needs_language: whether the language must come from a column.
    """
    for field, name in given.items():
        if name not in found:
            return Problem(
                f"no column {name!r}{nearest(name, found)} (--columns {field}={name}); found {listed(found)}"
            )
    names = dict(given)
    guessed: dict[str, str] = {}
    for field in FIELDS:
        if field in names or field in NAMED_ONLY:
            continue
        if field in found and field not in names.values():
            names[field] = field
        elif usual := _usual(field, [name for name in found if name not in names.values()]):
            names[field] = guessed[field] = usual
    missing = [field for field in REQUIRED if field not in names and (field != "lang" or needs_language)]
    return _missing(missing, found) if missing else Columns(names, guessed)


def _usual(field: str, candidates: Sequence[str]) -> str | None:
    """Return the column that has our name or a usual name of this field, in any case."""
    plain = {name.strip().lower(): name for name in reversed(candidates)}
    return next((plain[name] for name in (field, *_USUAL_NAMES.get(field, ())) if name in plain), None)


def _missing(missing: Sequence[str], found: Sequence[str]) -> Problem:
    others = [name for name in found if name not in FIELDS]
    close = "".join(f"; for {name!r}{hint}" for name in missing if (hint := nearest(name, others, cutoff=0.65)))
    fixes = ["--lang gives one language to all of it"] if "lang" in missing else []
    named = [field for field in missing if field != "lang"]
    if named and found:
        fixes.append(f"name the columns with --columns {','.join(f'{field}=COLUMN' for field in named)}")
    return Problem(
        f"no column {' and no column '.join(map(repr, missing))}{close}; found {listed(found)}; "
        f"expected {', '.join(REQUIRED)} and optionally {', '.join(OPTIONAL + TAGS)}",
        ", ".join(fixes) or None,
    )


def listed(names: Collection[str]) -> str:
    """Return the names of a table's columns for a message, shortened."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in list(names)[:_SHOWN_NAMES])
    return f"{shown} and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else shown or "none"

"""Write releases of Common Voice, scripted and spontaneous, as folders and as the tars that are downloaded."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.layouts.utterances import Spoken

SCRIPTED = (
    *("client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender"),
    *("accents", "variant", "locale", "segment"),
)
SCRIPTED_2019 = ("client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accent")


def write_common_voice(
    folder: Path, spoken: Sequence[Spoken], *, locale: str = "ro", columns: Sequence[str] = SCRIPTED
) -> Path:
    """A language's folder of a release. Clips without a split are in validated.tsv alone."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for one in spoken:
        (folder / "clips" / f"{clip_name(one, locale)}.mp3").write_bytes(one.audio("MP3"))
    tables = {split: [one for one in spoken if one.split == split] for split in ("train", "dev", "test")}
    for name, rows in (tables | {"validated": list(spoken), "other": [], "invalidated": []}).items():
        lines = [columns, *([value_of(one, column, locale, columns) for column in columns] for one in rows)]
        write_table(folder / f"{name}.tsv", lines)
    durations = [(f"{clip_name(one, locale)}.mp3", str(round(500 + one.number % 5 * 100))) for one in spoken]
    write_table(folder / "clip_durations.tsv", [("clip", "duration[ms]"), *durations])
    return folder


def clip_name(one: Spoken, locale: str) -> str:
    """A clip's file name, without its extension."""
    return f"common_voice_{locale}_{1000 + one.number}"


def value_of(one: Spoken, column: str, locale: str, columns: Sequence[str]) -> str:
    """What a table has in a column. Old releases write paths without an extension."""
    values = {
        "client_id": one.speaker * 16,
        "path": clip_name(one, locale) + (".mp3" if "locale" in columns else ""),
        "sentence_id": f"{one.number:064x}",
        "sentence": one.text,
        "sentence_domain": "general",
        "up_votes": "2",
        "down_votes": "0",
        "age": "twenties",
        "gender": f"{one.gender}_{'feminine' if one.gender == 'female' else 'masculine'}",
        "accents": "bănățean",
        "accent": "bănățean",
        "locale": locale,
    }
    return values.get(column, "")


def write_spontaneous(folder: Path, spoken: Sequence[Spoken], *, locale: str = "ro") -> Path:
    """A language's folder of spontaneous speech."""
    columns = (
        *("client_id", "audio_id", "audio_file", "duration_ms", "prompt_id", "prompt", "transcription", "votes", "age"),
        *("gender", "accents", "variant", "language", "split", "char_per_sec", "quality_tags"),
    )
    (folder / "audios").mkdir(parents=True, exist_ok=True)
    lines: list[Sequence[str]] = [columns]
    for one in spoken:
        name = f"spontaneous-speech-{locale}-{one.number}.mp3"
        (folder / "audios" / name).write_bytes(one.audio("MP3"))
        values = {
            "client_id": one.speaker * 16,
            "audio_id": str(one.number),
            "audio_file": name,
            "duration_ms": "900",
            "prompt_id": "7",
            "prompt": "Ce ai mâncat?",
            "transcription": one.text,
            "votes": "2",
            "gender": one.gender,
            "language": locale,
            "split": one.split or "unassigned",
            "char_per_sec": "11.2",
            "quality_tags": "short" if one.number == 0 else "",
        }
        lines.append([values.get(column, "") for column in columns])
    write_table(folder / f"ss-corpus-{locale}.tsv", lines)
    return folder


def write_tar(archive: Path, folder: Path, root: str, mode: str = "w:gz") -> Path:
    """A folder as a tar, with a member that macOS adds."""
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, root)
        tar.add(__file__, f"{root}/._validated.tsv")
    return archive


def write_table(path: Path, lines: Sequence[Sequence[str]]) -> None:
    """A table that is never quoted."""
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")

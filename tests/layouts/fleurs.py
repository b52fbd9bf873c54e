"""Write a language of FLEURS."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.layouts.utterances import Spoken


def write_fleurs(folder: Path, spoken: Sequence[Spoken], *, tars: bool = False) -> Path:
    """A language's folder, with a folder of recordings for each split, or a tar, as on the Hub."""
    for split in ("train", "dev", "test"):
        (folder / "audio" / split).mkdir(parents=True, exist_ok=True)
        lines = []
        for one in spoken:
            if one.split != split:
                continue
            (folder / "audio" / split / file_name(one)).write_bytes(one.audio())
            letters = " ".join(one.text.replace(" ", "|")) + " |"
            raw = f'"{one.text.capitalize()}".'
            lines.append([str(one.number), file_name(one), raw, one.text, letters, "8000", one.gender.upper()])
        (folder / f"{split}.tsv").write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
        if tars:
            with tarfile.open(folder / "audio" / f"{split}.tar.gz", "w:gz") as tar:
                tar.add(folder / "audio" / split, split)
            for path in (folder / "audio" / split).iterdir():
                path.unlink()
            (folder / "audio" / split).rmdir()
    return folder


def file_name(one: Spoken) -> str:
    """A number of 20 digits, as FLEURS has it."""
    return f"{10_000_000_000_000_000_000 + one.number}.wav"

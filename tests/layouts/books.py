"""Write corpora of read and spoken texts: LJSpeech, MLS and VoxPopuli."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import soundfile

from tests.layouts.utterances import Spoken
from tests.shard_samples import sound

SPLITS = ("train", "dev", "test")


def write_ljspeech(folder: Path, spoken: Sequence[Spoken], *, normalised: bool = True, kind: str = "WAV") -> Path:
    """A speaker's folder. The raw text has the numbers that the normalised one spells."""
    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    lines = []
    for one in spoken:
        (folder / "wavs" / f"{one.key}.{kind.lower()}").write_bytes(one.audio(kind))
        lines.append(f"{one.key}|12 {one.text}|{one.text}" if normalised else f"{one.key}|{one.text}")
    (folder / "metadata.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (folder / "README").write_text("A corpus.\n")
    return folder


def write_mls(folder: Path, spoken: Sequence[Spoken], *, kind: str = "FLAC") -> Path:
    """A language of MLS."""
    speakers = {one.speaker: str(100 + number) for number, one in enumerate(spoken)}
    for split in SPLITS:
        lines = []
        for one in spoken:
            if one.split == split:
                speaker = speakers[one.speaker]
                name = f"{speaker}_77_{one.number:06d}"
                recording = folder / split / "audio" / speaker / "77" / f"{name}.{kind.lower()}"
                recording.parent.mkdir(parents=True, exist_ok=True)
                recording.write_bytes(_opus(one) if kind == "OPUS" else one.audio(kind))
                lines.append(f"{name}\t{one.text}\n")
        (folder / split).mkdir(parents=True, exist_ok=True)
        (folder / split / "transcripts.txt").write_text("".join(lines), encoding="utf-8")
        (folder / split / "segments.txt").write_text("")
    genders = {one.speaker: one.gender[0].upper() for one in spoken}
    lines = [" SPEAKER   |   GENDER   | PARTITION  |  MINUTES  |  BOOK ID  | TITLE | CHAPTER\n"]
    lines += [
        f" {speakers[name]}  |  {gender}  |  train  |  3.1  |  77  | Cartea | 1\n" for name, gender in genders.items()
    ]
    (folder / "metainfo.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def _opus(one: Spoken) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, sound(0.6, seed=one.number), 16_000, format="OGG", subtype="OPUS")
    return target.getvalue()


def write_voxpopuli(folder: Path, spoken: Sequence[Spoken], *, tars: bool = False) -> Path:
    """A language of VoxPopuli, with folders of years, or tars as on the Hub."""
    columns = ("id", "raw_text", "normalized_text", "speaker_id", "split", "gender", "is_gold_transcript", "accent")
    for split in SPLITS:
        lines = ["\t".join(columns)]
        for one in spoken:
            if one.split != split:
                continue
            key = f"{2012 + one.number % 3}0613-0900-PLENARY-{one.number}-ro"
            target = folder / split / "train_part_0" if tars else folder / key[:4]
            target.mkdir(parents=True, exist_ok=True)
            (target / f"{key}.ogg").write_bytes(one.audio("OGG"))
            normalised = "" if one.number == 0 else one.text
            lines.append("\t".join((key, one.text, normalised, one.speaker, split, one.gender, "True", "None")))
        (folder / f"asr_{split}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if tars:
            with tarfile.open(folder / split / f"{split}_part_0.tar.gz", "w:gz") as tar:
                for path in sorted((folder / split / "train_part_0").iterdir()):
                    tar.add(path, f"{split}_part_0/{path.name}")
                    path.unlink()
    return folder

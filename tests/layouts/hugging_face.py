"""Write datasets as Hugging Face's tools write them, without their audio encoder."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Audio, ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, Value
from datasets.table import InMemoryTable

from tests.layouts.utterances import Spoken

GENDERS = ["male", "female", "other"]


def dataset(spoken: Sequence[Spoken], *, kind: str = "FLAC", text: str = "sentence") -> Dataset:
    """A dataset with recordings, texts, the speakers' names, and genders as numbers."""
    features = Features(
        {
            "audio": Audio(sampling_rate=16_000),
            text: Value("string"),
            "speaker_id": Value("string"),
            "gender": ClassLabel(names=GENDERS),
        }
    )
    columns = {
        "audio": [{"bytes": one.audio(kind), "path": f"{one.key}.{kind.lower()}"} for one in spoken],
        text: [one.text for one in spoken],
        "speaker_id": [one.speaker for one in spoken],
        "gender": [GENDERS.index(one.gender) for one in spoken],
    }
    table = pa.table(columns, schema=features.arrow_schema)
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features))


def write_parquet(
    folder: Path, spoken: Sequence[Spoken], *, files: int = 2, row_group: int = 2, **options: Any
) -> None:
    """`data/SPLIT-00000-of-00002.parquet`, with few rows in a row group."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        own = [one for one in spoken if one.split == split]
        for number in range(files):
            part = own[number::files]
            path = folder / "data" / f"{name}-{number:05d}-of-{files:05d}.parquet"
            pq.write_table(dataset(part, **options).data.table, path, row_group_size=row_group)


def write_fleurs_parquet(folder: Path, spoken: Sequence[Spoken], language: str) -> None:
    """`SPLIT/0000.parquet` with the columns of FLEURS, as the Hub converts it."""
    features = Features(
        {
            "id": Value("int32"),
            "num_samples": Value("int32"),
            "path": Value("string"),
            "audio": Audio(sampling_rate=16_000),
            "transcription": Value("string"),
            "raw_transcription": Value("string"),
            "gender": ClassLabel(names=GENDERS),
            "lang_id": ClassLabel(names=["it_it", "ro_ro"]),
            "language": Value("string"),
            "lang_group_id": ClassLabel(names=["western_european_we"]),
        }
    )
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        own = [one for one in spoken if one.split == split]
        columns = {
            "id": [one.number for one in own],
            "num_samples": [8_000] * len(own),
            "path": [f"/somewhere/{one.key}.wav" for one in own],
            "audio": [{"bytes": one.audio(), "path": f"{one.key}.wav"} for one in own],
            "transcription": [one.text for one in own],
            "raw_transcription": [one.text.capitalize() for one in own],
            "gender": [GENDERS.index(one.gender) for one in own],
            "lang_id": [["it_it", "ro_ro"].index(language)] * len(own),
            "language": [{"it_it": "Italian", "ro_ro": "Romanian"}[language]] * len(own),
            "lang_group_id": [0] * len(own),
        }
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.table(columns, schema=features.arrow_schema), folder / name / "0000.parquet")


def write_webdataset(folder: Path, spoken: Sequence[Spoken]) -> None:
    """`data/SPLIT-00000.tar` with `.DS_Store`, `key.flac` and `key.json`; the texts of dev are in `key.txt`."""
    (folder / "data").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        name = {"dev": "validation"}.get(split, split)
        with tarfile.open(folder / "data" / f"{name}-00000.tar", "w") as tar:
            add_member(tar, "./.DS_Store", b"x")
            for one in (one for one in spoken if one.split == split):
                about = {"speaker": one.speaker, "language": one.language, "gender": one.gender, "dnsmos": 3.1}
                if split == "dev":
                    add_member(tar, f"./{one.key}.txt", one.text.encode())
                else:
                    about["text"] = one.text
                add_member(tar, f"./{one.key}.flac", one.audio("FLAC"))
                add_member(tar, f"./{one.key}.json", json.dumps(about).encode())


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_zips(folder: Path, spoken: Sequence[Spoken]) -> None:
    """`data/SPLIT.zip`, each with `metadata.csv` and the recordings below it."""
    (folder / "data").mkdir(parents=True)
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        own = [one for one in spoken if one.split == split]
        rows = [f"clips/{one.key}.flac,{one.text},{one.speaker}" for one in own]
        with zipfile.ZipFile(folder / "data" / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}/metadata.csv", "\n".join(["file_name,transcription,speaker_id", *rows]))
            for one in own:
                archive.writestr(f"{name}/clips/{one.key}.flac", one.audio("FLAC"))


def write_table_with_clips(folder: Path, spoken: Sequence[Spoken], kind: str) -> None:
    """`data/SPLIT.csv` or `.parquet`, with the paths of recordings in `wavs/`, as people upload a folder."""
    (folder / "wavs").mkdir(parents=True)
    (folder / "data").mkdir()
    for split in ("train", "dev", "test"):
        own = [one for one in spoken if one.split == split]
        rows = [{"path": f"wavs/{one.key}.wav", "sentence": one.text, "client_id": one.speaker} for one in own]
        table = folder / "data" / f"{split}.{kind}"
        if kind == "csv":
            table.write_text(
                "\n".join(",".join(row) for row in [list(rows[0]), *(row.values() for row in rows)]) + "\n"
            )
        else:
            pq.write_table(pa.Table.from_pylist(rows), table)
        for one in own:
            (folder / "wavs" / f"{one.key}.wav").write_bytes(one.audio())


def save_to_disk(folder: Path, spoken: Sequence[Spoken], *, shards: int = 2) -> None:
    """A folder as `DatasetDict.save_to_disk` writes it."""
    splits = {}
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        own = [one for one in spoken if one.split == split]
        if own:
            splits[name] = dataset(own)
    DatasetDict(splits).save_to_disk(folder, num_shards=dict.fromkeys(splits, shards))


def write_omnilingual(folder: Path, spoken: Sequence[Spoken]) -> None:
    """Parquet files with the bytes of recordings as lists of numbers, in folders by corpus, split and language."""
    for split in ("train", "dev", "test"):
        for language in sorted({one.language for one in spoken}):
            own = [one for one in spoken if (one.split, one.language) == (split, language)]
            part = folder / "version=0" / "corpus=radio" / f"split={split}" / f"language={language}_Latn"
            part.mkdir(parents=True)
            data = [[byte - 256 if byte > 127 else byte for byte in one.audio("FLAC")] for one in own]
            columns = {
                "text": pa.array([one.text for one in own]),
                "audio_bytes": pa.array(data, pa.list_(pa.int8())),
                "audio_size": pa.array([8_000] * len(own)),
            }
            pq.write_table(pa.table(columns), part / "part-0.parquet")


def write_audiofolder(folder: Path, spoken: Sequence[Spoken], kind: str) -> None:
    """A folder for every split, with `metadata.csv`, `.jsonl` or `.parquet` and the recordings below it."""
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        own = [one for one in spoken if one.split == split]
        rows = [
            {"file_name": f"clips/{one.key}.flac", "transcription": one.text, "speaker_id": one.speaker} for one in own
        ]
        (folder / name / "clips").mkdir(parents=True)
        for one in own:
            (folder / name / "clips" / f"{one.key}.flac").write_bytes(one.audio("FLAC"))
        path = folder / name / f"metadata.{kind}"
        if kind == "csv":
            values = [list(rows[0]), *(list(row.values()) for row in rows)]
            lines = [",".join(f'"{value}"' for value in line) for line in values]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        elif kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)

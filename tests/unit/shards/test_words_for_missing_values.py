"""Codes and texts that other tools read as missing values are stored and read as they are."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import soundfile

from launcher.cli import main
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources.registry import read_source
from tests.layouts.books import write_ljspeech, write_mls, write_voxpopuli
from tests.layouts.common_voice import write_common_voice, write_spontaneous
from tests.layouts.fleurs import write_fleurs
from tests.layouts.kaldi import write_files, write_kaldi
from tests.layouts.lhotse import write_cuts, write_lhotse
from tests.layouts.nemo import write_nemo
from tests.layouts.utterances import Spoken
from tests.shard_samples import sound

# As they are written, and as the rules normalise them.
WORDS = {"null": "null", "NA": "na", "nan": "nan", "None": "none", "false": "false", "True": "true"}


def test_min_nan_and_such_texts_survive_every_reader(tmp_path):
    lines = ["audio\ttext\tlang\tspeaker"]
    for number, word in enumerate(WORDS):
        soundfile.write(tmp_path / f"{number}.wav", sound(0.6, seed=number), 16_000)
        lines.append(f"{number}.wav\t{word}\tnan\tNA")
    manifest = tmp_path / "m.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    shards = tmp_path / "shards"
    assert [row.text for row in read_source(manifest)] == list(WORDS)
    assert main(["shards", "build", str(manifest), str(shards), "--workers", "1"]) == 0
    for name in ("index.json", "vocab.json", "samples.parquet"):
        assert read_back(shards) == (sorted(WORDS.values()), {"NA"})
        (shards / "nan" / name).unlink()
        assert main(["shards", "index", str(shards), "--force", "--workers", "1"]) == 0
    assert main(["shards", "verify", str(shards), "--workers", "1"]) == 0


def write_delimited(folder: Path, spoken: list[Spoken], suffix: str, separator: str) -> Path:
    rows = [("audio", "text", "lang"), *((f"{one.key}.wav", one.text, one.language) for one in spoken)]
    (folder / f"m.{suffix}").write_text("".join(f"{separator.join(row)}\n" for row in rows))
    return folder / f"m.{suffix}"


def write_json(folder: Path, spoken: list[Spoken]) -> Path:
    rows = [{"audio": f"{one.key}.wav", "text": one.text, "lang": one.language} for one in spoken]
    (folder / "m.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder / "m.jsonl"


def write_parquet(folder: Path, spoken: list[Spoken]) -> Path:
    columns = {"audio": [f"{one.key}.wav" for one in spoken], "text": [one.text for one in spoken]}
    languages = [one.language for one in spoken]
    pyarrow.parquet.write_table(pyarrow.table({**columns, "lang": languages}), folder / "m.parquet")
    return folder / "m.parquet"


def write_parquet_of_audio(folder: Path, spoken: list[Spoken]) -> Path:
    audio = [{"bytes": b"", "path": f"{one.key}.wav"} for one in spoken]
    columns = {"audio": audio, "text": [one.text for one in spoken], "lang": [one.language for one in spoken]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "m.parquet")
    return folder


def write_audiofolder(folder: Path, spoken: list[Spoken]) -> Path:
    rows = [("file_name", "text", "lang"), *((f"{one.key}.wav", one.text, one.language) for one in spoken)]
    (folder / "metadata.csv").write_text("".join(f"{','.join(row)}\n" for row in rows))
    return folder


def write_clips(folder: Path, spoken: list[Spoken]) -> Path:
    (folder / "nan").mkdir()
    for one in spoken:
        (folder / "nan" / f"{one.key}.wav").write_bytes(one.audio())
        (folder / "nan" / f"{one.key}.txt").write_text(one.text)
    return folder


def write_kaldi_with_languages(folder: Path, spoken: list[Spoken]) -> Path:
    write_kaldi(folder, spoken, folder / "wavs")
    write_files(folder, {"utt2lang": [f"{one.key} {one.language}" for one in spoken]})
    return folder


def write_nemo_lines(folder: Path, spoken: list[Spoken]) -> Path:
    write_nemo(folder / "m.json", spoken)
    return folder / "m.json"


def write_supervisions(folder: Path, spoken: list[Spoken]) -> Path:
    write_lhotse(folder, spoken, "train")
    return folder


def write_only_cuts(folder: Path, spoken: list[Spoken]) -> Path:
    write_cuts(folder, spoken, "train")
    return folder


WRITERS: dict[str, Callable[[Path, list[Spoken]], Path]] = {
    "tsv": lambda folder, spoken: write_delimited(folder, spoken, "tsv", "\t"),
    "csv": lambda folder, spoken: write_delimited(folder, spoken, "csv", ","),
    "bars": lambda folder, spoken: write_delimited(folder, spoken, "csv", "|"),
    "jsonl": write_json,
    "parquet": write_parquet,
    "parquet of audio": write_parquet_of_audio,
    "audiofolder": write_audiofolder,
    "folder": write_clips,
    "common-voice": lambda folder, spoken: write_common_voice(folder / "nan", spoken, locale="nan"),
    "spontaneous-speech": lambda folder, spoken: write_spontaneous(folder / "nan", spoken, locale="nan"),
    "fleurs": lambda folder, spoken: write_fleurs(folder / "nan", spoken),
    "ljspeech": lambda folder, spoken: write_ljspeech(folder / "nan", spoken),
    "mls": lambda folder, spoken: write_mls(folder / "mls_nan", spoken),
    "voxpopuli": lambda folder, spoken: write_voxpopuli(folder / "nan", spoken),
    "kaldi": write_kaldi_with_languages,
    "nemo": write_nemo_lines,
    "lhotse": write_supervisions,
    "lhotse cuts": write_only_cuts,
}


@pytest.mark.parametrize("layout", WRITERS)
def test_a_source_s_texts_and_language_are_read_as_they_are(layout, tmp_path):
    spoken = [Spoken(f"k{n}", word, "NA", "male", "train", "nan", n) for n, word in enumerate(WORDS)]
    rows = read_source(WRITERS[layout](tmp_path, spoken))
    assert rows.kind == layout.split()[0] or layout in ("tsv", "csv", "bars", "jsonl", "parquet")
    assert sorted(row.text for row in rows) == sorted(WORDS)
    assert {row.language for row in rows} == {"nan"}
    assert list(rows.left_out) == []


def read_back(shards):
    index = ShardIndex.load(str(shards), ["nan"])
    reader = ShardReader(index)
    found = [
        reader.read("nan", split, row)
        for split in ("train", "dev", "test")
        for row in range(len(index.language("nan").table(split).keys))
    ]
    reader.close()
    return sorted(one.text for one in found), {one.info["speaker"] for one in found}

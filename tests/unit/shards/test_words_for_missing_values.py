"""Codes and texts that other tools read as missing values are stored and read as they are."""

import soundfile

from launcher.cli import main
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.sources.registry import read_source
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

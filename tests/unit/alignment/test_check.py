"""Wrong transcripts of shards have the lowest scores, which are stored where training and people find them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from mms_dist.alignment.check import Check, check_language
from mms_dist.config import Data
from mms_dist.data.training_stream import trainable
from shards.build.store_scores import store_scores
from shards.errors import DamagedSampleError, ShardsError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.hearing import ToneModel, recording, sentences

COUNT, WRONG = 30, 4


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Shards, and the texts of those whose recordings say something else."""
    folder = tmp_path_factory.mktemp("check")
    texts = sentences(COUNT)
    written = [*texts[:WRONG][::-1], *texts[WRONG:]]
    lines = ["audio\ttext\tlang\tsplit"]
    for number, (said, text) in enumerate(zip(texts, written, strict=True)):
        soundfile.write(folder / f"{number}.wav", recording([said])[0], SAMPLE_RATE)
        lines.append(f"{number}.wav\t{text}\tita\t{'dev' if number >= COUNT - 5 else 'train'}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    options = ["--shard-utterances", "8", "--workers", "1"]
    assert main(["shards", "build", str(folder / "manifest.tsv"), str(folder / "shards"), *options]) == 0
    return folder / "shards", set(texts[:WRONG])


@pytest.fixture
def shards(built: tuple[Path, set[str]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(built[0], tmp_path / "shards"))


def checked(shards: Path) -> Check:
    index = ShardIndex.load(str(shards))
    return check_language(ToneModel(wrong=0.02), index, ShardReader(index), "ita", worst=6)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_wrong_transcripts_are_the_worst_and_suspicious(built: tuple[Path, set[str]]) -> None:
    check = checked(built[0])
    assert {each.text for each in check.worst[:WRONG]} == built[1]
    assert check.suspicious == WRONG
    assert [each.score for each in check.worst] == sorted(check.all_scores.tolist())[:6]


def test_scores_are_stored_in_samples_table_and_index(shards: Path) -> None:
    check = checked(shards)
    before = ShardReader(ShardIndex.load(str(shards))).read("ita", "train", 3)
    store_scores(ShardIndex.load(str(shards)).language("ita"), check.scores, check.model)
    index = ShardIndex.load(str(shards))
    assert index.language("ita").content["align_model"] == check.model
    for split in ("train", "dev"):
        assert index.language("ita").table(split).align_score == pytest.approx(check.scores[split], abs=1e-4)
    after = ShardReader(index).read("ita", "train", 3)
    assert (after.audio == before.audio).all() and (after.key, after.text) == (before.key, before.text)
    added = {"align_score": pytest.approx(float(check.scores["train"][3]), abs=1e-4), "align_model": check.model}
    assert after.info == before.info | added
    assert main(["shards", "verify", str(shards), "--workers", "1"]) == 0
    bytes_of_first = files(shards)
    store_scores(index.language("ita"), check.scores, check.model)
    assert files(shards) == bytes_of_first, "storing again changes nothing"
    kept = trainable(index.language("ita").table("train"), Data(min_align_score=check.thresholds["train"]))
    assert len(kept) == COUNT - 5 - WRONG


def test_a_build_keeps_the_scores_of_shards_that_it_need_not_build(built: tuple[Path, set[str]]) -> None:
    shards = built[0]
    check = checked(shards)
    store_scores(ShardIndex.load(str(shards)).language("ita"), check.scores, check.model)
    options = ["--shard-utterances", "8", "--workers", "1"]
    assert main(["shards", "build", str(shards.parent / "manifest.tsv"), str(shards), *options]) == 0
    assert np.isfinite(ShardIndex.load(str(shards)).language("ita").table("train").align_score).all()


def test_tars_made_elsewhere_stay_as_they_are(shards: Path) -> None:
    for name in ("index.json", "samples.parquet", "vocab.json"):
        (shards / "ita" / name).unlink()
    shutil.rmtree(shards / ".build")
    tars = files(shards)
    assert main(["shards", "index", str(shards), "--lang", "ita", "--workers", "1"]) == 0
    check = checked(shards)
    store_scores(ShardIndex.load(str(shards)).language("ita"), check.scores, check.model)
    assert {name: data for name, data in files(shards).items() if name.endswith(".tar")} == tars
    assert np.isfinite(ShardIndex.load(str(shards)).language("ita").table("train").align_score).all()
    assert main(["shards", "verify", str(shards), "--workers", "1"]) == 0


def test_damage_or_a_running_build_stops_it_with_the_old_shards_in_place(shards: Path) -> None:
    check = checked(shards)
    index = ShardIndex.load(str(shards)).language("ita")
    tar = shards / "ita" / index.shards("train")[0].name
    data = bytearray(tar.read_bytes())
    data[2000] ^= 255
    tar.write_bytes(bytes(data))
    before = files(shards / "ita")
    with pytest.raises(DamagedSampleError):
        store_scores(index, check.scores, check.model)
    assert files(shards / "ita") == before
    remote = ShardIndex(f"http://localhost/{shards}", {"ita": index}).language("ita")
    remote.root = "http://localhost/shards"
    with pytest.raises(ShardsError, match="check a local copy"):
        store_scores(remote, check.scores, check.model)

"""What the splits of a language can and cannot show."""

import gc
import json
import math

import pytest

from launcher.cli import main
from shards.index import ShardIndex
from shards.index.language_index import LanguageIndex
from shards.index.sample_table import SampleTable
from shards.split_checks import DESIGN_EFFECT, characters_to_tell_apart, split_problems
from shards.splits import SPLITS
from shards.verify import verify_shards
from tests.shard_samples import build, write_corpus


def test_the_size_of_test_follows_the_formula():
    assert characters_to_tell_apart() == math.ceil(2 * 1.959964**2 * DESIGN_EFFECT * 0.16 / 0.02**2) == 6147
    assert characters_to_tell_apart(4.0) == pytest.approx(characters_to_tell_apart(2.0) / 4, abs=1)
    assert characters_to_tell_apart(cer=0.05) < characters_to_tell_apart(cer=0.2)


@pytest.mark.parametrize(
    ("speakers", "said"),
    [
        (["anna"], "it has one speaker (anna)"),
        (["anna", "bela"], "2 speakers of test also in train or dev"),
        ([""], None),
    ],
)
def test_speakers_that_make_error_rates_say_less_are_named(tmp_path, speakers, said):
    manifest = write_corpus(tmp_path / "corpus", utterances=60)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["speaker"] = speakers[number % len(speakers)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    build(manifest, tmp_path / "shards", shard_utterances=60)
    problems = [problem.found for problem in split_problems(ShardIndex.load(str(tmp_path / "shards")).language("ron"))]
    assert any("too few to tell error rates apart that differ by 2 points" in each for each in problems)
    assert any("that needs about 6,147 characters" in each for each in problems)
    assert len(problems) == 1 + (said is not None)
    assert said is None or said in problems[0]


def test_the_tables_of_one_language_at_a_time_are_in_memory(tmp_path, monkeypatch):
    """Those of a thousand languages with a thousand utterances each would be 100 MiB."""
    manifest = write_corpus(tmp_path / "corpus", utterances=20)
    lines = [json.loads(line) for line in manifest.read_text().splitlines() if json.loads(line)["lang"] == "ron"]
    codes = ("ron", "ita", "deu", "fra")
    own = [line | {"lang": code} for code in codes for line in lines]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in own))
    alive = []
    table = LanguageIndex.table

    def counted_table(index, split):
        found = table(index, split)
        alive.append(sum(type(each) is SampleTable for each in gc.get_objects()))
        return found

    gc.collect()
    before = sum(type(each) is SampleTable for each in gc.get_objects())
    monkeypatch.setattr(LanguageIndex, "table", counted_table)
    for command in (["build", str(manifest)], ["inspect"], ["verify"]):
        options = [] if command == ["inspect"] else ["--workers", "1"]
        assert main(["shards", *command, str(tmp_path / "shards"), *options]) == 0
        assert alive and max(alive) - before <= 2 * len(SPLITS), command
        alive.clear()


def test_splits_by_speaker_alone_keep_every_reading_and_verify_allows_it(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", utterances=60)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for number, line in enumerate(lines):
        line |= {"speaker": f"s{number // 3}", "text": lines[number % 3]["text"]}  # all read the same three sentences
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    counts = {}
    for split_by in ("speaker", "speaker-only"):
        shards = tmp_path / split_by
        assert main(["shards", "build", str(manifest), str(shards), "--split-by", split_by, "--workers", "1"]) == 0
        index = ShardIndex.load(str(shards)).language("ron")
        speakers = [set(index.table(split).speaker.tolist()) for split in ("train", "dev", "test")]
        assert sum(map(len, speakers)) == len(set().union(*speakers)), "no voice in two splits"
        counts[split_by] = sum(map(index.utterances, ("train", "dev", "test")))
        (found,) = verify_shards(str(shards), None, workers=1, advance=lambda count: None)
        assert not found.problems
        assert any("as --split-by speaker-only allows" in note for note in found.notes) == (split_by == "speaker-only")
    assert counts["speaker"] < counts["speaker-only"] == 60

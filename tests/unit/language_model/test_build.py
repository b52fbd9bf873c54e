"""A model is made of the corpus's own text, normalised as transcripts are, and never of what it is measured with."""

import gzip
import json
from pathlib import Path

import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.build import ModelSettings, TextSources, build_language_model
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.loading import load_model
from mms_dist.language_model.scoring import perplexity
from mms_dist.language_model.sentences import transcripts
from mms_dist.language_model.text_sources import find_sources
from mms_dist.language_model.units import UNITS, Unit
from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.text_rules import RuleOptions
from tests.corpus import build_toy_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("lm"), languages=2, train=12, dev=3)


def said(shards: Path, language: str, split: str) -> list[str]:
    index = ShardIndex.load(str(shards))
    return list(transcripts(ShardReader(index), index.language(language), split))


def test_transcripts_are_read_without_their_audio(shards: Path) -> None:
    index = ShardIndex.load(str(shards))
    reader = ShardReader(index)
    for split, count in (("train", 12), ("dev", 3)):
        expected = [reader.read("taa", split, row).text for row in range(count)]
        assert said(shards, "taa", split) == expected


@pytest.mark.parametrize("unit", UNITS)
def test_a_model_is_that_of_the_training_transcripts(shards: Path, tmp_path: Path, unit: Unit) -> None:
    settings = ModelSettings(order=3, unit=unit, entropy=0.0)
    built = build_language_model("taa", TextSources(str(shards)), settings, tmp_path)
    expected = train(said(shards, "taa", "train"), 3, unit)
    dev = said(shards, "taa", "dev")
    assert built.sentences == 12 and built.dev == perplexity(expected, dev)
    for name in ("lm.arpa.gz", "lm.safetensors"):
        model = load_model(tmp_path / "taa" / name)
        assert model.unit == unit
        assert perplexity(model, dev).perplexity == pytest.approx(perplexity(expected, dev).perplexity, rel=1e-5)
        assert (tmp_path / "taa" / name).stat().st_mode & 0o044, "others can read it"
    facts = json.loads((tmp_path / "taa" / "lm.json").read_text(encoding="utf-8"))
    assert facts["dev"]["perplexity"] == built.dev.perplexity and facts["made_from"]["shards"] == str(shards)


def test_lines_are_normalised_counted_or_held_out(shards: Path, tmp_path: Path) -> None:
    dev = said(shards, "taa", "dev")[0]
    path = tmp_path / "taa.txt.gz"
    path.write_bytes(gzip.compress(f"\ufeffBad, cab!\n\n{dev.upper()}.\nnoise [laughs]\n".encode()))
    built = build_language_model("taa", TextSources(str(shards), (path,)), ModelSettings(), tmp_path)
    assert built.sentences == 13
    assert "cab" in load_model(tmp_path / "taa" / "lm.safetensors").words
    assert {reason: entry["count"] for reason, entry in built.left_out.items()} == {
        "text_in_other_split": 1,
        "markup": 1,
    }
    assert built.left_out["markup"]["examples"][0].startswith(f"{path}:4: ")


def test_the_rules_of_the_corpus_are_those_of_its_lines(shards: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("default: {replace: {x: ab}}\n")
    (tmp_path / "taa.txt").write_text("xx\n")
    sources = TextSources(None, (tmp_path / "taa.txt",), RuleOptions(rules))
    build_language_model("taa", sources, ModelSettings(order=1), tmp_path)
    assert "abab" in load_model(tmp_path / "taa" / "lm.arpa.gz").words


def test_a_file_that_is_not_utf8_or_cut_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "taa.txt").write_bytes("ok\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8") as caught:
        build_language_model("taa", TextSources(None, (tmp_path / "taa.txt",)), ModelSettings(), tmp_path)
    assert caught.value.fix and f"iconv -f … -t utf-8 {tmp_path / 'taa.txt'}" in caught.value.fix
    (tmp_path / "taa.txt").write_bytes(gzip.compress(b"words\n" * 99)[:-9])
    with pytest.raises(DataError, match="cut off or damaged"):
        build_language_model("taa", TextSources(None, (tmp_path / "taa.txt",)), ModelSettings(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taa.txt"]


def test_sources_are_sorted_by_language(shards: Path, tmp_path: Path) -> None:
    for name in ("taa.txt", "taa.news.txt", "ron.txt", "wiki.txt"):
        (tmp_path / name).write_text("a\n")
    text = {name: tmp_path / name for name in ("taa.txt", "taa.news.txt", "ron.txt", "wiki.txt")}
    places = [str(shards), *(str(text[name]) for name in ("taa.txt", "taa.news.txt", "ron.txt"))]
    found = find_sources(places)
    assert found.default_folder == shards
    assert found.languages == {
        "ron": TextSources(None, (text["ron.txt"],)),
        "taa": TextSources(str(shards), (text["taa.txt"], text["taa.news.txt"])),
        "tab": TextSources(str(shards)),
    }
    assert list(find_sources([str(text["wiki.txt"])], ["ron"]).languages) == ["ron"]
    with pytest.raises(DataError, match="does not say its language"):
        find_sources([str(text["wiki.txt"])])
    with pytest.raises(DataError, match="no text of ita, only of ron"):
        find_sources([str(text["ron.txt"])], ["ita", "ron"])
    with pytest.raises(ShardsError, match="no shards of language 'tac'"):
        find_sources([str(shards)], ["tac"])
    with pytest.raises(DataError, match="2 folders of shards"):
        find_sources([str(shards), str(tmp_path)])


def test_settings_are_checked_before_work() -> None:
    for wrong in (ModelSettings(order=7), ModelSettings(cutoffs=(1, 1)), ModelSettings(cutoffs=(0, 2, 1))):
        with pytest.raises(DataError):
            wrong.check()

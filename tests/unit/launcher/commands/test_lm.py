"""`mms-dist lm build` makes a model for every language, or says before any work what is wrong."""

import json
from pathlib import Path

import pytest

from launcher.cli import main
from mms_dist.language_model.loading import load_model
from tests.corpus import build_toy_shards


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return build_toy_shards(tmp_path, languages=2, train=8, dev=2)


def test_every_language_gets_a_model_beside_its_shards(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lm", "build", str(shards), "--unit", "char", "--order", "3"]) == 0
    shown = capsys.readouterr().out
    for language in ("taa", "tab"):
        model = load_model(shards / language / "lm.safetensors")
        assert (model.unit, model.language) == ("char", language) and language in shown
    assert "perplexity on dev" in shown
    assert main(["shards", "verify", str(shards)]) == 0, "the models do not disturb the shards"


def test_a_dry_run_writes_nothing(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(shards.rglob("*"))
    assert main(["lm", "build", str(shards), "--dry-run"]) == 0
    assert f"train transcripts of {shards}" in capsys.readouterr().out
    assert sorted(shards.rglob("*")) == before


def test_results_can_be_read_by_programs(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["lm", "build", str(shards), "--lang", "tab", "--to", str(tmp_path / "lm"), "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [model["language"] for model in models] == ["tab"] and models[0]["dev"]["perplexity"] > 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--order", "9"], "the order of a language model is 9, expected 1 … 6"),
        (["--lang", "tac"], "did you mean 'tab'?"),
        (["--prune", "1", "0"], "the count cut-offs are 1 0"),
        (["none.txt"], "none.txt does not exist"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    shards: Path, flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lm", "build", str(shards), *flags]) == 2
    assert expected in capsys.readouterr().err
    assert not list(shards.rglob("lm.*"))


def test_a_language_that_fails_is_named_and_the_others_are_made(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "tac.txt"
    empty.write_text("\n")
    assert main(["lm", "build", str(shards), str(empty)]) == 1
    assert "no model for tac: the language model's text has no sentence" in capsys.readouterr().err
    assert (shards / "taa" / "lm.arpa.gz").is_file() and not (shards / "tac").exists()


def test_text_in_another_script_is_refused_before_any_work(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "tab.txt"
    text.write_text("это другой язык\n", encoding="utf-8")
    assert main(["lm", "build", str(shards), str(text)]) == 2
    assert f"{text}: 3 of 3 words (100.0%) cannot be spelled" in capsys.readouterr().err
    assert not list(shards.rglob("lm.*")), "not even of the other language"


def test_words_that_cannot_be_spelled_are_counted_and_said(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    word = (shards / "taa" / "vocab.json").read_text(encoding="utf-8").split('"')[-2]
    text = tmp_path / "taa.txt"
    text.write_text(f"{word} {word}{word} {word} язык\n", encoding="utf-8")
    build = ["lm", "build", str(shards), str(text), "--lang", "taa"]
    assert main(build) == 0
    assert f"{text}: 1 of 4 words (25.0%) cannot be spelled with the vocabulary of taa" in capsys.readouterr().out
    assert main([*build, "--json"]) == 0
    (spelling,) = json.loads(capsys.readouterr().out)["models"][0]["spellings"]
    assert (spelling["unspelled"], spelling["total"]) == (1, 4)


def test_models_are_not_written_to_a_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lm", "build", "s3://bucket/corpus"]) == 2
    shown = capsys.readouterr().err
    assert "language models are read from folders on this machine" in shown and "--to FOLDER" in shown


def test_text_alone_needs_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ron.txt").write_text("un text\n")
    assert main(["lm", "build", str(tmp_path / "ron.txt")]) == 2
    assert "--to FOLDER" in capsys.readouterr().err

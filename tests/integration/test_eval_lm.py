"""`mms-dist eval --lm` searches, shows greedy decoding beside it, and keeps what it tuned for a run and a model."""

import json
from pathlib import Path
from typing import Any

import pytest

from launcher.cli import main
from mms_dist import evaluate, export
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.emissions.acoustic_model import load_acoustic_model
from mms_dist.language_model.arpa import write_arpa
from mms_dist.language_model.kneser_ney import train as train_model
from mms_dist.run_directory.tuned_weights import TunedWeights
from mms_dist.transcription.searches import choose_searches, not_tuned
from tests.corpus import build_toy_shards
from tests.training import toy_config, train


@pytest.fixture(scope="module")
def run(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two languages, whose shards have language models, with beam search during training."""
    folder = tmp_path_factory.mktemp("lm")
    shards = build_toy_shards(folder, languages=2, train=12, dev=4)
    assert main(["lm", "build", str(shards), "--unit", "char", "--order", "3"]) == 0
    searching = {"decoder": "beam_search", "language_model": str(shards), "beam_width": 8, "every_steps": 60}
    config = toy_config(folder / "run", small_base, shards, optim={"steps": 60}, evaluation=searching)
    assert train(config) == "finished"
    return folder / "run"


def scored(run: Path, tmp_path: Path, *flags: str) -> dict[str, Any]:
    output = tmp_path / "scores.json"
    assert main(["eval", str(run), "--split", "dev", "--output", str(output), *flags]) == 0
    return dict(json.loads(output.read_text(encoding="utf-8")))


def test_training_stops_by_what_beam_search_gives(run: Path, tmp_path: Path) -> None:
    with CheckpointStore(run / "adapters", keep=1) as store:
        best = store.load("taa", pointer="last").state["best"]["cer"]
    values = scored(run, tmp_path, "--processes", "1")
    assert values["languages"]["taa"]["decoder"]["name"] == "beam_search"
    assert values["languages"]["taa"]["cer"] == best


def test_greedy_scores_stand_beside_and_are_those_of_greedy_decoding(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    said = tmp_path / "said.tsv"
    with_lm = scored(run, tmp_path, "--lm", str(run.parent / "shards"), "--transcripts", str(said))
    assert "greedy CER %" in capsys.readouterr().out
    assert said.read_text().splitlines()[0] == "language\tkey\treference\thypothesis\trow\tgreedy"
    greedy = scored(run, tmp_path, "--evaluation.decoder", "greedy", "--transcripts", str(said))
    assert said.read_text().splitlines()[0] == "language\tkey\treference\thypothesis\trow"
    for language, values in with_lm["languages"].items():
        plain = greedy["languages"][language]
        assert values["greedy"] == {name: plain[name] for name in values["greedy"]}
        assert plain["decoder"] == {"name": "greedy"}
    assert with_lm["greedy_mean"] == greedy["mean"]


def test_tuned_weights_are_kept_for_a_run_its_export_and_a_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = str(run.parent / "shards")
    tuned = scored(run, tmp_path, "--lm", models, "--tune", "--processes", "2")["languages"]["taa"]
    kept = json.loads((run / "eval" / "tuned.json").read_text())["languages"]["taa"]
    assert (tuned["decoder"]["alpha"], tuned["decoder"]["beta"]) == (kept["alpha"], kept["beta"])
    assert kept["wer"] <= kept["greedy_wer"] == tuned["greedy"]["wer"]
    again = scored(run, tmp_path, "--lm", models)["languages"]["taa"]
    assert again["decoder"] == tuned["decoder"] and again["wer"] == tuned["wer"]
    given = scored(run, tmp_path, "--lm", models, "--evaluation.lm_alpha", "0.25")["languages"]["taa"]["decoder"]
    assert (given["alpha"], given["tuned"]) == (0.25, None)
    export(run, tmp_path / "exported")
    for place in (run, tmp_path / "exported"):
        model = load_acoustic_model(str(place), ["taa"])
        search = choose_searches(model, models, tuned=TunedWeights.beside(place))["taa"]
        assert search and (search.alpha, search.beta) == (kept["alpha"], kept["beta"])
        assert not_tuned({"taa": search}, TunedWeights.beside(place)) == []
    usual = choose_searches(model, models)
    assert not_tuned(usual, TunedWeights.beside(tmp_path)) == ["taa"]
    write_arpa(train_model(["abc def"], 2, "char"), tmp_path / "taa.arpa")
    other = scored(run, tmp_path, "--lm", str(tmp_path / "taa.arpa"), "--languages", "taa")["languages"]["taa"]
    assert other["decoder"]["tuned"] is None


def test_a_model_that_knows_nothing_of_the_language_is_pointed_out(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_arpa(train_model(["fa fe de"] * 3, 2), tmp_path / "lm.arpa")
    found = evaluate(run, lm=tmp_path / "lm.arpa", languages=["taa"])["taa"].searched
    assert found and found.note and "lacks" in found.note and "is it one of taa?" in found.note


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--lm", "none"], "the language model none does not exist"),
        (["--lm", "."], "has no language model of taa"),
        (["--lm", "s3://bucket/corpus"], "s3://bucket/corpus is not a file or folder, and language models are read"),
        (["--tune", "--evaluation.decoder", "greedy"], "there are no weights to tune"),
    ],
)
def test_what_is_wrong_ends_with_2_before_any_work(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", str(run), "--split", "dev", *flags]) == 2
    assert expected in capsys.readouterr().err


def test_a_model_of_another_script_ends_with_2_before_others_are_scored(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_arpa(train_model(["abc def"], 2, "char"), tmp_path / "taa.arpa")
    write_arpa(train_model(["это другой язык"], 2), tmp_path / "tab.arpa")
    scores = tmp_path / "scores.json"
    assert main(["eval", str(run), "--split", "dev", "--lm", str(tmp_path), "--output", str(scores)]) == 2
    shown = capsys.readouterr()
    assert "only 0% of the language model's words can be written with the characters of tab" in shown.err
    assert "taa" not in shown.out and not scores.exists()

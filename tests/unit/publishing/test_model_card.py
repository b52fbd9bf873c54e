"""The model card is one that the Hub accepts, and says what is known of each language."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from mms_dist.config import parse_config
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.publishing.card_facts import bcp47_tag, gather_facts, hub_language
from mms_dist.publishing.exported_language import ExportedLanguage
from mms_dist.publishing.model_card import base_licence, model_card
from mms_dist.usage_programs import transformers_usage
from shards.language_table import language_table
from tests.corpus import toy_languages
from tests.layouts.hub_uploads import card_errors
from tests.report_samples import write_evaluation, write_shards

STEP = 4_000


def exported(code: str, step: int = STEP, **changes: object) -> ExportedLanguage:
    values: dict = {"pointer": "best", "cer": 0.2, "wer": 0.5, "audio_seconds": 7_200.0, "vocabulary_size": 30}
    return ExportedLanguage(language=code, step=step, bytes=1, **(values | changes))


def card_of(facts: object) -> ModelCard:
    text = model_card(facts, usage=transformers_usage("me/five", "ron", "ita"))  # type: ignore[arg-type]
    assert card_errors(text) == []
    return ModelCard(text)


def facts_of(items: list[ExportedLanguage], run: Path, shards: Path | None = None, **changes: object) -> object:
    config = parse_config({"data": {"shards": str(shards or run / "nowhere")}})
    options: dict = {"base": "facebook/mms-300m", "licence": "cc-by-nc-4.0", "dim": 16}
    return gather_facts(run, config, items, **(options | changes))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A run with scores of test, greedy and with a language model, its shards, and its languages."""
    folder, codes = tmp_path_factory.mktemp("evaluated"), toy_languages(3)
    shards = write_shards(folder, codes)
    (folder / "run").mkdir()
    write_evaluation(folder / "run", shards, codes, language_model=True)
    return folder / "run", shards, codes


def test_every_language_of_mms_and_iso_has_a_code_that_the_hub_accepts() -> None:
    codes = [hub_language(language.code) for language in language_table()]
    assert [code for code in codes if code is None or not re.fullmatch("[a-z]{2,3}", code)] == []
    assert hub_language("ron") == "ro" and hub_language("taa") == "taa"
    assert (hub_language("srp-script_latin"), bcp47_tag("srp-script_latin")) == ("sr", "sr-Latn")
    assert hub_language("qaa") is None and bcp47_tag("ron") is None


def test_results_return_from_the_hubs_parser_with_their_intervals(evaluated: tuple[Path, Path, list[str]]) -> None:
    run, shards, codes = evaluated
    items = [exported(code, step=_step(run, code)) for code in codes]
    card = card_of(facts_of(items, run, shards, dataset="me/corpus"))
    results = card.data.eval_results
    assert results is not None
    of_test = {(each.dataset_config, each.metric_type): each for each in results if each.dataset_split == "test"}
    assert set(of_test) == {(code, metric) for code in codes for metric in ("cer", "wer")}
    stored = _stored(run, codes[0])
    found = of_test[codes[0], "cer"]
    assert found.metric_value == round(100 * stored["greedy"]["cer"], 2), "of greedy decoding, without the model"
    low, high = (round(100 * stored["greedy"][name], 2) for name in ("cer_low", "cer_high"))
    assert found.metric_args == {"utterances": stored["utterances"], "confidence_interval_95": [low, high]}
    of_dev = [each for each in results if each.dataset_split == "dev"]
    assert [each.metric_value for each in of_dev[:2]] == [20.0, 50.0] and of_dev[0].metric_args is None
    assert {each.dataset_type for each in results} == {"me/corpus"} and card.data.datasets == ["me/corpus"]
    assert card.data.base_model == "facebook/mms-300m" and card.data.license == "cc-by-nc-4.0"
    assert "CER with a language model" in card.text and "| 60 utterances" not in card.text
    assert re.search(rf"\| {codes[0]} \| [\d.]+ min, \d+ utterances", card.text), "hours of the shards"


def test_scores_of_other_weights_are_not_given(evaluated: tuple[Path, Path, list[str]]) -> None:
    run, shards, codes = evaluated
    card = card_of(facts_of([exported(codes[0], step=7, cer=None, wer=None)], run, shards))
    assert card.data.eval_results is None
    assert f"These weights were not evaluated: `{codes[0]}`" in card.text


def test_a_card_without_shards_and_with_local_codes_is_still_accepted(tmp_path: Path) -> None:
    items = [exported("qaa"), exported("srp-script_latin", quarantined="since step 9 (too loud)")]
    card = card_of(facts_of(items, tmp_path, base="my-base", licence=None))
    assert card.data.language == ["sr"] and card.data.to_dict()["language_bcp47"] == ["sr-Latn"]
    assert card.data.license is None and card.data.base_model is None
    for said in (
        "no index could be read",
        "**srp-script_latin** is in quarantine since step 9",
        "The Hub has no code for `qaa`",
        "licence was not found",
        str(tmp_path.name),
    )[:-1]:
        assert said in card.text
    assert str(tmp_path) not in str(card)


def test_limits_follow_from_what_is_known(evaluated: tuple[Path, Path, list[str]]) -> None:
    run, shards, codes = evaluated
    items = [exported(codes[0], cer=0.05, step=1), exported(codes[1], cer=0.6, step=1)]
    text = card_of(facts_of(items, run, shards)).text
    assert f"too wrong to use as they are** (CER above 25 %): `{codes[1]}`." in text
    several = card_of(facts_of([exported(code, step=1) for code in codes], run)).text
    assert "single speaker" not in several, "nothing is known of the speakers"


def test_what_the_scores_ignore_is_said(evaluated: tuple[Path, Path, list[str]], tmp_path: Path) -> None:
    run, shards, codes = evaluated
    content = json.loads((run / "eval" / "test.json").read_text())
    content["languages"][codes[0]]["scoring"] = ScoringRules(case=False, punctuation=False).as_dict()
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "test.json").write_text(json.dumps(content))
    card = card_of(facts_of([exported(code, step=_step(run, code)) for code in codes], tmp_path, shards))
    assert f"Scores of test do not count case and punctuation as errors: `{codes[0]}`." in card.text
    args = [(each.metric_args or {}).get("ignored") for each in card.data.eval_results or []]
    assert args.count(["case", "punctuation"]) == 2 and args.count(None) == len(args) - 2


def test_licences_come_from_the_bases_card_or_its_name(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text('---\nlicense: "MIT"\n---\n')
    assert base_licence(str(tmp_path), "mine") == "mit"
    assert base_licence("facebook/mms-1b-all", "facebook/mms-1b-all") == "cc-by-nc-4.0"
    assert base_licence("/nowhere/tiny_mms", "tiny-mms") == "apache-2.0"
    assert base_licence("/nowhere/x", "x") is None


def _stored(run: Path, code: str) -> dict:
    content: dict = json.loads((run / "eval" / "test.json").read_text())["languages"][code]
    return content


def _step(run: Path, code: str) -> int:
    step: int = _stored(run, code)["step"]
    return step

"""The page is one file that is valid, small and complete, whatever the run holds."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mms_dist.errors import MmsDistError
from mms_dist.evaluation.scoring_rules import ScoringRules
from mms_dist.report.collect import collect
from mms_dist.report.comparison import compare
from mms_dist.report.page import comparison_page, outer_spaces, page
from mms_dist.usage_programs import transformers_program, transformers_usage
from tests.report_samples import write_run

VOID = {"meta", "link", "input", "br", "hr", "img"}
SVG_LEAVES = {"path"}
HOSTILE = "</script><script>alert(1)</script>&amp;\"'<b>"


class Document(HTMLParser):
    """Checks nesting, and gathers ids, links, labels and whatever the page would load."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.loaded: set[str] = set()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if values.get("href", "").startswith("#"):
            self.targets.add(values["href"][1:])
        self.loaded |= {values[name].split(":")[0] for name in ("src", "href") if values.get(name, "#")[0] != "#"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_LEAVES, tag
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(text: str) -> Document:
    """Assert what holds for every page, and return it parsed."""
    found = Document(text)
    assert len(found.ids) == len(set(found.ids)) and found.targets <= set(found.ids)
    assert found.loaded <= {"data"} and "@import" not in text and "url(" not in text
    assert "http://" not in text and "https://" not in text
    return found


def test_the_page_of_a_finished_run_has_every_part(run: Path) -> None:
    report = collect(run)
    found = check(page(report))
    said = " ".join(found.text)
    for part in (
        "In short",
        "What explains the errors",
        "Learning curves",
        "Training audio against error",
        "Where it fails",
        "Character errors",
        "Confused words",
        "Left out of the shards, and why",
        "Where it went",
        "Settings and versions",
        "Use the adapters",
        "longer than --max-seconds",
    ):
        assert part in said, part
    assert found.tags.count("audio") == report.utterance_count > 5
    assert " ".join(said.split()).count("To add this, run") == 1 and "--tune" in said, "scores with a language model"


def test_the_page_of_a_run_in_progress_says_what_is_missing(run_in_progress: Path) -> None:
    said = " ".join(" ".join(check(page(collect(run_in_progress))).text).split())
    assert f"To add this, run mms-dist eval {run_in_progress} --split test" in said
    assert "2 training, 2 waiting" in said and "2 not scored" in said


def test_a_run_without_a_round_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    check(page(collect(tmp_path)))


def test_language_model_and_conditions_are_drawn_where_there_are_scores(tmp_path: Path) -> None:
    run = write_run(tmp_path, languages=3, language_model=True, conditions=True)
    report = collect(run)
    said = " ".join(" ".join(check(page(report)).text).split())
    assert "Greedy decoding against the language model" in said
    assert "test CER % with LM test CER % greedy test WER % with LM test WER % greedy dev CER % in training" in said
    for item in report.languages:
        assert item.greedy is not None and item.scores is not None
        assert f"{100 * item.greedy.wer:.1f}" in said and f"{100 * item.scores.wer:.1f}" in said
    assert "the test scores of this page are of beam search decoding with a language model" in said
    assert report.mean_greedy[0] is not None
    assert f"This program decodes greedily: the mean test CER is then {100 * report.mean_greedy[0]:.1f} %" in said
    assert "Robustness" in said and "telephone" in said and "speed:0.9" in said


def test_the_interval_of_a_condition_is_shown_where_it_is_stored(tmp_path: Path) -> None:
    run = write_run(tmp_path, languages=2, conditions=True)
    path = run / "eval" / "test.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change = {"cer": 0.3, "cer_low": 0.123, "cer_high": 0.456, "wer": 0.0, "wer_low": 0.0, "wer_high": 0.0}
    values["conditions"]["telephone"]["change"] = change
    path.write_text(json.dumps(values), encoding="utf-8")
    text = page(collect(run, audio_bytes=0))
    assert "+12.3 … +45.6" in text and text.count('class="change-interval"') == len(values["conditions"])
    del values["conditions"]  # as evaluations before there were intervals
    path.write_text(json.dumps(values), encoding="utf-8")
    text = page(collect(run, audio_bytes=0))
    assert "telephone" in text and 'class="change-interval"' not in text and " … +" not in text


def test_the_program_of_the_page_is_that_of_the_exports_readme(run: Path) -> None:
    program = transformers_program(f"{run}/export", "taa")
    assert program in "".join(check(page(collect(run, audio_bytes=0))).text)
    assert program in transformers_usage(f"{run}/export", "taa", "taa")


def test_texts_of_the_run_are_shown_and_never_become_markup(run: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(run, tmp_path / "own"))
    path = own / "eval" / "test.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("alpha", HOSTILE), encoding="utf-8")
    status = json.loads((own / "status.json").read_text(encoding="utf-8"))
    (own / "status.json").write_text(json.dumps(status | {"state": "failed", "reason": HOSTILE}), encoding="utf-8")
    text = page(collect(own))
    found = check(text)
    assert found.tags.count("script") == 1
    assert HOSTILE in "".join(found.text) and "<script>alert" not in text


def test_other_models_are_shown_beside_the_run(run: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(run, tmp_path / "own"))
    path = own / "eval" / "test.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change = {"cer": -0.02, "cer_low": -0.03, "cer_high": -0.01, "wer": 0.0, "wer_low": -0.01, "wer_high": 0.01}
    other = {"cer": 0.12, "wer": 0.3, "change": change, "p": {"cer": 2 / 1001, "wer": 0.98}}
    compared = {"other": HOSTILE, "languages": {"taa": other}, "mean": other, "left_out": {"tab": "lacks"}}
    path.write_text(json.dumps(values | {"comparisons": [compared]}), encoding="utf-8")
    text = page(collect(own, audio_bytes=0))
    found = check(text)
    said = " ".join(found.text)
    assert "compared" in found.ids and "compared" not in check(page(collect(run, audio_bytes=0))).ids
    assert HOSTILE in said and "<script>alert" not in text and "Not compared: tab (lacks)." in said
    assert '<strong class="change">−2.0</strong>' in text and "0.98" in said


@pytest.mark.parametrize(("languages", "most_megabytes"), [(100, 5), (1_000, 15)])
def test_the_page_without_audio_is_small(languages: int, most_megabytes: float, tmp_path: Path) -> None:
    report = collect(write_run(tmp_path, languages=languages), audio_bytes=0)
    text = page(report)
    assert len(report.languages) == languages and report.utterance_count >= languages
    assert len(text.encode()) <= most_megabytes * 1e6
    check(text)


def test_runs_side_by_side_show_what_differs(run: Path, run_in_progress: Path) -> None:
    report = collect(run, audio_bytes=0)
    changed = [replace(each, value=0.01) if each.name == "optim.lr" else each for each in report.settings]
    comparison = compare([report, replace(report, settings=changed)])
    assert [(each.name, list(each.values)) for each in comparison.settings] == [("optim.lr", [5e-4, 0.01])]
    assert len(comparison.common) == 5 and comparison.mean(0) == report.mean_cer
    said = " ".join(check(comparison_page(comparison)).text)
    assert "2 runs side by side" in said and "optim.lr" in said and "not scored on the same split" not in said
    assert "scored with different" not in said
    reports = [replace(each, decoding="beam search", rules=ScoringRules(case=False)) for each in report.languages]
    other = replace(report, languages=reports, data=replace(report.data, shards="elsewhere"))
    said = " ".join(check(comparison_page(compare([report, other]))).text)
    assert "scored with different decoders and scoring rules and shards" in said and "elsewhere" in said
    unlike = compare([report, collect(run_in_progress)])
    assert "not scored on the same split" in " ".join(check(comparison_page(unlike)).text)
    assert [each.language for each in unlike.languages if None in each.reports] == ["taf"]


@pytest.mark.parametrize(("text", "kept"), [(" a b  ", "_a b__"), ("  ", "__"), ("", ""), ("ab", "ab")])
def test_spaces_at_the_ends_of_a_difference_are_kept(text: str, kept: str) -> None:
    assert outer_spaces(text).replace("\u00a0", "_") == kept


def test_too_many_runs_are_refused(run: Path) -> None:
    with pytest.raises(MmsDistError, match="found 27 runs, expected at most 26"):
        compare([collect(run, audio_bytes=0)] * 27)


def test_the_script_knows_the_elements_that_it_asks_for(run: Path) -> None:
    text = page(collect(run, audio_bytes=0))
    script = text.rpartition("<script>")[2]
    asked = set(re.findall(r'getElementById\("([\w-]+)"\)', script))
    assert asked - set(Document(text).ids) == {"all"}, "the button of runs with more languages than are listed"

"""What a report takes from the files of a run."""

import json
import shutil
from pathlib import Path

import pytest

from mms_dist.config import load_config
from mms_dist.errors import DataError
from mms_dist.report.collect import collect
from mms_dist.report.page import page
from mms_dist.report.run_report import Grade
from tests.corpus import toy_languages

MIB = 2**20


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "own"))


def test_scores_progress_and_data_of_a_language_come_together(run: Path) -> None:
    report = collect(run)
    assert [each.language for each in report.languages] == toy_languages(5)
    worst = report.languages[-1]
    stored = json.loads((run / "eval" / "test.json").read_text(encoding="utf-8"))["languages"]["tae"]
    assert worst.scores is not None and worst.cer == worst.scores.cer == stored["cer"]
    assert worst.grade is Grade.POOR and report.languages[0].grade is Grade.GOOD
    assert worst.train_seconds == pytest.approx(720) and worst.settings == {"optim.lr": 1e-4}
    assert worst.data is not None and worst.data.dropped_count == 4 and worst.confusions.characters
    assert report.data.dropped[0].reason == "too_long" and report.data.dropped[0].languages == 4
    assert {"torch", "mms-dist"} <= report.versions.keys()
    assert [each.name for each in report.settings if each.changed] == ["run.directory", "data.shards", "optim.lr"]


def test_what_explains_an_error_rate_is_said(run: Path) -> None:
    report = collect(run)
    kinds = [finding.kind for finding in report.languages[-1].findings]
    assert "Less than an hour of training audio" in kinds and "Still improving when training ended" in kinds
    assert report.languages[0].findings == []
    said = {line.text: list(line.languages) for line in [*report.summary, *report.explanations]}
    assert said["Less than an hour of training audio"] == ["tae", "tad"]
    grades = [line for line in said if line.startswith(("Good", "Fair", "Poor"))]
    assert [said[line] for line in grades] == [["taa", "tab", "tac"], ["tad"], ["tae"]]
    assert grades[-1] == "Poor (above 25 %)" and any(
        line.startswith("The base tiny-mms is a small one") for line in said
    )


def test_audio_stays_inside_its_budget_and_starts_with_the_worst(run: Path) -> None:
    whole = collect(run, audio_bytes=MIB)
    assert whole.audio_count == whole.utterance_count and whole.audio_problem is None
    first = whole.languages[-1].utterances[0]
    assert first.audio is not None and first.choice == "worst"
    few = collect(run, audio_bytes=len(first.audio.content))
    assert few.audio_count == 1 and few.languages[-1].utterances[0].audio == first.audio
    assert collect(run, audio_bytes=0).audio_count == 0


def test_a_run_in_progress_has_a_report(run_in_progress: Path) -> None:
    report = collect(run_in_progress)
    assert report.status.state == "running" and report.scored is None and report.split == "dev"
    assert [each.history.state for each in report.languages].count("waiting") == 2
    assert [each.grade for each in report.languages][-1] is Grade.UNKNOWN
    assert report.languages[0].cer == report.languages[0].dev_cer


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.yaml", "hardware.json", "status.json", "eval"])
def test_a_missing_file_leaves_its_part_out(own: Path, name: str) -> None:
    path = own / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    report = collect(own)
    assert len(report.languages) == 5
    assert (report.timing is None) == (name == "metrics.jsonl")
    assert (report.settings_problem is not None) == (name == "config.yaml")


def test_shards_that_are_gone_are_named_and_the_rest_is_shown(own: Path) -> None:
    config = own / "config.yaml"
    text = config.read_text(encoding="utf-8")
    shards = next(line.split()[-1] for line in text.splitlines() if "shards:" in line)
    config.write_text(text.replace(shards, "/nowhere/shards"), encoding="utf-8")
    report = collect(own)
    assert report.data.problem and "/nowhere/shards" in report.data.problem
    assert report.audio_count == 0 and report.audio_problem and report.utterance_count


def test_a_language_without_shards_leaves_the_others_their_data(own: Path, tmp_path: Path) -> None:
    config = own / "config.yaml"
    text = config.read_text(encoding="utf-8")
    shards = Path(next(line.split()[-1] for line in text.splitlines() if "shards:" in line))
    shutil.copytree(shards, tmp_path / "some", ignore=lambda folder, names: {"taa"} & set(names))
    config.write_text(text.replace(str(shards), str(tmp_path / "some")), encoding="utf-8")
    report = collect(own)
    assert report.data.problem and "taa" in report.data.problem
    assert sorted(report.data.languages) == ["tab", "tac", "tad", "tae"]


def test_audio_of_changed_shards_is_not_played_under_the_wrong_text(own: Path) -> None:
    path = own / "eval" / "test.tsv"
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([lines[0], *(line.replace("clip", "other") for line in lines[1:])]), encoding="utf-8")
    report = collect(own)
    assert report.audio_count == 0 and "have changed since the evaluation" in (report.audio_problem or "")


@pytest.mark.parametrize("content", ["", "[]", '{"languages": {"taa": {"cer": "high"}}}', '{"languages": 3}'])
def test_scores_that_are_none_are_an_error_with_a_fix(own: Path, content: str) -> None:
    (own / "eval" / "test.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"test\.json does not have the scores of a split.*--split test again"):
        collect(own)


def test_conditions_and_greedy_scores_are_read_where_they_are(own: Path) -> None:
    path = own / "eval" / "test.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    own_scores = dict(values["languages"]["tab"])
    values["languages"]["tab"] |= {"greedy": own_scores, "conditions": {"noise:10": own_scores}}
    path.write_text(json.dumps(values), encoding="utf-8")
    report = collect(own)
    assert (
        [each.language for each in report.with_greedy] == ["tab"] == [each.language for each in report.with_conditions]
    )
    assert report.with_conditions[0].conditions["noise:10"] == report.with_conditions[0].scores


def test_where_it_fails_is_read_and_confusions_counted_if_need_be(run: Path, own: Path) -> None:
    path = own / "eval" / "test.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for entry in values["languages"].values():
        del entry["confusions"], entry["by"]
    path.write_text(json.dumps(values), encoding="utf-8")
    stored, earlier = collect(run, audio_bytes=0), collect(own, audio_bytes=0)
    assert set(stored.failing) == {"speaker", "tag"} and earlier.failing == {}
    assert {row.name for row in stored.failing["speaker"]} == {"speaker 0", "speaker 1", "speaker 2"}
    for before, after in zip(stored.languages, earlier.languages, strict=True):
        assert before.confusions == after.confusions and not after.worst_groups
        assert all(each.change > 0 for each in before.worst_groups)


def test_the_balance_of_a_language_is_shown_with_its_data(own: Path) -> None:
    assert collect(own).data.balanced == []
    path = own / "config.yaml"
    config = load_config(path, ["--languages.taa.balance.by", "speaker", "--languages.taa.balance.cap_seconds", "9"])
    path.write_text(config.to_yaml(), encoding="utf-8")
    report = collect(own)
    (line,) = report.data.balanced
    assert line.startswith("taa: 3 by speaker; an epoch has ") and "the largest group 35% of an epoch" in line
    assert line in page(report)

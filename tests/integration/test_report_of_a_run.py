"""The report page of a run that was trained and scored here."""

from pathlib import Path

import pytest
import yaml

from launcher.cli import main
from mms_dist.report.collect import collect
from tests.corpus import build_toy_shards


@pytest.fixture(scope="module")
def run(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    shards = build_toy_shards(folder, languages=2, train=8, dev=3)
    values = {
        "run": {"directory": str(folder / "run")},
        "model": {"base": str(small_base)},
        "data": {"shards": str(shards), "workers": 0},
        "optim": {"lr": 1e-3, "steps": 4, "warmup_steps": 0, "batch_seconds": 4.0},
        "evaluation": {"every_steps": 2},
        "checkpoint": {"every_rounds": 1},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", str(path)]) == 0
    return folder / "run"


def test_training_and_evaluation_leave_what_a_report_shows(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = collect(run)
    assert before.scored is None and before.timing is not None and before.timing.rounds == 4
    assert before.versions["mms-dist"] and before.versions["torch"]
    assert [len(each.history.curve) for each in before.languages] == [3, 3]
    assert main(["eval", str(run), "--split", "dev"]) == 0
    assert f"transcripts: {run}/eval/dev.tsv" in capsys.readouterr().out
    after = collect(run)
    assert after.scored is not None and after.scored.decoding == "greedy decoding" and after.split == "dev"
    assert after.audio_count == after.utterance_count == 6 and after.audio_problem is None
    for language in after.languages:
        assert language.scores is not None and language.cer == language.dev_cer
        assert {each.reference for each in language.utterances} and language.data is not None


def test_the_page_is_written_into_the_run_and_changes_nothing_else(run: Path) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "report.html"}

    before = files()
    assert main(["report", str(run), "--html"]) == 0
    assert files().keys() == before.keys() and (run / "report.html").stat().st_size > 20_000
    assert {path for path, time in files().items() if time != before[path]} <= {run}

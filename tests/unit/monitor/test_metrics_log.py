"""`RUN/metrics.jsonl` tells how a run goes, over kills and resumes, and stays small."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from mms_dist.errors import TrainingError
from mms_dist.monitor import metrics_log
from mms_dist.monitor.metrics_log import EVERY_SECONDS, read_metrics
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.reports import EvaluationReport
from tests.monitor_samples import Clock, MetricsWriter, PlannedLanguage, Rates, a_round


def _lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _written_rounds(run: Path) -> list[int]:
    return [line["round"] for line in _lines(run)]


def test_a_line_tells_the_run_at_the_end_of_a_round(tmp_path: Path) -> None:
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl"), clock=Clock(1_000.0))
    writer.rounds(1, 20, between_seconds=2.0).close()
    last = _lines(tmp_path)[-1]
    assert (last["round"], last["rounds"], last["steps"], last["audio_seconds"]) == (20, 20, 40, 800.0)
    assert (last["active_languages"], last["waiting_languages"], last["finished_languages"]) == (2, 0, 0)
    assert (last["steps_per_second"], last["round_seconds"], last["audio_seconds_per_second"]) == (0.5, 2.0, 20.0)
    assert (last["longest_round_seconds"], last["longest_save_seconds"]) == (2.0, 0.1)
    assert (last["loss"], last["cer"], last["seconds"]) == (1.0, None, 80.0)
    assert last["padding_fraction"] == pytest.approx(1 / 41, rel=1e-5)
    assert datetime.fromisoformat(last["time"]) == datetime.fromtimestamp(1_080.0, UTC)


def test_error_rates_are_the_mean_of_the_newest_of_every_language(tmp_path: Path) -> None:
    with Monitor(tmp_path, languages=[PlannedLanguage("ita", 9), PlannedLanguage("ron", 9)], live=False) as monitor:
        for language, step, cer in (("ita", 0, 0.9), ("ita", 1, 0.5), ("ron", 0, 0.7)):
            monitor.evaluated(EvaluationReport(language, step, step, Rates(cer), True, []))
        monitor.round(a_round(1, "ita", "ron"))
    assert (_lines(tmp_path)[-1]["cer"], _lines(tmp_path)[-1]["wer"]) == (0.6, 0.9)


def test_a_line_is_written_every_few_seconds_and_at_both_ends(tmp_path: Path) -> None:
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 10)  # 2 s each
    assert EVERY_SECONDS == 5.0
    assert _written_rounds(tmp_path) == [1, 4, 7, 10]
    writer.rounds(11, 11).close()
    writer.close()
    assert _written_rounds(tmp_path) == [1, 4, 7, 10, 11]


def test_a_resumed_run_cuts_the_lines_it_trains_again(tmp_path: Path) -> None:
    MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 10)  # killed: a resume from round 5
    before = (tmp_path / "metrics.jsonl").read_bytes()
    resumed = MetricsWriter(str(tmp_path / "metrics.jsonl"))
    assert (tmp_path / "metrics.jsonl").read_bytes() == before  # until there is something new
    resumed.rounds(6, 12)
    assert _written_rounds(tmp_path) == [1, 4, 6, 9, 12]
    assert _lines(tmp_path)[-1]["rounds"] == 7
    MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 1)  # started over
    assert _written_rounds(tmp_path) == [1]


def test_a_torn_line_is_passed_over_and_then_removed(tmp_path: Path) -> None:
    MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 10)
    whole = (tmp_path / "metrics.jsonl").read_bytes()
    for torn in (b'{"time": "20', b'"\xff', whole.splitlines()[-1][:-1]):
        (tmp_path / "metrics.jsonl").write_bytes(whole + torn)
        metrics = read_metrics(tmp_path)
        assert metrics is not None
        assert metrics.round == 10
        MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(11, 11)
        assert _written_rounds(tmp_path) == [1, 4, 7, 10, 11]


def test_only_a_line_of_the_last_start_is_read(tmp_path: Path) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl"), clock=Clock(began.timestamp()))
    writer.rounds(1, 3).close()
    assert read_metrics(tmp_path, since=began) is not None
    assert read_metrics(tmp_path, since=began + timedelta(minutes=1)) is None
    assert read_metrics(tmp_path / "another") is None


def test_a_long_run_keeps_few_lines_spread_over_all_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_log, "MOST_LINES", 40)
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl"))
    longest = 0
    for number in range(1, 1_001):
        writer.round(a_round(number, "ita", seconds=EVERY_SECONDS))
        longest = max(longest, len(_written_rounds(tmp_path)))
        assert _written_rounds(tmp_path)[-1] == number  # the newest line always stays
    rounds = _written_rounds(tmp_path)
    assert longest <= 40
    assert rounds == sorted(rounds)
    assert max(later - earlier for earlier, later in pairwise([0, *rounds])) <= 8 * 1_000 / 40


def test_a_loss_that_is_not_finite_is_written_and_read(tmp_path: Path) -> None:
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl"), ("ron",))
    report = a_round(1, "ron")
    report.languages[0].loss = float("nan")
    writer.round(report)
    assert _lines(tmp_path)[-1]["loss"] == "nan"
    metrics = read_metrics(tmp_path)
    assert metrics is not None
    assert metrics.loss != metrics.loss


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 1)
    (line,) = _lines(tmp_path)
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line | {"new": 1}) + "\n")
    assert read_metrics(tmp_path) is not None


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(TrainingError, match=r"cannot write .*metrics\.jsonl"):
        MetricsWriter(str(tmp_path / "metrics.jsonl"))

"""Where the time of a run went, by its metrics."""

from dataclasses import replace
from pathlib import Path

import pytest

from mms_dist.monitor.metrics_log import RunMetrics, read_all_metrics
from mms_dist.report.timing import MOST_POINTS, timing_of
from tests.monitor_samples import MetricsWriter


@pytest.fixture
def lines(tmp_path: Path) -> list[RunMetrics]:
    writer = MetricsWriter(str(tmp_path / "metrics.jsonl")).rounds(1, 40)
    writer.close()
    return read_all_metrics(tmp_path)


def test_the_parts_add_up_to_the_time_of_the_run(lines: list[RunMetrics]) -> None:
    lines = [replace(line, evaluation_fraction=0.25, data_wait_fraction=0.1, save_fraction=0.05) for line in lines]
    timing = timing_of(lines)
    assert timing is not None
    assert timing.seconds == pytest.approx(lines[-1].seconds) and timing.rounds == 40
    assert sum(part.seconds for part in timing.parts) == pytest.approx(timing.seconds)
    training, evaluation, waiting, saving = (part.seconds / timing.seconds for part in timing.parts)
    assert evaluation == pytest.approx(0.25)
    assert (waiting, saving) == (pytest.approx(0.075), pytest.approx(0.0375)) and training == pytest.approx(0.6375)


def test_starts_of_a_run_add_up(lines: list[RunMetrics]) -> None:
    again = timing_of([*lines, *lines])
    once = timing_of(lines)
    assert again is not None and once is not None
    assert again.seconds == pytest.approx(2 * once.seconds) and again.rounds == 2 * once.rounds
    assert again.audio_seconds == pytest.approx(2 * once.audio_seconds)


def test_a_long_run_is_drawn_with_a_limited_number_of_points(lines: list[RunMetrics]) -> None:
    many = [replace(lines[-1], seconds=float(number), rounds=number, round=number) for number in range(1, 5_000)]
    timing = timing_of(many)
    assert timing is not None and len(timing.series) == MOST_POINTS
    assert timing.series[-1][0] == pytest.approx(timing.seconds)


def test_a_run_without_metrics_has_no_timing() -> None:
    assert timing_of([]) is None

"""Where the wall-clock time of a run went, from its metrics.

A line of the metrics covers the time since the line before it, or since its start. Its fractions are averages over the
last minute, so the parts are estimates; they add up to the whole.
"""

from collections.abc import Sequence

from mms_dist.monitor.metrics_log import RunMetrics
from mms_dist.report.run_report import TimePart, Timing

MOST_POINTS = 200


def timing_of(lines: Sequence[RunMetrics]) -> Timing | None:
    """Return the timing of a run; None if it has no metrics."""
    if not lines:
        return None
    total = audio = evaluating = waiting = saving = 0.0
    rounds = 0
    series = []
    before: RunMetrics | None = None
    for line in lines:
        same_start = before is not None and line.seconds >= before.seconds and line.rounds >= before.rounds
        seconds = line.seconds - before.seconds if before and same_start else line.seconds
        done = before.evaluation_fraction * before.seconds if before and same_start else 0.0
        evaluated = min(seconds, max(0.0, line.evaluation_fraction * line.seconds - done))
        total += seconds
        audio += line.audio_seconds - before.audio_seconds if before and same_start else line.audio_seconds
        rounds += line.rounds - before.rounds if before and same_start else line.rounds
        evaluating += evaluated
        waiting += (seconds - evaluated) * min(1.0, max(0.0, line.data_wait_fraction))
        saving += (seconds - evaluated) * min(1.0, max(0.0, line.save_fraction))
        series.append((total, line))
        before = line
    computing = max(0.0, total - evaluating - waiting - saving)
    return Timing(
        seconds=total,
        parts=[
            TimePart("training passes", computing, "forward and backward passes, optimizer steps, communication"),
            TimePart("evaluation", evaluating, "transcribing the dev split; evaluation.every_steps"),
            TimePart("waiting for data", waiting, "reading and decoding audio; data.workers"),
            TimePart("checkpoints", saving, "copying weights for the disk; checkpoint.every_rounds"),
        ],
        audio_seconds=audio,
        rounds=rounds,
        peak_memory_gib=max(line.memory_gib for line in lines),
        series=_thinned(series),
    )


def _thinned(series: list[tuple[float, RunMetrics]]) -> list[tuple[float, RunMetrics]]:
    if len(series) <= MOST_POINTS:
        return series
    last = len(series) - 1
    return [series[round(place * last / (MOST_POINTS - 1))] for place in range(MOST_POINTS)]

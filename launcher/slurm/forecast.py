"""Predict a job before it is submitted: the plan from `mms-dist plan`, and the number of starts that it needs."""

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.slurm.lead_time import lead_seconds_of, measured_lead_time
from launcher.slurm.sbatch import JobRequest

if TYPE_CHECKING:
    from rich.console import Console

    from mms_dist.config import Config


def show_forecast(
    config: "Config",
    request: JobRequest,
    console: "Console",
    *,
    speed: float | None = None,
    memory_gib: float | None = None,
) -> None:
    """Print the plan of a training job.

    Args:
        speed: seconds of audio that a process trains on per second; None: as measured in the run's last attempt.
        memory_gib: memory of a process's device.

    Raises:
        MmsDistError, ShardsError: the run cannot be planned, and so could not be trained either.
    """
    from mms_dist.data.language_summaries import summarise_languages
    from mms_dist.model.base_shape import BaseShape
    from mms_dist.planning.cluster import Cluster
    from mms_dist.planning.cluster_plan import make_plan
    from mms_dist.planning.plan_view import show_plans
    from shards.display.current_work import at_work

    directory = Path(config.run.directory)
    with at_work("planning the run") as work:
        index, summaries = summarise_languages(config, on_progress=work.describe)
        cluster = Cluster(
            request.nodes,
            request.processes_per_node,
            speed=speed or last_measured_speed(directory),
            memory_gib=memory_gib,
        )
        plan = make_plan(config, summaries, index, BaseShape.of(config.model.base), cluster)
    show_plans([plan], summaries, console, base=config.model.base, placement=config.rounds.placement)
    for line in _starts(plan.makespan_seconds, request, directory):
        console.print(f"· {line}", highlight=False, soft_wrap=True, markup=False)


def last_measured_speed(run_directory: Path) -> float | None:
    """Return the speed of one process in the run's last attempt; None if it was not measured."""
    from mms_dist.monitor.metrics_log import read_metrics
    from mms_dist.run_directory.status_file import read_status

    status, metrics = read_status(run_directory), read_metrics(run_directory)
    if status is None or metrics is None or not metrics.audio_seconds_per_second:
        return None
    return metrics.audio_seconds_per_second / status.processes


def _starts(makespan_seconds: float | None, request: JobRequest, directory: Path) -> list[str]:
    limit, lead = request.limit_seconds, lead_seconds_of(request.signal) or 0
    lines = []
    if makespan_seconds is not None and limit is not None:
        starts = max(1, ceil(makespan_seconds / (limit - lead)))
        times = "one start" if starts == 1 else f"about {starts:,} starts; the job requeues itself"
        lines.append(f"Time limit {request.time}: {times}.")
    measured = measured_lead_time(directory, lead) if lead else None
    if measured is not None:
        lines.append(f"Measured in this run: {measured.advice}.")
    return lines

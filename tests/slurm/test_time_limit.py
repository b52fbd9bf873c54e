"""Jobs whose time runs out. SLURM itself warns and ends them: it looks every 30 s, and limits are whole minutes.

Two jobs share the wait, each on two machines of its own. Their first rounds seem to take very long, as the toy run
would else be done before SLURM looks.
"""

import signal
from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, has_signal
from tests.slurm.jobs import LANGUAGES, Reference, TrainingJob, resume, stand_still

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a wait for the cluster gives up earlier
ENDED_BY_SLURM = "DUE TO TIME LIMIT"


@pytest.fixture(scope="module")
def jobs(
    slurm_is_installed: None, tmp_path_factory: pytest.TempPathFactory, undisturbed: Reference
) -> Iterator[dict[str, TrainingJob]]:
    """One that SLURM has warned, and one that it has ended without a warning: each still had a round to finish."""
    options = {"warned": ("--time=2", "--signal=B:USR1@60"), "late": ("--time=1", "--signal=B:USR1@0")}
    with Cluster(4) as cluster:
        jobs = {
            name: undisturbed.job(cluster, tmp_path_factory.mktemp(name), *given) for name, given in options.items()
        }
        warned, late = jobs["warned"], jobs["late"]
        slow, slower = stand_still(warned, late)

        def is_told() -> bool:
            waits_for_it = all(has_signal(rank.pid, signal.SIGUSR1, "ShdPnd") for rank in slow)
            return waits_for_it or "stopping after this round" in warned.log  # it came just before they stood still

        cluster.wait_until(is_told, warned.number)
        resume(slow)
        cluster.wait_until(lambda: ENDED_BY_SLURM in late.log, late.number)
        resume(slower)
        yield jobs


def test_a_job_that_slurm_warns_saves_and_is_requeued_until_all_is_done(
    jobs: dict[str, TrainingJob], undisturbed: Reference
) -> None:
    job = jobs["warned"]
    ended = job.cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["ExitCode"], ended["TimeLimit"]) == ("COMPLETED", "0:0", "00:02:00"), job.log
    assert int(ended["Restarts"]) >= 1 and ENDED_BY_SLURM not in job.log, job.log
    _assert_stopped_with_all_saved(job)
    undisturbed.assert_same(job.directory)


def test_a_job_over_its_time_limit_saves_within_killwait_and_resumes(
    jobs: dict[str, TrainingJob], undisturbed: Reference
) -> None:
    job = jobs["late"]
    ended = job.cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["ExitCode"], ended["TimeLimit"]) == ("COMPLETED", "0:0", "00:01:00"), job.log
    assert int(ended["Restarts"]) >= 1 and ENDED_BY_SLURM in job.log, job.log
    _assert_stopped_with_all_saved(job)
    undisturbed.assert_same(job.directory)


def _assert_stopped_with_all_saved(job: TrainingJob) -> None:
    stops = job.events("preempted")
    assert stops, job.log
    for stop in stops:
        saved = {event["language"] for event in job.events("checkpoint_saved") if event["round"] == stop["round"]}
        assert saved == set(LANGUAGES), "all of them, at the round in which the job was stopped"

"""A job that is stopped and requeued ends with the adapters of a run that nobody has disturbed."""

import re
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import LANGUAGES, Reference

pytestmark = pytest.mark.timeout(600)  # a wait for the cluster gives up earlier


def test_a_job_that_is_warned_saves_and_is_requeued_until_all_is_done(
    any_cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    job = undisturbed.job(any_cluster, tmp_path)
    job.wait_until_training()
    job.warn()
    any_cluster.wait_for_requeue(job.number, 1)
    ended = any_cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("COMPLETED", "0:0", "1"), job.log
    assert (job.status.state, job.status.attempt, job.status.processes) == ("finished", 2, 2)
    (stopped,) = job.events("preempted")
    assert stopped["round"] > 0
    saved = {event["language"] for event in job.events("checkpoint_saved") if event["round"] == stopped["round"]}
    assert saved == set(LANGUAGES), "all of them, at the round in which the job was stopped"
    undisturbed.assert_same(job.directory)
    job.assert_curves_go_on()
    assert "the warning comes 600 s before the end; a round takes up to" in job.log, "measured before the restart"
    assert_lines_begin_with_their_rank(job.log)


def assert_lines_begin_with_their_rank(log: str) -> None:
    """Those of training processes, by what each of the two says once and by what the first says of the run."""
    lines = log.splitlines()
    told = sorted(line for line in lines if "stopping after this round" in line)
    assert told == [f"[rank {rank}] stopping after this round" for rank in (0, 1)], log
    of_the_first = [line for line in lines if re.search(r"languages 3: |resumed   after |dev CER %|adapters/ta.", line)]
    assert len(of_the_first) > 4 and all(line.startswith("[rank 0] ") for line in of_the_first), log
    assert not [line for line in lines if "[rank " in line[1:]], "a whole line each"


@pytest.mark.parametrize(
    ("partition", "mode"), [pytest.param("all", "REQUEUE", marks=pytest.mark.slow), ("cancelling", "CANCEL")]
)
def test_a_job_preempted_by_an_urgent_one_saves_and_resumes_after_it(
    cluster: Cluster, tmp_path: Path, undisturbed: Reference, partition: str, mode: str
) -> None:
    """SLURM warns it with SIGTERM, and ends it after the partition's grace time, in either of its ways."""
    assert f"PreemptMode={mode} " in cluster.run("scontrol", "--oneliner", "show", "partition", partition) + " "
    job = undisturbed.job(cluster, tmp_path, f"--partition={partition}")
    job.wait_until_training()
    urgent = ("--partition=urgent", "--exclusive", "--nodes=2", "--time=5", "--output=/dev/null", "--wrap=true")
    other = cluster.submit(*urgent)
    cluster.wait_for_requeue(job.number, 1, hurry=False)
    assert job.status.state == "preempted"
    assert cluster.wait_for_end(other)["JobState"] == "COMPLETED"
    cluster.hurry(job.number)
    ended = cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1"), job.log
    undisturbed.assert_same(job.directory)

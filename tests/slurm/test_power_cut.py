"""Machines of a job lose their power, one after the other."""

from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import Reference


@pytest.mark.slow
@pytest.mark.timeout(600)  # SLURM takes its time to believe that a machine is gone
def test_a_job_survives_that_each_of_its_machines_loses_power(
    cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    job = undisturbed.job(cluster, tmp_path)
    for number in (1, 0):  # the batch script runs on machine 0: of the other's end it hears, with its own it ends
        job.wait_until_training(attempt=2 - number)
        cluster.switch_off(number)
        cluster.wait_for_requeue(job.number, 2 - number, hurry=False)
        cluster.switch_on(number)
        cluster.hurry(job.number)
    ended = cluster.wait_for_end(job.number)
    # Once for each machine; and SLURM, settling the end of the start before, may terminate the one that follows it too
    # soon, which is then requeued once more.
    assert ended["JobState"] == "COMPLETED" and int(ended["Restarts"]) >= 2, job.log
    undisturbed.assert_same(job.directory)

"""A job is warned before anything of it is ready to hear: it stops all the same, and comes back."""

from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import Reference

pytestmark = pytest.mark.timeout(600)  # a wait for the cluster gives up earlier


def test_a_warning_is_never_lost_however_early_it_comes(
    cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    job = undisturbed.job(cluster, tmp_path)
    cluster.wait_until(lambda: len(cluster.processes(job.number)) > 1, job.number)
    job.warn()  # the batch script has started its first command, and starts no step
    cluster.wait_for_requeue(job.number, 1)
    assert "it was stopped before the run started" in job.log
    cluster.wait_until(lambda: bool(cluster.processes(job.number, SLURM_STEP_ID="0")), job.number)
    job.warn()  # a step has begun, and its Python has not
    cluster.wait_for_requeue(job.number, 2)
    cluster.wait_until(lambda: job.launchers() == 2, job.number)
    assert not cluster.ranks(job.number)
    job.warn()  # the launchers are there, and the training processes are not ready
    cluster.wait_for_requeue(job.number, 3, hurry=False)
    assert job.status.state == "preempted"
    assert job.log.count("stopping after this round") == 2, "each rank was told"
    cluster.run("scancel", job.number)

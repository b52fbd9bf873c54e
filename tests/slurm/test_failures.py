"""What happens to a job whose processes die, that cannot come on, or that is cancelled."""

import contextlib
import shutil
import time
from pathlib import Path

import psutil
import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import Reference, submit

pytestmark = pytest.mark.timeout(600)  # a wait for the cluster gives up earlier


def test_a_killed_rank_ends_the_others_and_the_job_goes_on(
    cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    job = undisturbed.job(cluster, tmp_path)
    job.wait_until_training()
    job.kill(rank=1)
    cluster.wait_for_requeue(job.number, 1)
    assert "mms-dist: requeue: it" in job.log
    ended = cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1"), job.log
    undisturbed.assert_same(job.directory)
    job.assert_curves_go_on(killed=True)


def test_a_job_that_makes_no_progress_is_not_requeued_for_ever(
    cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    job = undisturbed.job(cluster, tmp_path, run={"stalled_restarts": 1})
    for restarts in (0, 1):
        # Both: one that is left alone while it begins waits for the other until SLURM kills it.
        cluster.wait_until(lambda: len(cluster.ranks(job.number)) == 2, job.number)
        for process in cluster.ranks(job.number).values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if restarts == 0:
            cluster.wait_for_requeue(job.number, 1)
    ended = cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["Restarts"]) == ("FAILED", "1"), job.log
    assert "1 restarts in a row made no" in job.log
    assert not (job.directory / "adapters").exists()


def test_what_needs_manual_action_is_not_requeued(cluster: Cluster, tmp_path: Path, undisturbed: Reference) -> None:
    job = undisturbed.job(cluster, tmp_path, model={"base": str(tmp_path / "nowhere")})
    ended = cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "2:0", "0"), job.log
    assert "mms-dist: give up" in job.log
    assert str(tmp_path / "nowhere") in job.log


def test_a_wrong_setting_ends_the_job_before_any_machine_starts(cluster: Cluster, tmp_path: Path) -> None:
    shutil.copy("configs/train/mms-300m.yaml", tmp_path / "config.yaml")
    options = ["--nodes=2", "--time=30", f"--output={tmp_path}/job.out"]
    job = submit(cluster, "train", options, [str(tmp_path / "config.yaml"), "--optim.lrr", "1"])
    ended = cluster.wait_for_end(job)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "2:0", "0")
    assert "optim.lrr" in cluster.told(job)


def test_a_cancelled_job_saves_and_does_not_come_back(
    any_cluster: Cluster, tmp_path: Path, undisturbed: Reference
) -> None:
    """`scancel` tells all of a job's processes under one plugin, and what srun has started itself under the other."""
    cluster = any_cluster
    job = undisturbed.job(cluster, tmp_path)
    job.wait_until_training()
    cluster.run("scancel", job.number)
    ended = cluster.wait_for_end(job.number)
    assert (ended["JobState"], ended["Restarts"]) == ("CANCELLED", "0"), job.log
    cluster.wait_until(lambda: job.status.state == "preempted", job.number)
    assert job.saved() >= (job.status.steps or 0) > 0
    time.sleep(1.0)
    assert cluster.job(job.number)["JobState"] == "CANCELLED"
    assert not cluster.processes(job.number)

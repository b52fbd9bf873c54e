"""What a real SLURM refuses, and what it lets wait: `mms-dist submit` cannot know, and leaves it to sbatch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]


def _submit(cluster: Cluster, tmp_path: Path, words: str) -> subprocess.CompletedProcess[str]:
    """Without the checks of the doctor, who would miss the shards of this configuration."""
    run = ["--run.directory", str(tmp_path / "run"), "--no-preflight"]
    return subprocess.run(
        [sys.executable, "-m", "launcher", "submit", "configs/train/mms-300m.yaml", *words.split(), *run],
        env=cluster.environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "160", "PATH": os.environ["PATH"]},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--sbatch partition=gqu", "invalid partition specified: gqu"),
        ("--gpus-per-node 8", "Invalid generic resource"),
    ],
)
def test_a_job_that_can_never_start_is_refused_in_the_words_of_sbatch(
    cluster: Cluster, tmp_path: Path, words: str, told: str
) -> None:
    done = _submit(cluster, tmp_path, words)
    assert done.returncode == 2
    assert "sbatch rejects the job" in done.stderr and told in done.stderr
    assert not cluster.run("squeue", "-h")


def test_a_job_for_more_machines_than_are_up_waits_for_them(cluster: Cluster, tmp_path: Path) -> None:
    """`sbatch --test-only` has the words for it that it has for what can never start."""
    cluster.run("scontrol", "update", f"NodeName={cluster.nodes[1]}", "State=DRAIN", "Reason=test")
    try:
        done = _submit(cluster, tmp_path, "--nodes 2")
        assert done.returncode == 0, done.stderr
        (job,) = cluster.run("squeue", "-h", "-o", "%i").split()
        assert cluster.job(job)["JobState"] == "PENDING"
        cluster.run("scancel", job)
    finally:
        cluster.run("scontrol", "update", f"NodeName={cluster.nodes[1]}", "State=RESUME")
    cluster.wait_until(cluster.is_idle)

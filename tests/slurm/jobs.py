"""Jobs of the shipped scripts on a test cluster, and the runs that they train."""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from tensorboard.backend.event_processing.event_accumulator import SCALARS
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.config.load import write_config
from mms_dist.monitor.events import read_events
from mms_dist.run_directory.status_file import Status, read_status
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import train_ranks
from tests.slurm.cluster import Cluster
from tests.training import final_row, toy_config

ROOT = Path(__file__).parents[2]
LANGUAGES = toy_languages(3)
STEPS = 400
"""Of a language: some seconds, in which a test can interfere."""


def submit(
    cluster: Cluster,
    script: str,
    options: Sequence[str],
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
) -> str:
    """`sbatch OPTIONS slurm/SCRIPT.sbatch ARGUMENTS`, from an activated virtual environment; the job's number."""
    usual = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "VIRTUAL_ENV": sys.prefix,
        "MMS_DIST_HOME": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    path = ROOT / "slurm" / f"{script}.sbatch"
    return cluster.submit(*options, str(path), *arguments, environment=usual | dict(environment or {}))


@dataclass(frozen=True)
class Reference:
    """A run on two processes that nobody has disturbed."""

    config: Config

    @classmethod
    def trained(cls, folder: Path, base: Path) -> "Reference":
        shards = build_toy_shards(folder, languages=len(LANGUAGES), train=8, dev=2)
        config = toy_config(
            folder / "reference",
            base,
            shards,
            optim={"steps": STEPS, "batch_seconds": 2.0},
            evaluation={"every_steps": 100},
            checkpoint={"every_rounds": 25},
        )
        train_ranks(config, 2)
        return cls(config)

    def job(self, cluster: Cluster, folder: Path, *options: str, **sections: Mapping[str, Any]) -> "TrainingJob":
        """The same run, submitted to a cluster with `options` of sbatch."""
        directory = folder / "run"
        config = replace(self.config, run=replace(self.config.run, directory=str(directory), device="cpu"))
        for section, values in sections.items():
            config = replace(config, **{section: replace(getattr(config, section), **values)})
        write_config(config, folder / "config.yaml")
        options = ("--nodes=2", "--time=30", f"--output={folder}/%x-%j.out", *options)
        number = submit(cluster, "train", options, [str(folder / "config.yaml")])
        return TrainingJob(cluster, number, directory)

    def assert_same(self, directory: Path) -> None:
        """Every language's adapter is that of the run that nobody disturbed, bit for bit."""
        for language in LANGUAGES:
            expected = final_row(Path(self.config.run.directory), language)
            assert (final_row(directory, language) == expected).all(), language


@dataclass(frozen=True)
class TrainingJob:
    """A job of slurm/train.sbatch."""

    cluster: Cluster
    number: str
    directory: Path

    @property
    def log(self) -> str:
        return Path(self.cluster.job(self.number)["StdOut"]).read_text(errors="replace")

    @property
    def status(self) -> Status:
        status = read_status(self.directory)
        assert status is not None, self.cluster.told(self.number)
        return status

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in read_events(self.directory / "events.jsonl") if event["kind"] == kind]

    def wait_until_training(self, attempt: int = 1) -> None:
        """Until the attempt has taken steps, and all ranks are ready for a signal."""
        self.cluster.wait_until(lambda: self.is_training(attempt), self.number)

    def is_training(self, attempt: int | None = None) -> bool:
        """Whether that attempt is; or any."""
        status = read_status(self.directory)
        if status is None or status.job != self.number or status.attempt != (attempt or status.attempt):
            return False
        return status.restored and len(self.cluster.ranks(self.number)) == 2 and self.saved() > (status.steps or 0)

    def saved(self) -> int:
        """Steps of all languages together in their newest checkpoints."""
        if not (self.directory / "adapters").is_dir():
            return 0
        with CheckpointStore(self.directory / "adapters", keep=2) as store:
            return sum(max(store.steps(language), default=0) for language in LANGUAGES)

    def warn(self) -> None:
        """What SLURM does before the job's time is over (it looks only every 30 seconds, and limits are minutes)."""
        self.cluster.run("scancel", "--batch", "--signal=USR1", self.number)

    def assert_curves_go_on(self, *, killed: bool = False) -> None:
        """TensorBoard, reading the run's folder, sees every step of every curve once, and in order; the last seconds of
        a start that was killed may be missing."""
        board = EventMultiplexer(size_guidance={SCALARS: 0}).AddRunsFromDirectory(str(self.directory / "tensorboard"))
        runs = board.Reload().Runs()
        assert set(runs) == {"system", *LANGUAGES}
        for run, kinds in runs.items():
            for tag in kinds["scalars"]:
                steps = [point.step for point in board.Scalars(run, tag)]
                assert all(one < next for one, next in pairwise(steps)), (run, tag, steps)
                if tag.endswith("/loss"):
                    assert steps[-1] == STEPS and (killed or len(steps) == STEPS), (run, tag, steps)

    def launchers(self) -> int:
        """How many machines have got so far as to start `accelerate`."""
        found = 0
        for process in self.cluster.processes(self.number, PET_SIGNALS_TO_HANDLE="SIGTERM,SIGINT,SIGHUP,SIGQUIT"):
            with contextlib.suppress(psutil.Error):
                found += "RANK" not in process.environ()
        return found

    def kill(self, rank: int) -> None:
        self.cluster.ranks(self.number)[rank].send_signal(signal.SIGKILL)


def stand_still(*jobs: TrainingJob) -> list[list[psutil.Process]]:
    """Stop the ranks of each job as soon as it trains, as if a round took very long, until they are resumed."""
    ranks: dict[str, list[psutil.Process]] = {}

    def all_stand() -> bool:
        for job in jobs:
            if job.number not in ranks and job.is_training():
                ranks[job.number] = list(job.cluster.ranks(job.number).values())
                for rank in ranks[job.number]:
                    rank.suspend()
        return len(ranks) == len(jobs)

    jobs[0].cluster.wait_until(all_stand, jobs[0].number)
    return [ranks[job.number] for job in jobs]


def resume(ranks: Sequence[psutil.Process]) -> None:
    for rank in ranks:
        with contextlib.suppress(psutil.NoSuchProcess):
            rank.resume()

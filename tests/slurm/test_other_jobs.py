"""The scripts that do not train."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.corpus import build_toy_shards, toy_languages
from tests.doc_commands import command_lines
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, submit
from tests.training import toy_config, train

pytestmark = pytest.mark.timeout(600)  # a wait for the cluster gives up earlier

LANGUAGES = toy_languages(5)
PAGE = ROOT / "docs" / "decoding.md"


def test_an_array_of_jobs_builds_what_one_build_does(cluster: Cluster, tmp_path: Path) -> None:
    alone = build_toy_shards(tmp_path / "alone", languages=len(LANGUAGES), train=3, dev=1)
    source, output = tmp_path / "alone" / "manifest.tsv", tmp_path / "shards"
    options = ["--array=0-4", "--cpus-per-task=1", f"--output={tmp_path}/%a.out"]
    job = submit(
        cluster,
        "shards",
        options,
        [str(source), str(output), "--test-fraction", "0", "--shard-utterances", "6"],
    )
    last = f"{job}_4"  # its number is that of the whole array
    cluster.wait_until(lambda: len(cluster.processes(job)) > 1, last)  # the script has started its first command
    cluster.run("scancel", "--batch", "--signal=USR1", last)
    cluster.wait_for_requeue(last, 1)
    cluster.wait_until(lambda: not cluster.run("squeue", "--noheader", "--jobs", job))
    logs = [(tmp_path / f"{task}.out").read_text() for task in range(5)]
    assert sums(output) == sums(alone), logs
    assert [cluster.restarts(f"{job}_{task}") for task in range(5)] == [0, 0, 0, 0, 1]


def test_a_run_is_scored_by_a_job(cluster: Cluster, tmp_path: Path, small_base: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=3, dev=2)
    train(toy_config(tmp_path / "run", small_base, shards, optim={"steps": 2, "warmup_steps": 0}))
    options = ["--cpus-per-task=1", f"--output={tmp_path}/eval.out"]
    job = submit(cluster, "eval", options, [str(tmp_path / "run"), "--split", "dev"])
    ended = cluster.wait_for_end(job)
    assert ended["JobState"] == "COMPLETED", cluster.told(job)
    assert (tmp_path / "run" / "eval" / "dev.json").is_file()


def test_an_array_of_jobs_transcribes_a_list(
    cluster: Cluster, tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command of docs/decoding.md."""
    shards = build_toy_shards(tmp_path, languages=2, train=3, dev=2)
    train(toy_config(tmp_path / "run", small_base, shards, optim={"steps": 2, "warmup_steps": 0}))
    audio = sorted((tmp_path / "audio").rglob("*.wav"))[:5]
    (tmp_path / "talks.tsv").write_text("".join(f"{path}\ttaa\n" for path in audio))
    (command,) = (line for line in command_lines(PAGE.read_text()) if "--script transcribe" in line)
    names = {
        "mms-dist": f"{sys.executable} -m launcher",
        "exported/": f"{tmp_path}/run",
        "talks.tsv": f"{tmp_path}/talks.tsv",
        "texts/": f"{tmp_path}/texts",
        "--tasks 8": "--tasks 2 --sbatch cpus-per-task=1",
    }
    for name, ours in names.items():
        command = command.replace(name, ours)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "VIRTUAL_ENV": sys.prefix, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    monkeypatch.chdir(ROOT)
    told = cluster.run("bash", "-c", command, environment=environment)
    (job,) = re.findall(r"submitted: job (\d+)", told)
    cluster.wait_until(lambda: not cluster.run("squeue", "--noheader", "--jobs", job))
    logs = [path.read_text() for path in (tmp_path / "texts" / "logs").glob("*.out")]
    assert len(logs) == 2 and not any("error" in log for log in logs), logs
    assert sorted(path.stem for path in (tmp_path / "texts").glob("*.txt")) == [path.stem for path in audio], logs


def test_all_machines_are_checked_before_a_long_job(cluster: Cluster, tmp_path: Path, small_base: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=3, dev=2)
    config = toy_config(tmp_path / "run", small_base, shards, run={"device": "cpu"})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    options = ["--nodes=2", f"--output={tmp_path}/debug.out"]
    job = submit(cluster, "debug", options, [str(tmp_path / "config.yaml"), "--optim.steps", "50"])
    ended = cluster.wait_for_end(job)
    log = (tmp_path / "debug.out").read_text()
    assert "2 processes on 2 machines" in log
    assert " passed, 0 failed in" in log, log
    assert ended["JobState"] == "COMPLETED", log


def test_what_is_wrong_on_any_machine_is_named_with_its_fix(cluster: Cluster, tmp_path: Path, small_base: Path) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=3, dev=2)
    config = toy_config(tmp_path / "run", small_base, shards, run={"device": "cpu"}, comm={"processes": 3})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    done = cluster.try_run(
        *("srun", "--nodes=2", "--ntasks-per-node=1", sys.executable, "-m", "launcher"),
        *("doctor", str(tmp_path / "config.yaml"), "--model.base", str(tmp_path / "nowhere")),
        environment={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "nowhere" in done.stdout and "comm.processes" in done.stdout, "all of it at once"


def test_the_machine_of_a_job_that_has_other_software_is_named(
    cluster: Cluster, tmp_path: Path, small_base: Path
) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=3, dev=2)
    config = toy_config(tmp_path / "run", small_base, shards, run={"device": "cpu"})
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    older = tmp_path / "older" / "torch-2.10.9.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.10.9\n")
    on_the_second = f'if [[ $SLURM_NODEID == 1 ]]; then export PYTHONPATH="{older.parent}:$PYTHONPATH"; fi; exec "$@"'
    done = cluster.try_run(
        *("srun", "--nodes=2", "--ntasks-per-node=1", "bash", "-c", on_the_second, "bash"),
        *(sys.executable, "-m", "launcher", "doctor", str(tmp_path / "config.yaml"), "--json"),
        environment={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
    assert report["hosts"] == cluster.nodes
    failed = {finding["check"]: finding for finding in report["findings"] if finding["status"] == "failed"}
    assert failed.keys() == {"versions", "machines"}
    assert "torch 2.10.9, expected" in failed["versions"]["found"] and failed["versions"]["hosts"] == cluster.nodes[1:]
    assert failed["machines"]["found"].startswith("torch differs: ")
    assert failed["machines"]["found"].endswith(f"2.10.9 on {cluster.nodes[1]}")


def sums(folder: Path) -> dict[str, str]:
    """Every file's bytes, but for the builder's own."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

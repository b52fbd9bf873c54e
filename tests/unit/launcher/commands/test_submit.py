"""`mms-dist submit` shows what a job will do, refuses what cannot work, and runs sbatch."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.cli import main
from tests.corpus import build_toy_shards

ROOT = Path(__file__).parents[4]
CONFIGURATION = """\
run: {{directory: {run}}}
data: {{shards: {shards}}}
optim: {{steps: 20, warmup_steps: 2, batch_seconds: 4}}
rounds: {{slots: 4, forward_seconds: 12}}
"""


OPTIONS = """\
sbatch: defined options
sbatch: -------------------- --------------------
sbatch: nodes               : 2
sbatch: ntasks-per-node     : 2
sbatch: signal              : B:USR1@600
sbatch: time                : 01:00:00
sbatch: -------------------- --------------------
sbatch: end of defined options
sbatch: select/linear: init: Linear node selection plugin loaded with argument 1
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("submit"), languages=3, train=6, dev=2)


@pytest.fixture
def config(tmp_path: Path, shards: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration, in the repository's folder and outside of any job."""
    monkeypatch.chdir(ROOT)
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_")):
            monkeypatch.delenv(name)
    path = tmp_path / "toy.yaml"
    path.write_text(CONFIGURATION.format(run=tmp_path / "runs" / "toy", shards=shards))
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def _program(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/bash\n{body}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def sbatch(programs: Path, tmp_path: Path) -> Path:
    """A stand-in for sbatch that keeps the words and the environment it was given, and answers with job 4711.

    The options that it lists are those of the shipped script with two machines.
    """
    (tmp_path / "options").write_text(OPTIONS)
    _program(
        programs,
        "sbatch",
        f"""mode=$1; shift
if [[ $mode == --test-only ]]; then
    printf '%s\\n' "${{@:2}}" >{tmp_path}/tested
    cat {tmp_path}/options >&2
    echo 'sbatch: Job 4711 to start at 2026-11-22T15:00:00 using 4 processors on nodes node[1-2] in partition all' >&2
    exit
fi
printf '%s\\n' "$@" >{tmp_path}/submitted; echo "$mode" >{tmp_path}/flag; env >{tmp_path}/env
echo 'Welcome to cluster 9!'
echo '4711;cluster'""",
    )
    return tmp_path / "submitted"


def test_a_job_is_shown_checked_submitted_and_told_how_to_follow(
    config: Path, sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1:00:00")
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "1")  # as in a shell inside a job
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    command = ["submit", str(config), "--nodes", "2", "--processes-per-node", "2", "--speed", "0.01"]
    assert main([*command, "--optim.lr", "5e-4", "--sbatch", "qos=high", "--sbatch", "oversubscribe"]) == 0
    out, run = capsys.readouterr().out, tmp_path / "runs" / "toy"
    assert "SLURM: would start it at 2026-11-22T15:00:00 using 4 processors" in out
    assert "nothing to fix" in out, "the preflight"
    assert "3 languages" in out and "2 × 2" in out and "per process; base" in out, "the plan: time, shards, memory"
    assert "Time limit 01:00:00: about" in out
    for words in (
        "job 4711",
        "squeue --jobs 4711",
        f"tail -F {run}/logs/mms-train-toy-4711.out",
        f"mms-dist status {run}",
        f"tensorboard --logdir {run}/tensorboard",
        "ssh -N -L 6006:localhost:6006",
        "scancel 4711",
    ):
        assert words in out
    words = sbatch.read_text().splitlines()
    assert {"--nodes=2", "--ntasks-per-node=2", "--qos=high", "--oversubscribe"} < set(words)
    assert words[-4:] == ["slurm/train.sbatch", str(config), "--optim.lr", "5e-4"]
    (kept,) = (run / "logs").iterdir()
    assert kept.match("mms-train-toy-20*.sh"), "the command is kept beside the log"
    note = rf"# Submitted as job 4711 of train at \S+, log {run}/logs/mms-train-toy-4711.out\n"
    assert re.search(note + r"\Z", kept.read_text())
    assert (tmp_path / "flag").read_text() == "--parsable\n"
    assert (tmp_path / "tested").read_text().splitlines() == words
    environment = (tmp_path / "env").read_text()
    assert re.findall("SBATCH_.*", environment) == ["SBATCH_TIMELIMIT=1:00:00"]
    assert re.findall("SLURM_.*", environment) == ["SLURM_CONF=/etc/slurm/slurm.conf"]


def test_a_dry_run_prints_the_command_alone_and_leaves_nothing_behind(
    config: Path, sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", str(config), "--nodes", "2", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("#!/bin/bash\n") and out.endswith(f"slurm/train.sbatch {config}\n")
    assert "--nodes=2" in out
    subprocess.run(["bash", "-n"], input=out, text=True, check=True)
    assert "nothing to fix" in err and "3 languages" in err
    assert not sbatch.exists()
    assert not (tmp_path / "runs").exists()


def test_nothing_is_submitted_when_the_preflight_finds_something(
    config: Path, sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["submit", str(config), "--data.shards", str(tmp_path / "nowhere")]
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert "nowhere" in out and "not submitted" in err
    assert not sbatch.exists()
    assert main([*command, "--no-preflight"]) == 0
    assert sbatch.exists()


@pytest.mark.parametrize("words", [[], ["--no-preflight"]])
def test_a_machine_without_sbatch_is_told_of(
    config: Path,
    programs: Path,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("bash", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    assert main(["submit", str(config), *words]) == 2
    assert "found no sbatch on PATH" in capsys.readouterr().err


def test_a_job_that_cannot_start_at_present_is_submitted_and_waits(
    config: Path, programs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "allocation failure: Requested node configuration is not available"
    (tmp_path / "options").write_text(OPTIONS)
    refusal = f"cat {tmp_path}/options >&2; echo '{words}' >&2; exit 1"
    _program(programs, "sbatch", f"[[ $1 == --parsable ]] && echo 4711 || {{ {refusal}; }}")
    assert main(["submit", str(config), "--nodes", "4", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert f"it would not start this job at present: {words}" in err and "--nodes=4" in out
    assert not (tmp_path / "runs").exists()
    assert main(["submit", str(config), "--nodes", "4"]) == 0
    out = capsys.readouterr().out
    assert f"it would not start this job at present: {words}" in out and "submitted: job 4711" in out


def test_a_refusal_is_told_in_the_words_of_sbatch(
    config: Path, programs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _program(programs, "sbatch", "echo 'sbatch: error: invalid partition specified: gqu' >&2; exit 1")
    assert main(["submit", str(config), "--no-preflight", "--sbatch", "partition=gqu"]) == 2
    assert "invalid partition specified: gqu" in capsys.readouterr().err
    assert list((tmp_path / "runs" / "toy" / "logs").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "expected CONFIG"),
        (["--script", "eval"], "does not exist"),
        (["--script", "shards"], "expected SOURCE SHARDS"),
        (["--nodes", "0"], "expected a whole number of 1 or more"),
        (["--nodes", "many"], "expected a whole number of 1 or more"),
        (["--tasks", "4"], "use --tasks only with --script shards or transcribe"),
        (["--script", "transcribe"], "found no folder for the transcripts"),
        (["--script", "transcribe", "--options=--to x --lang ron"], "there is nothing to transcribe"),
        (["--sbatch", "="], "expected an option and its value"),
        (["--sbatch", "exclusive="], "sbatch cannot remove an option"),
        (["--sbatch", "gpus=16"], "--gpus-per-node G"),
        (["--optim.lr", "fast"], "optim.lr"),
        (["--comm.processes", "16", "--nodes", "2", "--gpus-per-node", "4"], "comm.processes is 16"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    config: Path, sbatch: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    what = [str(config)] if words else [str(config), "another.yaml"]
    assert main(["submit", *what, *words]) != 0
    out, err = capsys.readouterr()
    assert told in out + err
    assert not sbatch.exists()


def test_shards_and_scores_are_jobs_too(
    config: Path, sbatch: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, corpus = shards.parent / "manifest.tsv", tmp_path / "corpus"
    arguments = [str(manifest), str(corpus), "--script", "shards", "--tasks", "3"]
    assert main(["submit", *arguments, "--options=--max-seconds 20.5"]) == 0
    words = sbatch.read_text().splitlines()
    assert "--array=0-2" in words
    assert words[-5:] == ["slurm/shards.sbatch", str(manifest), str(corpus), "--max-seconds", "20.5"]
    assert f"tail -F {corpus}/logs/mms-shards-corpus-4711-0.out" in capsys.readouterr().out
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(config.read_text())
    assert main(["submit", str(run), "--script", "eval", "--data.workers", "1", "--options=--split dev"]) == 0
    words = sbatch.read_text().splitlines()
    assert words[-6:] == ["slurm/eval.sbatch", str(run), "--data.workers", "1", "--split", "dev"]


def test_the_tasks_of_an_array_transcribe_into_a_folder_that_gets_the_logs(
    config: Path, sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "talks.tsv").write_text("a.wav\tron\n")
    model = exported(tmp_path)
    options = f"--list {tmp_path}/talks.tsv --to {tmp_path}/texts --run.threads 1"
    assert main(["submit", model, "--script", "transcribe", "--tasks", "8", f"--options={options}"]) == 0
    words = sbatch.read_text().splitlines()
    assert "--array=0-7" in words
    assert words[-8:] == ["slurm/transcribe.sbatch", model, *options.split()]
    assert f"tail -F {tmp_path}/texts/logs/mms-transcribe-texts-4711-0.out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        ("exported", "talks.tsv --lang ron", "cannot be read as a recording"),
        ("exported", "--list talks.tsv --lm none", "the language model none does not exist"),
        ("exported", "--list talks.tsv --lm exported", "has no language model of ron"),
        ("exported", "--list talks.tsv --force", "found --force, with which a requeued task would begin anew"),
        ("exported", "- --lang ron", "found - (standard input), which a job does not have"),
        ("exported", "--list hun.tsv", "exported has no language 'hun'"),
        ("none/", "--list talks.tsv", "there is no folder none/ here"),
        (".", "--list talks.tsv", "neither a run nor a model with adapters"),
        ("run", "--list talks.tsv", "found no checkpoint in run/adapters"),
    ],
)
def test_what_every_task_would_fail_at_is_refused(
    sbatch: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    options: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    exported(tmp_path)
    (tmp_path / "run" / "adapters").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text(CONFIGURATION.format(run="run", shards="shards"))
    for language in ("ron", "hun"):
        (tmp_path / ("talks.tsv" if language == "ron" else "hun.tsv")).write_text(f"a.wav\t{language}\n")
    assert main(["submit", model, "--script", "transcribe", f"--options={options} --to texts"]) == 2
    assert told in capsys.readouterr().err
    assert not sbatch.exists()


def exported(folder: Path) -> str:
    """A folder that has what an export says of its languages."""
    (folder / "exported").mkdir()
    (folder / "exported" / "vocab.json").write_text('{"ron": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}}')
    return f"{folder}/exported"


def test_a_debug_job_needs_no_warning_before_its_time_limit(
    config: Path, sbatch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options").write_text(re.sub("sbatch: (signal|n).*\n", "", OPTIONS))
    assert main(["submit", str(config), "--script", "debug"]) == 0
    assert "nothing to fix\n" in capsys.readouterr().out

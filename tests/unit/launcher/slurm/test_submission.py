"""`mms-dist submit` asks sbatch for what the user and the site want, and leaves the ranking of options to sbatch."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launcher.slurm.environment import gpus_of, gpus_of_gres
from launcher.slurm.sbatch import JobRequest
from launcher.slurm.site import change_gres
from launcher.slurm.submission import SCRIPTS, Submission, parse_target, prepare
from mms_dist.errors import ConfigError

ROOT = Path(__file__).parents[4]
SITE = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "speech", "SBATCH_GPUS_PER_NODE": "a100:8"}
ARGUMENTS = {
    "train": ["configs/train/mms-300m.yaml", "--optim.lr", "5e-4", "--data.shards", "/data/all of it"],
    "debug": ["configs/train/mms-300m.yaml"],
    "eval": ["runs/mms-300m", "--split", "dev"],
    "shards": ["recordings.tsv", "/data/corpus"],
    "transcribe": ["exported/", "--list", "talks.tsv", "--to", "/data/texts"],
}
FOLDER = {"shards": Path("/data/corpus"), "transcribe": Path("/data/texts")}
FLAGS: dict[str, dict[str, str]] = {
    "train": {"nodes": "4", "time": "8:00:00", "mail-type": "END", "comment": "all languages"},
    "debug": {"nodes": "4"},
    "eval": {},
    "shards": {"array": "0-15"},
    "transcribe": {"array": "0-7"},
}
TRAIN_COMMAND = """\
#!/bin/bash
# Written by `mms-dist submit`. To submit the same job again, run this file with bash.
cd /cluster/mms-dist || exit
unset "${!SBATCH_@}"
export SBATCH_PARTITION=gpu
export SBATCH_ACCOUNT=speech
export SBATCH_GPUS_PER_NODE=a100:8
export MMS_DIST_HOME=/cluster/mms-dist
exec sbatch \\
    --job-name=mms-train-mms-300m \\
    --output=/cluster/runs/mms-300m/logs/%x-%j.out \\
    --nodes=4 \\
    --time=8:00:00 \\
    --mail-type=END \\
    '--comment=all languages' \\
    slurm/train.sbatch configs/train/mms-300m.yaml --optim.lr 5e-4 --data.shards '/data/all of it'
"""


def prepared(script: str, home: Path = ROOT, *, site: Mapping[str, str] = SITE, **flags: str) -> Submission:
    return prepare(
        script,
        ARGUMENTS[script],
        home=home,
        folder=FOLDER.get(script, Path("/cluster/runs/mms-300m")),
        flags=FLAGS[script] | {name.replace("_", "-"): value for name, value in flags.items()},
        environment=site,
    )


def test_the_command_is_one_that_a_user_could_have_typed() -> None:
    assert prepared("train").text.replace(str(ROOT), "/cluster/mms-dist") == TRAIN_COMMAND


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_passes_the_command_to_sbatch_as_it_was_given(script: str, tmp_path: Path) -> None:
    submission = prepared(script, comment='it\'s "a" $HOME `x`\nback\\slash #b')
    (tmp_path / "sbatch").write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    (tmp_path / "sbatch").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SBATCH_TIMELIMIT": "1"}
    done = subprocess.run(["bash"], input=submission.text.encode(), env=environment, capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == submission.words
    assert submission.words[-len(ARGUMENTS[script]) - 1 :] == [f"slurm/{script}.sbatch", *ARGUMENTS[script]]


def test_a_signal_of_the_command_line_is_visible_inside_the_job() -> None:
    submission = prepared("train", signal="B:USR1@90")
    assert submission.flags["signal"] == submission.variables["SBATCH_SIGNAL"] == "B:USR1@90"
    assert "SBATCH_SIGNAL" not in prepared("train").variables


def test_processes_are_counted_by_the_gpus_or_as_asked() -> None:
    def processes(**options: str) -> int:
        return JobRequest({name.replace("_", "-"): value for name, value in options.items()}).processes_per_node

    assert processes(gpus_per_node="a100:8", ntasks_per_node="1") == 8
    assert processes(gpus_per_node="a100:3,h100:1") == 4
    assert processes(gres="gres:nvme:1,gres:gpu:a100:4") == 4
    assert processes(gres="nvme:1", ntasks_per_node="2") == 2
    assert processes() == 1


def test_flags_that_count_processes_replace_the_counts_of_the_site() -> None:
    site = SITE | {"SBATCH_GRES": "gpu:8,nvme:1", "SBATCH_CPUS_PER_GPU": "8", "SBATCH_MEM_PER_NODE": "9G"}
    assert prepared("train", site=site).site == site
    kept = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "speech", "SBATCH_MEM_PER_NODE": "9G"}
    assert prepared("train", site=site, ntasks_per_node="2").site == kept | {"SBATCH_GRES": "nvme:1"}
    assert prepared("train", site=site, gpus_per_node="4").site == kept | {
        "SBATCH_GRES": "nvme:1",
        "SBATCH_CPUS_PER_GPU": "8",
    }


@pytest.mark.parametrize("name", ["gpus", "gpus_per_task", "ntasks", "tres_per_task"])
def test_a_count_that_may_be_uneven_is_refused_for_training(name: str) -> None:
    for script in ("train", "debug"):
        with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}=16 .* --gpus-per-node G"):
            prepared(script, site={}, **{name: "16"})
    with pytest.raises(ConfigError, match="--gpus=16"):
        prepared("train", site={"SBATCH_GPUS": "16"})
    assert prepared("train", site={"SBATCH_GPUS": "16"}, gpus_per_node="8").site == {}
    assert prepared("eval", site={"SBATCH_GPUS": "16"}).site == {"SBATCH_GPUS": "1"}


@pytest.mark.parametrize("name", ["SBATCH_MEM_PER_GPU", "SBATCH_MEM_PER_CPU"])
def test_a_variable_that_sbatch_would_ignore_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=60G: sbatch ignores .* SBATCH_MEM_PER_NODE"):
        prepared("train", site=SITE | {name: "60G"})
    assert name not in prepared("shards", site=SITE | {"SBATCH_MEM_PER_GPU": "60G"}).site


@pytest.mark.parametrize(
    ("text", "gpus", "without", "with_one"),
    [
        ("gpu", 1, "", "gpu:1"),
        ("gpu:8", 8, "", "gpu:1"),
        ("gpu:a100:8", 8, "", "gpu:a100:1"),
        ("gres:gpu:a100:8", 8, "", "gpu:a100:1"),
        ("nvme:1,gpu:2,gpu:h100:4", 6, "nvme:1", "nvme:1,gpu:1"),
        ("nvme:1", None, "nvme:1", "nvme:1"),
    ],
)
def test_gpus_are_found_among_other_resources(text: str, gpus: int | None, without: str, with_one: str) -> None:
    assert gpus_of_gres(text) == gpus
    assert (change_gres(text, 0), change_gres(text, 1)) == (without, with_one)


@pytest.mark.parametrize("text", ["many", "", "0", "a100:", "4,"])
def test_an_invalid_number_of_gpus_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"SLURM_GPUS is .*, expected a number of GPUs"):
        gpus_of(text, "SLURM_GPUS")


def test_shards_ask_for_no_gpu_and_scoring_or_transcribing_for_one() -> None:
    site = SITE | {"SBATCH_GRES": "gpu:a100:8,nvme:1", "SBATCH_CPUS_PER_GPU": "8", "SBATCH_MEM_PER_NODE": "480G"}
    own = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "speech"}
    assert prepared("shards", site=site).site == own | {"SBATCH_GRES": "nvme:1"}
    assert prepared("eval", site=site).site == prepared("transcribe", site=site).site
    assert prepared("eval", site=site).site == own | {
        "SBATCH_GPUS_PER_NODE": "a100:1",
        "SBATCH_GRES": "gpu:a100:1,nvme:1",
    }


def test_the_example_of_the_site_file_for_shared_machines_can_be_used() -> None:
    text = (ROOT / "slurm" / "site.sh").read_text()
    (line,) = (line for line in text.splitlines() if "SBATCH_EXCLUSIVE=" in line)
    site = SITE | dict(word.split("=") for word in line.removeprefix("# export ").split())
    assert prepared("train", site=site).site == site
    assert not [name for name in prepared("shards", site=site).site if "GPU" in name or "MEM" in name]


def test_a_site_that_cannot_be_read_is_reported_in_the_words_of_bash(tmp_path: Path) -> None:
    folder = tmp_path / "slurm"
    folder.mkdir()
    with pytest.raises(ConfigError, match="a clone of the repository"):
        prepared("train", tmp_path)
    (folder / "train.sbatch").write_text("")
    with pytest.raises(ConfigError, match="restore the file"):
        prepared("train", tmp_path)
    (folder / "site.sh").write_text("export SBATCH_QOS=high\nfalse || frobnicate\n")
    with pytest.raises(ConfigError, match="frobnicate"):
        prepared("train", tmp_path)
    (folder / "site.sh").write_text("SBATCH_QOS=high  # export is not needed\nSBATCH_TIMELIMIT=1:00:00\necho hello\n")
    site = prepared("train", tmp_path, site={"SBATCH_QOS": "low", "SBATCH_ACCOUNT": "mine", "HOME": "/root"}).site
    assert site == {"SBATCH_QOS": "high", "SBATCH_TIMELIMIT": "1:00:00", "SBATCH_ACCOUNT": "mine"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"test_only": ""}, "an option of the sbatch command"),
        ({"wait": ""}, "an option of the sbatch command"),
        ({"array": "0-3"}, "the train script is a single job"),
    ],
)
def test_options_with_which_a_job_cannot_work_are_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        prepared("train", **flags)


def test_a_warning_that_would_come_before_the_start_is_refused() -> None:
    with pytest.raises(ConfigError, match="would come before the start"):
        JobRequest({"time": "00:05:00", "signal": "B:USR1@600"}).check()
    JobRequest({"time": "00:05:00"}).check()
    JobRequest({"time": "UNLIMITED", "signal": "B:USR1@600"}).check()


@pytest.mark.parametrize("script", ["shards", "eval", "transcribe"])
def test_jobs_that_work_on_one_machine_are_not_given_several(script: str) -> None:
    with pytest.raises(ConfigError, match="runs on one machine"):
        prepared(script, nodes="2")


def test_a_folder_with_a_percent_sign_keeps_its_name() -> None:
    submission = prepare("train", ["c.yaml"], home=ROOT, folder=Path("/runs/50% more"), flags={}, environment={})
    assert submission.flags["output"].startswith("/runs/50%% more/logs/")
    assert submission.log("7") == Path("/runs/50% more/logs/mms-train-50-more-7.out")


def test_shards_on_a_server_get_the_logs_of_their_build_here(tmp_path: Path) -> None:
    for shards, folder in (
        ("s3://bucket/corpus/", "corpus"),
        ("s3://bucket", "bucket"),
        ("/data/corpus", "/data/corpus"),
    ):
        assert parse_target("shards", [str(tmp_path), shards], []).folder == Path(folder)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("08:00:00", 28_800), ("1-00:00:01", 86_401), ("00:05:00", 300), ("UNLIMITED", None), ("", None)],
)
def test_time_limits_are_read_as_sbatch_writes_them(text: str, seconds: int | None) -> None:
    assert JobRequest({"time": text}).limit_seconds == seconds


def test_of_a_range_of_machines_the_fewest_are_planned_with() -> None:
    assert (JobRequest({"nodes": "2-4"}).nodes, JobRequest({"nodes": "4"}).nodes, JobRequest({}).nodes) == (2, 4, 1)

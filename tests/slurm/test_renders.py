"""`mms-dist submit` fills in every shipped script: the whole result, line by line, and what it keeps of the original.

After a change that is meant: `python -m tests.slurm.test_renders` writes the golden files anew; look at the difference.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from launcher.slurm.gpus import gpus_of, gpus_of_gres, other_gres
from launcher.slurm.script import options_of, render
from launcher.slurm.site import options_of_variables
from launcher.slurm.submission import SCRIPTS, Submission, prepare
from launcher.slurm.time_limit import limit_seconds
from mms_dist.errors import ConfigError

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
SITE = {"SBATCH_PARTITION": "gpu", "SBATCH_ACCOUNT": "speech", "SBATCH_GPUS_PER_NODE": "a100:8"}
ARGUMENTS = {
    "train": ["configs/train/mms-300m.yaml", "--optim.lr", "5e-4", "--data.shards", "/data/all of it"],
    "debug": ["configs/train/mms-300m.yaml"],
    "eval": ["runs/mms-300m", "--split", "dev"],
    "shards": ["recordings.tsv", "/data/corpus"],
}
ABOUT = {"shards": Path("/data/corpus")}
WANTED: dict[str, dict[str, str | None]] = {
    "train": {"nodes": "4", "time": "8:00:00", "mail-type": "END", "comment": "all languages"},
    "debug": {"nodes": "4"},
    "eval": {},
    "shards": {"array": "0-15"},
}


def rendered(script: str, home: Path = ROOT, *, site: Mapping[str, str] = SITE, **wanted: Any) -> Submission:
    return prepare(
        script,
        ARGUMENTS[script],
        home=home,
        about=ABOUT.get(script, Path("/cluster/runs/mms-300m")),
        wanted=WANTED[script] | wanted,
        environment=site,
    )


def _named(option: str, value: str) -> dict[str, Any]:
    return {option: value}


def _golden(script: str) -> str:
    return rendered(script).text.replace(str(ROOT), "/cluster/mms-dist")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_whole_script_is_as_it_was_read_and_agreed(script: str) -> None:
    assert _golden(script) == (GOLDEN / f"{script}.sbatch").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_only_options_and_arguments_are_filled_in(script: str) -> None:
    shipped = (ROOT / "slurm" / f"{script}.sbatch").read_text().splitlines()
    text = rendered(script).text.splitlines()
    kept = [line for line in shipped if not line.startswith("#SBATCH")]
    assert [line for line in text if line in kept] == kept
    ours = [line for line in text if not line.startswith("#SBATCH") and line not in kept]
    assert [line.split()[0] for line in ours] == ["#", "export", "set"]
    assert (
        list(options_of("\n".join(shipped))) == list(options_of("\n".join(text)))[: len(options_of("\n".join(shipped)))]
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_reads_the_arguments_as_they_were_given(script: str) -> None:
    text = rendered(script).text
    (line,) = (line for line in text.splitlines() if line.startswith("set -- "))
    words = subprocess.run(["bash", "-c", line + '\nprintf "%s\\0" "$@"'], capture_output=True, check=True).stdout
    assert words.decode().split("\0")[:-1] == ARGUMENTS[script]
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_command_line_outranks_the_site_and_the_site_the_script() -> None:
    assert rendered("train").options["partition"] == "gpu"
    assert rendered("train").options["time"] == "8:00:00"
    assert rendered("train", partition="short").options["partition"] == "short"
    assert rendered("train").options["comment"] == "all languages"


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"SBATCH_REQUEUE": "yes", "SBATCH_OVERCOMMIT": "1"}, {"requeue": "", "overcommit": ""}),
        ({"SBATCH_NO_REQUEUE": ""}, {"no-requeue": ""}),
        ({"SBATCH_REQUEUE": "no", "SBATCH_SPREAD_JOB": "0", "SBATCH_USE_MIN_NODES": "true"}, {}),
        ({"SBATCH_EXCLUSIVE": ""}, {"exclusive": ""}),
        ({"SBATCH_EXCLUSIVE": "oversubscribe", "SBATCH_PARTITION": ""}, {"exclusive": "oversubscribe"}),
        ({"SBATCH_MEM_PER_NODE": "9G", "SBATCH_TIMELIMIT": "5"}, {"mem": "9G", "time": "5"}),
        ({"SBATCH_REQ_SWITCH": "1", "SBATCH_WAIT4SWITCH": "10:00"}, {"switches": "1@10:00"}),
        ({"SBATCH_WAIT4SWITCH": "10:00", "SBATCH_DEBUG": "1", "SBATCH_WAIT": ""}, {}),
        ({"SBATCH_WAIT_ALL_NODES": "1", "SBATCH_CPUS_PER_GPU": "8"}, {"wait-all-nodes": "1", "cpus-per-gpu": "8"}),
    ],
)
def test_variables_mean_what_sbatch_takes_them_for(variables: dict[str, str], options: dict[str, str]) -> None:
    """See sbatch(1), INPUT ENVIRONMENT VARIABLES."""
    assert options_of_variables(variables) == options


def test_what_a_script_sets_can_be_taken_out_or_outranked() -> None:
    shared = rendered("train", exclusive=None, mem=None).options
    assert not shared.keys() & {"exclusive", "mem"} and "requeue" in shared
    assert "--exclusive" not in rendered("train", exclusive=None).text
    own = rendered("train").options
    assert (own["exclusive"], own["mem"], own["requeue"]) == ("", "0", "")
    never = rendered("train", site=SITE | {"SBATCH_NO_REQUEUE": ""}).options
    assert "requeue" not in never and "no-requeue" in never
    assert "no-requeue" not in rendered("train", site=SITE | {"SBATCH_NO_REQUEUE": ""}, requeue="").options
    site = SITE | {"SBATCH_EXCLUSIVE": "oversubscribe", "SBATCH_MEM_PER_GPU": "60G"}
    shared = rendered("train", site=site).options
    assert (shared["exclusive"], shared["mem-per-gpu"]) == ("oversubscribe", "60G") and "mem" not in shared
    assert "mem-per-gpu" not in rendered("train", site=site, mem="9G").options
    assert "partition" not in rendered("train", partition=None).options


def test_processes_are_counted_by_the_gpus_or_as_the_command_line_says() -> None:
    assert rendered("train").processes_per_node == 8
    assert rendered("train", **_named("gpus-per-node", "4")).processes_per_node == 4
    assert rendered("train", **_named("gpus-per-node", "a100:3,h100:1")).processes_per_node == 4
    assert rendered("train", gres="nvme:1,gpu:a100:4").processes_per_node == 4
    on_cpus = rendered("train", **_named("ntasks-per-node", "2"))
    assert on_cpus.processes_per_node == 2
    assert "gpus-per-node" not in on_cpus.options
    assert rendered("train", site={"SBATCH_GRES": "nvme:1"}).processes_per_node == 1


@pytest.mark.parametrize("name", ["gpus", "gpus-per-task", "ntasks", "tres-per-task"])
def test_options_that_give_no_machine_count_are_refused(name: str) -> None:
    wanted: dict[str, Any] = {name: "16"}
    for script in ("train", "debug"):
        with pytest.raises(ConfigError, match=f"--{name}=16 .* --gpus-per-node G"):
            rendered(script, site={}, **wanted)
    with pytest.raises(ConfigError, match="--gpus=16"):
        rendered("train", site={"SBATCH_GPUS": "16"})
    assert rendered("train", site={"SBATCH_GPUS": "16"}, **_named("gpus-per-node", "8")).processes_per_node == 8
    assert rendered("eval", site={"SBATCH_GPUS": "16"}).options["gpus"] == "1"


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
    assert (other_gres(text, 0), other_gres(text, 1)) == (without, with_one)


@pytest.mark.parametrize("text", ["many", "", "0", "a100:", "4,"])
def test_a_number_of_gpus_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"SLURM_GPUS is .*, expected a number of GPUs"):
        gpus_of(text, "SLURM_GPUS")


def test_shards_ask_for_no_gpu_and_scoring_for_one() -> None:
    assert "gpus-per-node" not in rendered("shards").options
    assert rendered("eval").options["gpus-per-node"] == "a100:1"
    site = {"SBATCH_GRES": "gpu:a100:8,nvme:1"}
    assert rendered("shards", site=site).options["gres"] == "nvme:1"
    assert rendered("eval", site=site).options["gres"] == "gpu:a100:1,nvme:1"


def test_machines_that_are_shared_are_asked_for_by_what_comes_with_a_gpu() -> None:
    """The example of slurm/site.sh."""
    text = (ROOT / "slurm" / "site.sh").read_text()
    (line,) = (line for line in text.splitlines() if "SBATCH_EXCLUSIVE=" in line)
    site = SITE | dict(word.split("=") for word in line.removeprefix("# export ").split())
    train, shards = rendered("train", site=site).options, rendered("shards", site=site).options
    assert (train["cpus-per-gpu"], train["mem-per-gpu"], train["exclusive"]) == ("8", "60G", "oversubscribe")
    assert "mem" not in train
    assert rendered("train", site=site, **_named("gpus-per-node", "2")).options["cpus-per-gpu"] == "8"
    assert not [name for name in shards if "gpu" in name] and shards["cpus-per-task"] == "8"
    scoring = rendered("eval", site=site).options
    assert scoring["cpus-per-gpu"] == "8" and "cpus-per-task" not in scoring
    on_cpus = rendered("train", site=site, **_named("ntasks-per-node", "2")).options
    assert not [name for name in on_cpus if "gpu" in name] and on_cpus["mem"] == "0"


def test_a_site_that_cannot_be_read_is_told_of_in_the_words_of_bash(tmp_path: Path) -> None:
    folder = tmp_path / "slurm"
    folder.mkdir()
    with pytest.raises(ConfigError, match="a clone of the repository"):
        rendered("train", tmp_path)
    (folder / "train.sbatch").write_text((ROOT / "slurm" / "train.sbatch").read_text())
    with pytest.raises(ConfigError, match="restore the file"):
        rendered("train", tmp_path)
    (folder / "site.sh").write_text("export SBATCH_QOS=high\nfalse || frobnicate\n")
    with pytest.raises(ConfigError, match="frobnicate"):
        rendered("train", tmp_path)
    (folder / "site.sh").write_text("SBATCH_QOS=high  # export is not needed\nSBATCH_TIMELIMIT=1:00:00\necho hello\n")
    assert rendered("train", tmp_path).options["qos"] == "high"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"nodes": "4-8"}, "expected a whole number"),
        ({"time": "tomorrow"}, "D-HH:MM:SS"),
        ({"time": "0"}, "D-HH:MM:SS"),
        ({"time": "5"}, "would come before the start"),
        ({"time": None}, "every job needs --time"),
        ({"ntasks-per-node": "two"}, "--processes-per-node: found 'two'"),
        ({"gpus-per-node": "many"}, "expected a number of GPUs"),
        ({"p": "short"}, "expected a long sbatch option"),
        ({"Partition": "short"}, "expected a long sbatch option"),
        ({"comment": "one\ntwo"}, "expected a long sbatch option"),
        ({"test-only": ""}, "an option of the sbatch command"),
        ({"array": "0-3"}, "the train script is a single job"),
    ],
)
def test_options_that_cannot_work_are_refused_before_sbatch_sees_them(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rendered("train", **wanted)


@pytest.mark.parametrize("script", ["shards", "eval"])
def test_what_works_on_one_machine_is_not_given_several(script: str) -> None:
    with pytest.raises(ConfigError, match="runs on one machine"):
        rendered(script, nodes="2")


def test_a_folder_with_a_percent_sign_stays_what_it_is() -> None:
    submission = prepare("train", ["c.yaml"], home=ROOT, about=Path("/runs/50% more"), wanted={}, environment={})
    assert submission.options["output"].startswith("/runs/50%% more/logs/")
    assert submission.options["job-name"] == "mms-train-50-more"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("8:00:00", 28_800),
        ("2-0", 172_800),
        ("1-12:30", 131_400),
        ("1-00:00:01", 86_401),
    ],
)
def test_time_limits_are_read_as_slurm_reads_them(text: str, seconds: int) -> None:
    assert limit_seconds(text) == seconds


def test_options_are_found_only_where_sbatch_looks_for_them() -> None:
    script = "#!/bin/bash\n# a comment\n#SBATCH --time=5\n\n#SBATCH --exclusive\necho\n#SBATCH --qos=late\n"
    assert options_of(script) == {"time": "5", "exclusive": ""}
    assert render(script, {"time": "9", "qos": "high"}, ["set --"]) == (
        "#!/bin/bash\n# a comment\n#SBATCH --time=9\n\n#SBATCH --exclusive\n#SBATCH --qos=high\nset --\n"
        "echo\n#SBATCH --qos=late\n"
    )


if __name__ == "__main__":
    for name in SCRIPTS:
        (GOLDEN / f"{name}.sbatch").write_text(_golden(name))

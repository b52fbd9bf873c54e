"""`mms-dist submit` fills in every shipped script: the whole result, line by line, and what it keeps of the original.

After a change that is meant: `python -m tests.slurm.test_renders` writes the golden files anew; look at the difference.
"""

import subprocess
from pathlib import Path

import pytest

from launcher.slurm.script import options_of, render
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
WANTED = {
    "train": {"nodes": "4", "time": "8:00:00", "mail-type": "END", "comment": "all languages"},
    "debug": {"nodes": "4"},
    "eval": {},
    "shards": {"array": "0-15"},
}


def rendered(script: str, home: Path = ROOT, **wanted: str) -> Submission:
    return prepare(
        script,
        ARGUMENTS[script],
        home=home,
        about=ABOUT.get(script, Path("/cluster/runs/mms-300m")),
        wanted=WANTED[script] | wanted,
        environment=SITE,
    )


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


def test_processes_are_counted_by_the_gpus_or_as_the_command_line_says() -> None:
    assert rendered("train").processes_per_node == 8
    assert rendered("train", **{"gpus-per-node": "4"}).processes_per_node == 4
    on_cpus = rendered("train", **{"ntasks-per-node": "2"})
    assert on_cpus.processes_per_node == 2
    assert "gpus-per-node" not in on_cpus.options


def test_shards_ask_for_no_gpu_and_scoring_for_one() -> None:
    assert "gpus-per-node" not in rendered("shards").options
    assert rendered("eval").options["gpus-per-node"] == "a100:1"


def test_a_site_that_cannot_be_read_is_told_of_in_the_words_of_bash(tmp_path: Path) -> None:
    folder = tmp_path / "slurm"
    folder.mkdir()
    with pytest.raises(ConfigError, match="folder of the repository"):
        rendered("train", tmp_path)
    (folder / "train.sbatch").write_text((ROOT / "slurm" / "train.sbatch").read_text())
    with pytest.raises(ConfigError, match="put the site's file back"):
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
        ({"time": "5"}, "SLURM's warning would come"),
    ],
)
def test_options_that_cannot_work_are_refused_before_sbatch_sees_them(wanted: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rendered("train", **wanted)


@pytest.mark.parametrize("script", ["shards", "eval"])
def test_what_works_on_one_machine_is_not_given_several(script: str) -> None:
    with pytest.raises(ConfigError, match="works on one machine"):
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

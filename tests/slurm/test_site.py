"""What a site's file may ask for: modules and a virtual environment after them, a container, a network interface."""

import contextlib
import os
import shutil
import sys
from pathlib import Path

import psutil
import pytest

from tests.corpus import build_toy_shards
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, submit
from tests.training import toy_config

pytestmark = pytest.mark.timeout(600)  # a wait for the cluster gives up earlier

IN_USE = {
    "    # module purge; module load cuda/12.6": "    module purge; module load cuda/12.6",
    "# IN_CONTAINER=(apptainer": "IN_CONTAINER=(apptainer",
    "IN_CONTAINER=()\n": "",
    "# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0": "export GLOO_SOCKET_IFNAME=lo",
}
"""The file's own examples, put into use; the interface is one of this machine."""

MODULE = """() {{
    echo "$*${{LMOD_SOMETHING}}" >>{folder}/modules
    if [[ $NOT_SET == nor_this ]]; then return; fi
    PATH={folder}/module:$PATH
    return 1
}}"""
"""An exported function, as on real sites: it uses what is not set, fails, and brings a python of its own."""

APPTAINER = """#!/bin/bash
words="$*"
echo "$(hostname) ${{words//$'\\n'/ }}" >>{folder}/contained
[[ "$1 $2 $3 $4 $5" == "exec --nv --bind /scratch mms-dist.sif" ]] || exit 64
export IN_IMAGE=$5
shift 5
exec unshare --mount bash -c 'mount -t tmpfs none "$0" && exec "$@"' {spool} "$@"
"""
"""Its own view of the files, which lacks slurmd's folder with the batch script."""


def test_modules_a_container_and_an_interface_reach_every_process(
    cluster: Cluster, tmp_path: Path, small_base: Path
) -> None:
    home = tmp_path / "home"
    for name in ("launcher", "mms_dist", "shards"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "slurm", home / "slurm")
    site = (home / "slurm" / "site.sh").read_text()
    for example, used in IN_USE.items():
        assert site.count(example) == 1, example
        site = site.replace(example, used)
    (home / "slurm" / "site.sh").write_text(site)
    _program(tmp_path / "module" / "python", "#!/bin/bash\necho 'of the module' >&2; exit 99\n")
    _program(tmp_path / "bin" / "apptainer", APPTAINER.format(folder=tmp_path, spool=cluster.folder / "spool"))

    config = toy_config(
        tmp_path / "run",
        small_base,
        build_toy_shards(tmp_path, languages=2, train=3, dev=2),
        run={"device": "cpu"},
        optim={"steps": 5, "warmup_steps": 0},
    )
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    options = ["--nodes=2", "--time=30", f"--output={tmp_path}/job.out"]
    environment = {
        "MMS_DIST_HOME": str(home),
        "PATH": os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "BASH_FUNC_module%%": MODULE.format(folder=tmp_path),
    }
    job = submit(cluster, "train", options, [str(tmp_path / "config.yaml")], environment)
    ranks: set[str] = set()

    def all_are_there() -> bool:
        found = cluster.processes(job, GLOO_SOCKET_IFNAME="lo", IN_IMAGE="mms-dist.sif")
        for process in found:
            with contextlib.suppress(psutil.Error, KeyError):
                ranks.add(process.environ()["RANK"])
        return ranks == {"0", "1"}

    cluster.wait_until(all_are_there, job)
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED", cluster.told(job)
    assert "found no #SBATCH --signal" not in cluster.told(job), "what is asked of the script is known in the container"
    assert (tmp_path / "modules").read_text() == "purge\nload cuda/12.6\n"
    contained = [line.split(" exec --nv --bind /scratch mms-dist.sif ") for line in _lines(tmp_path / "contained")]
    assert all(command.startswith("python -m launcher.slurm.") for _, command in contained), contained
    assert {host for host, command in contained if " launcher.slurm.node " in command} == set(cluster.nodes)


def _program(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o755)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()

"""The clusters that the tests share. SLURM is installed where that is allowed; where it is not, CI fails."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shards.file_lock import FileLock
from tests.slurm.cluster import FREEZER, PACKAGE, Cluster, missing_programs
from tests.slurm.jobs import Reference


def why_not() -> str | None:
    """Why there can be no cluster here; None if there can. Installs what is missing if this is root's machine."""
    if os.geteuid() != 0:
        return "a cluster in namespaces of its own needs root"
    if not missing_programs():
        return None
    if shutil.which("apt-get") is None:
        return f"{', '.join(missing_programs())} not found, and no apt-get to install {PACKAGE}"
    with FileLock(Path("/var/lock/mms-dist-tests-install.lock")):  # tests run side by side
        if missing_programs():
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, env=environment)
            command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if missing_programs():
                return f"{PACKAGE} could not be installed: {done.stderr.strip()[-500:]}"
    return None


@pytest.fixture(scope="session")
def slurm_is_installed() -> None:
    reason = why_not()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI tests on a real SLURM cluster: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def cluster(slurm_is_installed: None) -> Iterator[Cluster]:
    """Two nodes on which a signal to a step reaches all its processes."""
    with Cluster(2, "linuxproc") as up:
        yield up


@pytest.fixture(scope="module", params=[pytest.param("linuxproc", marks=pytest.mark.slow), "cgroup"])
def any_cluster(slurm_is_installed: None, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The same, and two on which a signal reaches only what srun has started itself."""
    if request.param == "cgroup" and not os.access(FREEZER, os.W_OK):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"this kernel has no {FREEZER}, which SLURM's cgroup plugin needs without systemd")
    with Cluster(2, request.param) as up:
        yield up


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Reference:
    """What jobs are to end with, whatever happens to them."""
    return Reference.trained(tmp_path_factory.mktemp("undisturbed"), small_base)

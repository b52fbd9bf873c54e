"""A wheel in a new environment and an empty folder: configurations by name, `init`, and `submit` from there."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

from launcher.cli import main

ROOT = Path(__file__).parents[2]
PARTS = ("launcher", "mms_dist", "shards", "configs", "slurm", "pyproject.toml", "README.md", "LICENSE")


def command(*words: str | Path, cwd: Path, status: int = 0) -> str:
    """What it prints; without what says where the checkout is."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; what it depends on comes from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for part in PARTS:
        place = ROOT / part
        if place.is_dir():
            shutil.copytree(place, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, source / part)
    command(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, cwd=folder)
    venv.create(folder / "environment", symlinks=True)
    python = folder / "environment" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    command(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel, cwd=folder)
    (packages,) = (folder / "environment" / "lib").glob("python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "environment"


def test_a_wheel_brings_configurations_and_scripts_that_submit_uses(environment: Path, tmp_path: Path) -> None:
    mms_dist = environment / "bin" / "mms-dist"
    where = command(environment / "bin" / "python", "-c", "import launcher; print(launcher.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment), "the wheel is used and not the checkout"
    told = command(mms_dist, "train", "--config", "mms-300m", "--dry-run", cwd=tmp_path, status=2)
    assert "corpus" in told and "cannot read the configuration" not in told, (
        "the shards are missing, and nothing before"
    )
    command(mms_dist, "init", "work", cwd=tmp_path)
    work = tmp_path / "work"
    for folder in ("configs", "slurm"):
        shipped = [path for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
        assert [path.read_bytes() for path in shipped] == [
            (work / path.relative_to(ROOT)).read_bytes() for path in shipped
        ]
    submit = [mms_dist, "submit", "configs/train/mms-300m.yaml", "--nodes", "2", "--dry-run", "--no-preflight"]
    told = command(*submit, cwd=work)
    assert "--nodes=2" in told and "slurm/train.sbatch configs/train/mms-300m.yaml" in told


def test_a_wheel_brings_the_parts_of_the_report_page(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "adapters").mkdir(parents=True)
    command(environment / "bin" / "mms-dist", "report", "run", "--html", cwd=tmp_path)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<style>:root" in page and "function sortBy" in page


def test_a_wheel_brings_the_template_of_the_model_card(environment: Path, tmp_path: Path) -> None:
    code = "from importlib.resources import files; print(files('mms_dist.publishing') / 'templates')"
    templates = Path(command(environment / "bin" / "python", "-c", code, cwd=tmp_path).strip())
    assert templates.is_relative_to(environment) and (templates / "model_card.md").is_file()


def test_init_changes_no_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "site.sh").write_text("mine")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "slurm" / "site.sh").read_text() == "mine"
    assert "; 1 were there already" in capsys.readouterr().out
    before: Sequence[float] = [path.stat().st_mtime_ns for path in tmp_path.rglob("*")]
    assert main(["init", str(tmp_path)]) == 0
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*")] == before


def test_a_configuration_is_found_by_its_name_and_a_file_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mms_dist.config import load_config
    from mms_dist.errors import ConfigError

    monkeypatch.chdir(tmp_path)
    assert load_config("mms-1b-all") == load_config(ROOT / "configs" / "train" / "mms-1b-all.yaml")
    (tmp_path / "mms-1b-all").write_text("run: {seed: 7}")
    assert load_config("mms-1b-all").run.seed == 7
    with pytest.raises(ConfigError, match=r"the name of a shipped one: mms-1b-all, mms-300m"):
        load_config("mms-400m")

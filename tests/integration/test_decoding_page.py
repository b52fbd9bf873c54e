"""Every command of docs/decoding.md is run, in order, in a folder that has what it names."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from shards.schema import SAMPLE_RATE
from tests.corpus import ALPHABETS, build_toy_shards, speak
from tests.doc_commands import command_lines
from tests.layouts.hub_server import hub_server
from tests.training import toy_config, train

PAGE = Path(__file__).parents[2] / "docs" / "decoding.md"


@pytest.fixture
def folder(tmp_path: Path, small_base: Path) -> Path:
    """A corpus and a run of `taa` and `tab`, in place of the page's `ron` and `hun`; recordings, texts and a list."""
    shards = build_toy_shards(tmp_path, languages=2, train=8, dev=5, test=2)
    shards.rename(tmp_path / "corpus")
    config = toy_config(tmp_path / "runs" / "mms-300m", small_base, tmp_path / "corpus", optim={"steps": 8})
    assert train(config) == "finished"
    assert main(["export", str(tmp_path / "runs" / "mms-300m"), "--to", str(tmp_path / "exported")]) == 0
    shutil.copytree(tmp_path / "runs" / "mms-300m", tmp_path / "runs" / "mms-1b", symlinks=True)
    audio = speak(f"{ALPHABETS[0]} {ALPHABETS[0]}", np.random.default_rng(0))
    soundfile.write(tmp_path / "talk.mp3", audio, SAMPLE_RATE)
    (tmp_path / "recordings").mkdir()
    soundfile.write(tmp_path / "recordings" / "clip.flac", audio, SAMPLE_RATE)
    shutil.copytree(tmp_path / "recordings", tmp_path / "noises")
    (tmp_path / "recordings.tsv").write_text("recordings/clip.flac\ttaa\n")
    for name in ("taa.txt", "taa.news.txt", "wiki.txt"):
        (tmp_path / name).write_text("abc fed\ndab\n")
    return tmp_path


def typed() -> list[str]:
    """The page's commands with the names of the toy corpus; that of SLURM is run in tests/slurm/test_other_jobs.py."""
    lines = [line.partition("  # ")[0].strip() for line in command_lines(PAGE.read_text(encoding="utf-8"))]
    commands = [line for line in lines if "mms-dist" in line and " submit " not in line]
    names = {"ron.news.txt.gz": "taa.news.txt", "ron,hun": "taa,tab", "ron": "taa"}
    for name, ours in names.items():
        commands = [line.replace(name, ours) for line in commands]
    return commands


def test_every_command_of_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    commands = typed()
    assert len(commands) >= 11
    # Models are made before they are used, although the page explains transcribing first.
    commands.sort(key=lambda line: "lm build" not in line)
    shutil.copytree(folder / "exported", folder / "hub" / "models" / "facebook" / "mms-1b-all")
    with hub_server(folder / "hub") as server:
        for line in commands:
            if "|" in line or "hf:" in line:  # the Hub's address is read when a process begins
                shell = ["bash", "-c", line.replace("mms-dist ", f"{shlex.quote(sys.executable)} -m launcher ")]
                environment = {"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
                if "hf:" in line:
                    own = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": server.url, "HF_HOME": str(folder / "home")}
                    environment |= own
                assert subprocess.run(shell, env=environment, check=False, timeout=200).returncode == 0, line
            else:
                assert main(shlex.split(line)[1:]) == 0, line
    assert any("/facebook/mms-1b-all/" in path for _, path, _ in server.requests)
    assert (folder / "texts" / "clip.json").is_file() and (folder / "subtitles" / "talk.srt").is_file()

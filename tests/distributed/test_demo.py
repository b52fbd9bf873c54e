"""`mms-dist demo --processes 2` on a cut of the demo corpus: the same adapters, and a Ctrl-C that saves them."""

import csv
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest

from launcher import cli
from mms_dist.config import load_config
from mms_dist.monitor.events import read_events
from shards.demo import DEMO_MANIFEST
from tests.distributed.launch import Launch
from tests.training import distance, final_row, start_row

UTTERANCES = {"train": 16, "dev": 3, "test": 3}
LANGUAGES = ("eng", "fra", "ita", "rus", "spa")
STEPS = 6

DEMO = """
import sys
from pathlib import Path
import shards.demo
from launcher.cli import main
shards.demo.DEMO_MANIFEST = Path({manifest!r})
sys.exit(main(["demo", *{arguments!r}]))
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few utterances of every language and split, with the corpus's own recordings."""
    path = tmp_path_factory.mktemp("corpus") / "manifest.tsv"
    taken: Counter[tuple[str, str]] = Counter()
    with DEMO_MANIFEST.open(encoding="utf-8", newline="") as source, path.open("w", encoding="utf-8") as target:
        rows = csv.DictReader(source, delimiter="\t", quoting=csv.QUOTE_NONE)
        target.write("\t".join(rows.fieldnames or ()) + "\n")
        for row in rows:
            taken[row["lang"], row["split"]] += 1
            if taken[row["lang"], row["split"]] <= UTTERANCES[row["split"]]:
                row["audio"] = str(DEMO_MANIFEST.parent / row["audio"])
                target.write("\t".join(row.values()) + "\n")
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> Path:
    """The folder of the demo in one process, done."""
    folder = tmp_path_factory.mktemp("alone")
    with mock.patch("shards.demo.DEMO_MANIFEST", manifest):
        assert cli.main(["demo", "--directory", str(folder), "--steps", str(STEPS)]) == 0
    assert "What explains the errors" in (folder / "run" / "report.html").read_text(), "it ends with its report"
    return folder


def cers(folder: Path) -> dict[str, float]:
    scores = json.loads((folder / "run" / "eval" / "test.json").read_text())
    return {language: values["cer"] for language, values in scores["languages"].items()}


def demo(manifest: Path, folder: Path, *arguments: str) -> Launch:
    """`mms-dist demo` on two processes, in a process of its own."""
    words = ["--directory", str(folder), "--processes", "2", *arguments]
    program = DEMO.format(manifest=str(manifest), arguments=words)
    return Launch([sys.executable, "-c", program], {"PYTHONPATH": os.pathsep.join(sys.path)})


def test_two_processes_give_the_adapters_and_error_rates_of_one(tmp_path: Path, manifest: Path, alone: Path) -> None:
    shutil.copytree(alone / "shards", tmp_path / "shards")
    with demo(manifest, tmp_path, "--steps", str(STEPS)) as launch:
        ended = launch.wait(240)
    assert ended.code == 0, ended.log
    assert "$ accelerate launch --multi_gpu" in ended.log
    assert json.loads((tmp_path / "run" / "status.json").read_text())["processes"] == 2
    config = load_config(alone / "run" / "config.yaml")
    for language in LANGUAGES:
        start = start_row(tmp_path / "start", language, config)
        moved = distance(final_row(tmp_path / "run", language), final_row(alone / "run", language), start)
        assert moved <= 1e-3, f"{language}: {moved:.2g} away from the run of one process"
    assert cers(tmp_path) == cers(alone)
    assert set(cers(alone)) == set(LANGUAGES)


def test_an_interrupt_saves_every_language_and_keeps_trainings_exit_status(
    tmp_path: Path, manifest: Path, alone: Path
) -> None:
    shutil.copytree(alone / "shards", tmp_path / "shards")
    log = tmp_path / "run" / "events.jsonl"
    with demo(manifest, tmp_path, "--steps", "5000") as launch:
        deadline = time.monotonic() + 120
        while not (log.exists() and any(event["kind"] == "run_started" for event in read_events(log))):
            assert launch.process.poll() is None and time.monotonic() < deadline, launch.log()
            time.sleep(0.1)
        launch.process.send_signal(signal.SIGINT)
        ended = launch.wait(60)
        assert launch.nobody_is_left(), "processes of the run are left"
    assert ended.code == 75, ended.log
    for language in LANGUAGES:
        final_row(tmp_path / "run", language)

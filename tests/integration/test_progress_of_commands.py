"""Every command that may take longer than two seconds shows what it does, on a terminal and in a log."""

import importlib
import os
import pty
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from launcher.cli import Parser, command_names, main
from launcher.commands.demo import commands as commands_of_the_demo
from mms_dist import evaluate
from mms_dist.distributed import process_group
from shards.display import plain_lines
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards

SHORT = {
    "languages": "looks codes up in a table of 1 MB",
    "init": "copies some forty small files",
    "adapters list": "lists the folders of the checkpoints",
    "adapters rollback": "reads one language's checkpoint of some MB",
    "adapters copy": "copies one language's checkpoints of some MB",
    "adapters delete": "deletes one language's checkpoints",
}
"""Commands that are done within two seconds, with the reason."""

LONG = {
    "shards build": (r"reading \S+manifest.tsv", r"\d of 21 utterances"),
    "shards index": (r"looking for tars in", r"\d of \d tars"),
    "shards verify": (r"reading \S+shards", r"\d of 21 utterances"),
    "shards flag": (r"texts of all languages", r"tab: \d+ of 21 utterances"),
    "shards inspect": (r"reading the table of tab, 1 of 2 languages done",),
    "shards align": (r"loading \S+run", r"1 of 1 recordings"),
    "plan": (r"reading the index of tab", r"planning 1 machine, 0 of 1 plans done"),
    "doctor": (r"checking: shards",),
    "debug": (r"loading the base", r"checking: nan does not spread, 2 of 7"),
    "train": (r"reading the index of tab", r"loading the base \S+", r"round \d"),
    "submit": (r"checking: shards", r"reading the index of tab"),
    "status": (r"reading \S+run",),
    "report": (r"reading \S+run, 0 of 1 runs done",),
    "eval": (r"loading the base", r"scoring tab, 1 of 2 languages done: 4 of 4 utterances in \d+ s, about 0 s left"),
    "lm build": (r"reading the texts of tab, 1 of 2 languages done", r"tab: 1 of 2 languages"),
    "transcribe": (r"loading \S+run", r"[01] of 1 recordings: \d+ of \d+ s of audio in \d+ s, about \d+ s left"),
    "export": (r"reading \S+run", r"tab: \d of 2 languages"),
}
"""Commands that may take longer, with what a log shows of them, here on tiny data."""

HIDDEN_CURSOR = "\x1b[?25l"
"""Of whatever moves."""


def every_command() -> list[str]:
    """All commands and their actions, from the parsers themselves."""
    parser = Parser(prog="mms-dist")
    subparsers = parser.add_subparsers(dest="command")
    for name in command_names():
        importlib.import_module(f"launcher.commands.{name}").add_parser(subparsers)
    return list(_leaves(parser, ""))


def _leaves(parser: Any, path: str) -> Iterator[str]:
    if parser.commands is None:
        yield path
        return
    for name, each in parser.commands.choices.items():
        yield from _leaves(each, f"{path} {name}".strip())


@pytest.fixture(scope="module")
def place(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`shards`, `config.yaml`, a `talk` with its text, and `run`, which the command trained; all in one folder."""
    folder = tmp_path_factory.mktemp("progress")
    shards = build_toy_shards(folder, languages=2, train=6, dev=2, test=2)
    values = {
        "run": {"directory": str(folder / "run")},
        "model": {"base": str(small_base)},
        "data": {"shards": str(shards), "workers": 0},
        "optim": {"steps": 2, "warmup_steps": 0, "batch_seconds": 4.0},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", str(folder / "config.yaml")]) == 0
    reader = ShardReader(ShardIndex.load(str(shards)))
    said = [reader.read("taa", "train", row) for row in range(3)]
    (folder / "talks" / "taa").mkdir(parents=True)
    soundfile.write(folder / "talks" / "taa" / "talk.wav", np.concatenate([each.audio for each in said]), SAMPLE_RATE)
    (folder / "talks" / "taa" / "talk.txt").write_text("\n".join(each.text for each in said), encoding="utf-8")
    return folder


def arguments_of(command: str, place: Path, new: Path) -> list[str]:
    """What the command is given; it writes below `new`."""
    config, run, shards = str(place / "config.yaml"), str(place / "run"), str(place / "shards")
    if command == "shards flag":  # it writes into the shards
        shutil.copytree(shards, new / "flagged")
    bare = [*_tars_without_index(place, new)] if command == "shards index" else []
    given: dict[str, list[str]] = {
        "shards build": [str(place / "manifest.tsv"), str(new / "shards"), "--workers", "1"],
        "shards index": [*bare, "--workers", "1"],
        "shards verify": [shards, "--workers", "1"],
        "shards flag": [str(new / "flagged"), "--workers", "1"],
        "shards inspect": [shards],
        "shards align": [run, str(place / "talks"), "--to", str(new / "cut"), "--processes", "1"],
        "plan": ["--config", config],
        "doctor": [config],
        "debug": ["--config", config, "--utterances", "1", "--rounds", "1", "--overfit-steps", "1"],
        "train": ["--config", config, "--run.directory", str(new / "run")],
        "submit": [config, "--dry-run"],
        "status": [run],
        "report": [run],
        "eval": [run, "--output", str(new / "scores.json")],
        "lm build": [shards, "--to", str(new / "models"), "--unit", "char"],
        "transcribe": [run, str(place / "talks" / "taa" / "talk.wav"), "--lang", "taa"],
        "export": [run, "--to", str(new / "export")],
    }
    return [*command.split(), *given[command]]


def _tars_without_index(place: Path, new: Path) -> list[str]:
    for tar in (place / "shards").rglob("*.tar"):
        copy = new / "bare" / tar.relative_to(place / "shards")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(tar.read_bytes())
    return [str(new / "bare")]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make standard output and error a terminal; what is called afterwards returns what it showed."""
    reading, writing = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        while True:
            try:
                piece = os.read(reading, 65536)
            except OSError:  # closed on the other side
                return
            shown.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writing, "w", encoding="utf-8") as stream, monkeypatch.context() as own:
        own.setattr(sys, "stdout", stream)
        own.setattr(sys, "stderr", stream)
        own.setenv("TERM", "xterm-256color")
        own.setenv("COLUMNS", "160")
        own.delenv("CI", raising=False)
        yield lambda: b"".join(shown).decode()
    thread.join()
    os.close(reading)


@pytest.fixture
def at_once(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain lines come without waiting, as they would if everything took longer than it does here."""
    for name in ("FIRST_SECONDS", "LATER_SECONDS", "LATEST_SECONDS"):
        monkeypatch.setattr(plain_lines, name, 0.0)
    monkeypatch.setattr(process_group, "SERVED_STORES", [])  # as in a process of its own
    programs = tmp_path_factory.mktemp("bin")  # without sbatch, whatever this machine has
    for name in ("bash", "env"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.chdir(Path(__file__).parents[2])
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "JPY_"))]:
        monkeypatch.delenv(name)


def test_every_command_is_known_to_be_short_or_shows_its_progress() -> None:
    assert {*every_command()} == {*SHORT, *LONG, "demo"}
    of_the_demo = {" ".join(words[1:3]) for words in commands_of_the_demo(Path("demo-run"), None, 1)}
    assert all(any(words.startswith(command) for command in LONG) for words in of_the_demo), "it runs only these"


@pytest.mark.parametrize("command", LONG)
def test_a_log_shows_what_a_command_does_in_plain_lines(
    command: str, place: Path, tmp_path: Path, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments_of(command, place, tmp_path)) in (0, 1)
    out, err = capsys.readouterr()
    for expected in LONG[command]:
        assert re.search(expected, out + err), out + err
    assert "\x1b" not in out + err and "\r" not in out + err
    times = re.findall(r"\(\d+ s\)$| in \d+ s(?:, about \d+ s left)?$", out + err, re.MULTILINE)
    assert times, "with the time that it takes"


@pytest.mark.parametrize("command", LONG)
def test_a_terminal_shows_what_a_command_does(
    command: str, place: Path, tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch) as shown:
        assert main(arguments_of(command, place, tmp_path)) in (0, 1)
    assert HIDDEN_CURSOR in shown() and "\x1b[2K" in shown(), "something moves, and is removed"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown())
    assert re.search(r"\d:\d\d", text), "with the time that it takes"


def test_progress_of_eval_has_the_utterances_of_tuning_and_conditions(
    place: Path, tmp_path: Path, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lm", "build", str(place / "shards"), "--to", str(tmp_path / "lm"), "--unit", "char"]) == 0
    copy = shutil.copytree(place / "run", tmp_path / "run")
    options = ["--lm", str(tmp_path / "lm"), "--tune", "--conditions", "telephone", "--languages", "taa"]
    capsys.readouterr()
    assert main(["eval", str(copy), *options, "--processes", "1"]) == 0
    told = capsys.readouterr().err
    for part in ("tuning taa", "scoring taa", "scoring taa under conditions"):
        assert f"{part}, 0 of 1 languages done: " in told
    counts = [int(count) for count in re.findall(r"(\d) of 6 utterances", told)]
    assert counts == sorted(counts) and {2, 4, 6} <= {*counts}


def test_the_python_function_that_scores_tells_how_far_it_is(place: Path) -> None:
    told: list[tuple[str, int]] = []
    evaluate(place / "run", split="test", on_utterances=lambda language, count: told.append((language, count)))
    assert [language for language, count in told if not count] == ["taa", "tab"]
    assert {code: sum(count for language, count in told if language == code) for code in ("taa", "tab")} == {
        "taa": 2,
        "tab": 2,
    }

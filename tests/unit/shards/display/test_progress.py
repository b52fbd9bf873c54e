"""The shard commands show a bar on a terminal, and plain lines where there is none."""

import io
import os
import pty
import re
import time

import pytest
from rich.console import Console

from launcher.cli import main
from shards.build.corpus import build_shards
from shards.build.language_build import BuildOptions
from shards.display.plain_lines import FIRST_SECONDS, LATEST_SECONDS, PlainLines
from shards.display.progress import AudioProgress, BuildDisplay, WorkProgress
from shards.display.terminal import Terminal
from tests.shard_samples import plans_of, write_corpus

BAR = "\u2501"  # what rich draws bars with


class Clock:
    """Stands still but for `tick`."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds


def console_of(*, terminal):
    return Console(
        force_terminal=terminal, file=io.StringIO(), width=100, highlight=False, markup=False, legacy_windows=False
    )


def shown(console):
    """What was written, without colours and movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_on_a_terminal_a_bar_counts_what_is_done_and_goes_away_at_the_end():
    console = console_of(terminal=True)
    with WorkProgress(console, 5, "utterances") as work:
        work.describe("ron")
        work.advance(2)
        time.sleep(0.3)  # the bar is drawn ten times a second
        assert re.search(rf"ron {BAR}.* 2/5 utterances", shown(console))
        work.begin(1234)
        work.advance()
        time.sleep(0.3)  # the bar is drawn ten times a second
        assert re.search(rf"ron {BAR}.* 3/1234 utterances", shown(console))
    assert " of 1,234 utterances" not in shown(console)
    assert console.file.getvalue().endswith("\x1b[2K")  # the line of the bar is wiped


def until(holds, seconds=10):
    """Wait for what a thread does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_elsewhere_a_plain_line_every_few_seconds_counts_what_is_done():
    clock = Clock()
    console = console_of(terminal=False)
    with WorkProgress(console, 2000, "utterances", clock=clock) as work:
        work.describe("ron")
        work.advance(500)
        clock.tick(1)
        work.advance(50)
        assert console.file.getvalue() == ""
        clock.tick(2)
        work.advance(50)
        clock.tick(9)
        work.advance(400)
        assert len(console.file.getvalue().splitlines()) == 1
        clock.tick(2)
        work.advance(500)
    lines = console.file.getvalue().splitlines()
    assert lines == [
        "ron: 600 of 2,000 utterances in 3 s, about 7 s left",
        "ron: 1,500 of 2,000 utterances in 14 s, about 5 s left",
    ]


def test_a_single_long_step_shows_too_and_work_done_at_once_does_not():
    console = console_of(terminal=False)
    with WorkProgress(console, 0, "utterances") as work:
        work.describe("reading corpus")
        assert console.file.getvalue() == ""
    clock = Clock()
    with WorkProgress(console, 0, "utterances", clock=clock) as work:
        work.describe("reading corpus")
        clock.tick(FIRST_SECONDS)
        until(lambda: console.file.getvalue() != "")
    assert console.file.getvalue() == "reading corpus (2 s)\n"


def test_lines_become_rarer_the_longer_the_work_takes():
    clock, console = Clock(), console_of(terminal=False)
    lines = PlainLines(console, lambda elapsed: f"{elapsed:.0f}", clock=clock)
    for _ in range(2 * 3600):
        clock.tick(1)
        lines.tick()
    told = [int(line) for line in console.file.getvalue().splitlines()]
    assert told[:3] == [2, 12, 22] and told[-1] - told[-2] == LATEST_SECONDS
    assert len(told) < 160


@pytest.mark.parametrize("terminal", [True, False])
def test_a_build_counts_every_utterance_and_says_when_a_language_is_built(terminal, tmp_path):
    plans = plans_of(write_corpus(tmp_path / "corpus", languages=("ita", "ron"), utterances=6))
    for state in ("built", "unchanged since it was built (use --force to rebuild)"):
        console = console_of(terminal=terminal)
        with WorkProgress(console, 12, "utterances") as work:
            progress = BuildDisplay(console, work, {plan.language: plan.total for plan in plans})
            build_shards(plans, tmp_path / "shards", BuildOptions(), workers=1, progress=progress)
            time.sleep(0.3)  # the bar is drawn ten times a second
        lines = shown(console).splitlines()
        for language in ("ita", "ron"):
            assert any(re.search(rf"{language}: 6 utterances, \d+ s, {re.escape(state)}$", line) for line in lines)
        assert any(re.search(rf"{BAR} 12/12 utterances", line) for line in lines) == terminal
        assert ("\x1b" in console.file.getvalue()) == terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_the_build_command_shows_its_bar_on_a_terminal_only(terminal, tmp_path, monkeypatch):
    console = console_of(terminal=terminal)
    for module in ("current_work", "terminal"):
        monkeypatch.setattr(f"shards.display.{module}.make_console", lambda **_: console)
    manifest = write_corpus(tmp_path / "corpus", utterances=6)
    assert main(["shards", "build", str(manifest), str(tmp_path / "shards"), "--workers", "1"]) == 0
    assert bool(re.search(rf"{BAR}.* \d+/6 utterances", shown(console))) == terminal
    assert "ron: 6 utterances, " in shown(console)


def test_in_a_notebook_commands_print_what_they_print_to_a_log(monkeypatch):
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.delenv("JPY_PARENT_PID", raising=False)
        assert Terminal(file=stream, pipe_width=100).is_terminal
        monkeypatch.setenv("JPY_PARENT_PID", "1")
        assert not Terminal(file=stream, pipe_width=100).is_terminal
    os.close(reading)


def test_what_was_done_earlier_is_not_taken_for_speed():
    clock, console = Clock(), console_of(terminal=False)
    with WorkProgress(console, 2000, "utterances", clock=clock) as work:
        work.skip(1000)
        clock.tick(10)
        work.advance(100)
    assert console.file.getvalue() == "1,100 of 2,000 utterances in 10 s, about 1.5 min left\n"


def test_one_long_recording_shows_how_long_is_left():
    clock, console = Clock(), console_of(terminal=False)
    with AudioProgress(console, 1, clock=clock) as work:
        work.opened(7200.0)
        clock.tick(10)
        work.advance(720.4)
    assert console.file.getvalue() == "0 of 1 recordings: 720 of 7,200 s of audio in 10 s, about 1.5 min left\n"


def test_the_audio_of_a_list_is_estimated_from_what_was_opened():
    clock, console = Clock(), console_of(terminal=False)
    with AudioProgress(console, 4, clock=clock) as work:
        work.opened(100.0)
        work.opened(300.0)
        work.advance(100.0)
        work.done(failed=False, seconds=100.0)
        clock.tick(10)
        work.advance(100.0)
        clock.tick(10)
        work.done(failed=True, seconds=300.0)
        work.opened(100.0)
        clock.tick(10)
        work.done(failed=True, seconds=0.0)
    assert console.file.getvalue().splitlines() == [
        "1 of 4 recordings: 200 of about 800 s of audio in 10 s, about 30 s left",
        "2 of 4 recordings: 200 of about 200 s of audio in 20 s, about 0 s left",
        "3 of 4 recordings: 200 of 200 s of audio in 30 s, about 0 s left",
    ]

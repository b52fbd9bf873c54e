"""Work of unknown length: a moving line on a terminal, plain lines in a log, and nothing of a command done at once."""

import io
import re

from rich.console import Console

from shards.display.current_work import CurrentWork


def lines(*seconds: float, terminal: bool = False) -> str:
    """Return what is printed if work begins at these seconds."""
    told, now = io.StringIO(), [0.0]
    console = Console(file=told, width=80, force_terminal=terminal)
    with CurrentWork(console, clock=lambda: now[0]) as work:
        for number, second in enumerate(seconds):
            now[0] = second
            work.describe(f"part [{number}]")
    return told.getvalue()


def test_a_command_that_is_done_at_once_prints_nothing() -> None:
    assert lines(0.0, 0.5, 1.9) == ""


def test_a_log_has_a_line_for_work_that_begins_later() -> None:
    assert lines(0.1, 2.5, 3.0, 60.2).splitlines() == ["part [1] (2 s)", "part [3] (60 s)"]


def test_a_terminal_shows_the_work_and_removes_it_at_the_end() -> None:
    told = lines(0.0, 5.0, terminal=True)
    assert "part [1] 0:00:05" in re.sub(r"\x1b\[\d+m", "", told)
    assert told.rstrip("\n").endswith("\x1b[?25h\r\x1b[1A\x1b[2K")

"""Displays fit every terminal, are never chatty, and cost the training next to nothing."""

import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from mms_dist.monitor.display_state import DisplayState
from mms_dist.monitor.formatting import decimal, duration, percent, sparkline, spelled_duration
from mms_dist.monitor.live_display import LiveDisplay, render
from mms_dist.monitor.plain_display import PlainDisplay
from mms_dist.monitor.reports import LanguageRound, RoundReport
from tests.monitor_samples import PlannedLanguage

TIME = "2026-01-02T03:04:05+00:00"


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _run(count: int, *, slots: int = 64, steps: int = 100) -> tuple[DisplayState, Clock]:
    """A run in the middle of a run: some languages wait, one is in quarantine, one is done."""
    codes = [f"{'abcdefghij'[n // 100]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyzabcd'[n % 10]}" for n in range(count)]
    planned = [PlannedLanguage(code, steps, 500, 3_600.0) for code in codes]
    clock = Clock()
    run = DisplayState.of("runs/mms-300m", planned, clock=clock)
    for code in codes[:slots]:
        _event(run, "admitted", code, step=0)
        _event(run, "evaluated", code, step=0, cer=1.0, wer=1.0, utterances=9, best=True)
    for round_number in range(1, 31):
        clock.seconds += 2.0
        run.add_round(_round(round_number, codes[:slots], steps))
    if count > 3:
        _event(run, "quarantined", codes[1], step=30, reason="the loss is nan")
        _event(run, "finished", codes[2], step=30, reason="early_stop")
    return run, clock


def _event(run: DisplayState, kind: str, language: str, **fields: Any) -> None:
    run.add_event({"time": TIME, "kind": kind, "language": language} | fields)


def _round(number: int, codes: list[str], steps: int = 100, loss: float = 1.0) -> RoundReport:
    languages = [
        LanguageRound(
            language=code,
            step=number,
            steps=steps,
            epoch=number / 10,
            loss=loss,
            lr=1e-3,
            grad_norm=2.0,
            utterances=4,
            audio_seconds=20.0,
        )
        for code in codes
    ]
    return RoundReport(
        round=number,
        languages=languages,
        seconds=1.0,
        audio_seconds=20.0 * len(codes),
        padded_seconds=25.0 * len(codes),
        data_wait_seconds=0.1,
        save_seconds=0.0,
        memory_bytes=2 * 1024**3,
    )


def _lines(run: DisplayState, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, record=True)
    console.print(render(run, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("count", [1, 5, 64, 1000])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (100, 12)])
def test_the_display_fits_the_terminal_and_cuts_no_figure(count: int, width: int, height: int) -> None:
    lines = _lines(_run(count)[0], width, height)
    assert len(lines) < height
    assert max(map(len, lines)) < width
    assert "…" not in "\n".join(lines)


def test_a_long_run_folder_gives_way_to_the_clock() -> None:
    run, _ = _run(5)
    run.run_directory = "/scratch/" + "deep/" * 30 + "mms-300m"
    head = _lines(run, 80, 24)[0]
    assert "deep/mms-300m  round 30" in head
    assert head.endswith("left 1:24")


def test_all_languages_are_shown_if_they_fit_else_those_in_training() -> None:
    run, _ = _run(64)
    text = "\n".join(_lines(run, 160, 45)[5:])
    assert all(f"{code} " in text for code in run.languages)
    run, _ = _run(1000)
    lines = _lines(run, 160, 45)
    shown = {code for code in run.languages if any(f"{code} " in line for line in lines[5:])}
    assert shown == {code for code in run.active if run.languages[code].history.state != "finished"}
    assert any("936 waiting" in line for line in lines)


def test_languages_that_do_not_fit_are_counted() -> None:
    lines = _lines(_run(1000)[0], 80, 20)
    shown = sum("━" in line for line in lines[5:])
    more = next(line for line in lines if line.startswith("+ "))
    blocks = lines[4].count("loss")
    assert int(more.split()[1]) + shown * blocks >= 63
    assert int(more.split()[1]) < 63


def test_the_end_is_told_from_the_wall_clock_of_all_remaining_steps() -> None:
    run, _ = _run(128, slots=64, steps=100)
    remaining = 62 * 70 + 64 * 100  # in training, and waiting
    assert run.remaining_steps == remaining
    assert run.eta_seconds == pytest.approx(remaining / 64 * 2.0)  # 64 steps every 2 s, rounds last 1 s


def test_a_loss_of_nan_is_shown_and_then_forgotten() -> None:
    run, _ = _run(2)
    code = run.active[0]
    run.add_round(_round(31, run.active, loss=float("nan")))
    assert "nan" in "\n".join(_lines(run, 100, 30))
    run.add_round(_round(32, run.active, loss=1.5))
    assert run.languages[code].loss == 1.5


def test_plain_lines_come_every_few_seconds_then_every_minute() -> None:
    run, clock = _run(5)
    clock.seconds = 0.0
    console = Console(file=io.StringIO(), width=80)
    progress = PlainDisplay(run, console)
    progress.start()
    printed: list[float] = []
    for tick in range(7_200 * 4):
        clock.seconds = tick / 4
        before = console.file.tell()
        progress.update()
        if console.file.tell() != before:
            printed.append(clock.seconds)
    gaps = [later - earlier for earlier, later in pairwise(printed)]
    assert printed[0] == 5.0
    assert min(gaps) >= 5.0
    assert max(gaps) <= 61.0
    assert gaps[-1] >= 60.0


def _printed(progress: PlainDisplay, console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    console.file.seek(0)
    console.file.truncate()
    progress.update(force=True)
    return console.file.getvalue().splitlines()


def test_plain_lines_name_each_new_error_rate_once_and_are_not_wrapped() -> None:
    run, _ = _run(5)
    code = run.active[0]
    console = Console(file=io.StringIO(), width=80)
    progress = PlainDisplay(run, console)
    (status,) = _printed(progress, console)  # what was measured earlier is not news
    assert status.startswith("round 30 | ")
    _event(run, "evaluated", code, step=30, cer=0.125, wer=0.5, utterances=9, best=True)
    assert _printed(progress, console)[1:] == [f"  dev CER % (* best so far): {code} 12.5*"]
    assert len(_printed(progress, console)) == 1


def test_the_rate_before_training_is_printed_even_beside_a_newer_one() -> None:
    run = DisplayState.of("runs/mms-300m", [PlannedLanguage("ron", 100)])
    console = Console(file=io.StringIO(), width=80)
    progress = PlainDisplay(run, console)
    for step, cer in ((0, 1.0), (10, 0.5), (20, 0.75)):
        _event(run, "evaluated", "ron", step=step, cer=cer, wer=0.5, utterances=9, best=step < 20)
    assert _printed(progress, console)[1:] == [
        "  dev CER % before training: ron 100.0",
        "  dev CER % (* best so far): ron 75.0",
    ]


def test_where_nothing_was_trained_no_speed_is_told() -> None:
    run = DisplayState.of("runs/mms-300m", [PlannedLanguage("ron", 100)])
    console = Console(file=io.StringIO(), width=80)
    progress = PlainDisplay(run, console)
    assert _printed(progress, console) == ["round 0 | 0:00 elapsed | 1 waiting"]
    assert isinstance(console.file, io.StringIO)
    told = console.file.getvalue()
    progress.close()
    assert console.file.getvalue() == told


def test_the_end_is_told_once() -> None:
    run, _ = _run(5)
    console = Console(file=io.StringIO(), width=80)
    progress = PlainDisplay(run, console)
    progress.close()
    progress.close()
    assert isinstance(console.file, io.StringIO)
    assert len(console.file.getvalue().splitlines()) == 1


def test_drawing_is_rationed_to_a_fraction_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from mms_dist.monitor import live_display as module

    run, clock = _run(64)
    monkeypatch.setattr(module.time, "monotonic", clock)
    drawn = 0

    def slow_render(*_: Any) -> str:
        nonlocal drawn
        drawn += 1
        clock.seconds += 0.02
        return ""

    monkeypatch.setattr(module, "render", slow_render)
    display = LiveDisplay(run, Console(file=io.StringIO(), force_terminal=True, width=80, height=24))
    display.start()
    began = clock.seconds
    while clock.seconds < began + 100:
        clock.seconds += 0.05
        display.update()
    display.close()
    assert 0.02 * drawn <= 0.006 * 100
    assert drawn > 20


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (percent, 0.2345, "23.4"),
        (percent, None, "–"),
        (percent, float("nan"), "nan"),
        (duration, 7.4, "0:07"),
        (duration, 3_723, "1:02:03"),
        (duration, 183_840, "2d 03:04"),
        (duration, None, "–"),
        (spelled_duration, 7.4, "7 s"),
        (spelled_duration, 418, "6 min 58 s"),
        (spelled_duration, 3_600, "1 h"),
        (spelled_duration, 90_061, "1 d 1 h"),
        (spelled_duration, None, "–"),
        (decimal, 0.123456, "0.12"),
        (decimal, 12.3456, "12.3"),
        (decimal, 1234.5, "1234"),
        (decimal, 0.0, "0"),
        (decimal, 3e-7, "3.0e-07"),
        (decimal, float("inf"), "inf"),
    ],
)
def test_numbers_look_the_same_everywhere(function: Callable[[Any], str], value: float, text: str) -> None:
    assert function(value) == text


def test_a_sparkline_falls_with_its_values_and_keeps_the_last() -> None:
    assert sparkline([1.0, 0.5, 0.0], 10) == "█▅▁"
    long = sparkline([1.0] * 99 + [0.0], 10)
    assert len(long) == 10
    assert long[-1] == "▁"
    assert sparkline([float("nan"), 1.0], 5) == " █"
    assert sparkline([], 5) == ""

"""The monitor tells terminal, TensorBoard and event log the same story, over restarts and errors."""

import io
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from mms_dist.monitor.console import can_redraw
from mms_dist.monitor.events import read_events
from mms_dist.monitor.history import LanguageHistory
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.reports import EvaluationReport, LanguageRound, RoundReport
from tests.monitor_samples import PlannedLanguage

PLAN = [PlannedLanguage("ita", 10, 120, 1_800.0), PlannedLanguage("ron", 10, 80, 900.0)]


@dataclass
class Rates:
    cer: float
    wer: float = 0.9
    utterances: int = 20


def _monitor(run: Path, *, live: bool = False) -> tuple[Monitor, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=live)
    return Monitor(run, languages=PLAN, live=live, console=console), out


def _round(step: int) -> RoundReport:
    languages = [
        LanguageRound(
            language=plan.language,
            step=step,
            steps=10,
            epoch=step / 5,
            loss=2.0,
            lr=1e-3,
            grad_norm=1.0,
            utterances=4,
            audio_seconds=20.0,
        )
        for plan in PLAN
    ]
    return RoundReport(round=step, languages=languages, seconds=1.0, audio_seconds=40.0, padded_seconds=41.0)


def _evaluated(monitor: Monitor, language: str, step: int, cer: float) -> None:
    monitor.evaluated(EvaluationReport(language, step, step, Rates(cer), True, [("a b", "a c")]))


def _train(monitor: Monitor, first: int, last: int) -> None:
    for step in range(first, last + 1):
        monitor.round(_round(step))


def _live_through(run: Path) -> str:
    monitor, out = _monitor(run)
    with monitor:
        monitor.event("run_started")
        monitor.start(["2 languages [tiny-mms]"])
        for plan in PLAN:
            monitor.event("admitted", language=plan.language, step=0, round=0)
            _evaluated(monitor, plan.language, 0, 1.0)
        _train(monitor, 1, 6)
        _evaluated(monitor, "ita", 6, 0.25)
        monitor.event("checkpoint_saved", language="ita", step=6, path="adapters/ita/step-00000006")
        monitor.event("quarantined", language="ron", step=6, round=6, reason="the loss is nan")
        monitor.event("finished", language="ita", step=6, round=6, reason="early_stop")
        monitor.close(monitor.summary())
    return out.getvalue()


def test_the_closing_table_tells_before_and_after_of_every_language(tmp_path: Path) -> None:
    lines = _live_through(tmp_path / "run").splitlines()
    table = lines[next(index for index, line in enumerate(lines) if line.startswith("language")) :]
    ita, ron = (next(line for line in table if line.startswith(code)) for code in ("ita", "ron"))
    assert ita.split()[:6] == ["ita", "120", "0.50", "6/10", "100.0", "→"]
    assert "25.0" in ita
    assert "early stop" in ita
    assert "adapters/ita/best" in ita
    assert "quarantined" in ron
    assert "ron quarantined since step 6: the loss is nan" in table
    assert table[-1] == f"curves: tensorboard --logdir {tmp_path / 'run' / 'tensorboard'}"


def test_what_needs_an_eye_is_printed_when_it_happens(tmp_path: Path) -> None:
    text = _live_through(tmp_path)
    assert "2 languages [tiny-mms]" in text  # brackets are text and not markup
    assert "quarantined ron: the loss is nan at step 6, CER 100.0 → 100.0 %; others continue" in text
    assert "finished ita: early stop at step 6, CER 100.0 → 25.0 %" in text


def test_the_event_log_tells_of_the_run_without_its_configuration(tmp_path: Path) -> None:
    _live_through(tmp_path)
    events = list(read_events(tmp_path / "events.jsonl"))
    assert events[0]["languages"] == ["ita", "ron"]
    admitted = next(event for event in events if event["kind"] == "admitted")
    assert (admitted["steps"], admitted["utterances"], admitted["audio_seconds"]) == (10, 120, 1_800.0)
    evaluated = [event for event in events if event["kind"] == "evaluated"]
    assert [(event["language"], event["step"], event["cer"]) for event in evaluated] == [
        ("ita", 0, 1.0),
        ("ron", 0, 1.0),
        ("ita", 6, 0.25),
    ]


def test_a_resumed_run_remembers_what_was_measured_before(tmp_path: Path) -> None:
    _live_through(tmp_path)
    checkpoint = tmp_path / "adapters" / "ita" / "step-00000006"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text('{"status": "active"}')
    (checkpoint.parent / "last").symlink_to(checkpoint.name)
    monitor, _ = _monitor(tmp_path)
    with monitor:
        monitor.event("run_resumed", round=6)
        monitor.event("admitted", language="ita", step=6, round=6)
        monitor.start()
        _evaluated(monitor, "ita", 10, 0.125)
        ita = monitor.summary().languages[0]
    assert ita.initial and ita.best
    assert (ita.initial.cer, ita.best.cer) == (1.0, 0.125)
    assert [point.step for point in ita.curve] == [0, 6, 10]


def test_a_language_whose_checkpoints_were_deleted_begins_anew(tmp_path: Path) -> None:
    _live_through(tmp_path)  # says that ita has a checkpoint, but there is none on disk
    monitor, _ = _monitor(tmp_path)
    with monitor:
        ita, ron = monitor.summary().languages
    assert (ita.state, ita.step, ita.curve, ita.steps) == ("waiting", 0, [], 10)
    assert ron.state == "quarantined"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"best": 3}', '{"best": {"cer": "x"}}', "\udcff"])
def test_a_damaged_checkpoint_does_not_keep_a_run_from_starting(tmp_path: Path, content: str) -> None:
    checkpoint = tmp_path / "adapters" / "ita" / "step-00000006"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_bytes(content.encode(errors="surrogateescape"))
    (checkpoint.parent / "last").symlink_to(checkpoint.name)
    monitor, _ = _monitor(tmp_path)
    with monitor:
        assert monitor.summary().languages[0].checkpoint_step == 6  # whether it can be loaded, the store tells


@pytest.mark.parametrize("live", [True, False])
def test_an_error_leaves_the_terminal_whole_and_the_files_written(tmp_path: Path, live: bool) -> None:
    monitor, out = _monitor(tmp_path, live=live)
    with pytest.raises(ValueError, match="boom"), monitor:
        monitor.event("run_started")
        monitor.start()
        monitor.event("admitted", language="ron", step=0)
        _train(monitor, 1, 3)
        raise ValueError("boom")
    assert any((tmp_path / "tensorboard" / "ron").iterdir())
    if live:
        shown, hidden = out.getvalue().rfind("\x1b[?25h"), out.getvalue().rfind("\x1b[?25l")
        assert shown > hidden >= 0  # the cursor is back


def test_damaged_samples_are_all_logged_and_only_the_first_are_told(tmp_path: Path) -> None:
    monitor, out = _monitor(tmp_path)
    with monitor:
        for index in range(50):
            monitor.event("damaged_sample", language="ron", key=f"k{index}", shard="train-000000.tar", reason="CRC")
        monitor.event("damaged_sample", language="ron", key="k49", shard="train-000000.tar", reason="CRC")
        monitor.close(monitor.summary())
    text = out.getvalue()
    assert text.count("damaged sample ron") == 5
    assert "counted but not printed" in text
    assert "ron damaged samples left out: 50" in text
    assert "k0 in train-000000.tar left out: CRC; run `mms-dist shards verify`" in text
    assert len(list(read_events(tmp_path / "events.jsonl"))) == 51


def test_damaged_samples_of_one_key_are_counted_by_where_they_lie(tmp_path: Path) -> None:
    earlier = [("a", "train-0.tar"), ("a", "train-1.tar"), ("a", "train-0.tar"), ("b", "dev")]  # without rows
    later = [("a", "train", 3, "train-0.tar"), ("a", "train", 9, "train-1.tar"), ("b", "dev", 0, "dev-0.tar")]
    monitor, out = _monitor(tmp_path)

    def ron() -> LanguageHistory:
        return next(language for language in monitor.summary().languages if language.language == "ron")

    with monitor:
        for key, shard in earlier:
            monitor.event("damaged_sample", language="ron", key=key, shard=shard, reason="CRC")
        assert ron().damaged_samples == 3
        for key, split, row, shard in [*later, *later, ("a", "dev", 3, "dev-0.tar")]:
            monitor.event("damaged_sample", language="ron", key=key, split=split, row=row, shard=shard, reason="CRC")
        assert ron().damaged_samples == 4
    assert "a (row 3) in train-0.tar left out" in out.getvalue()


def test_events_may_come_from_the_thread_that_saves(tmp_path: Path) -> None:
    monitor, _ = _monitor(tmp_path, live=True)
    with monitor:
        monitor.start()
        saver = threading.Thread(
            target=lambda: [monitor.event("checkpoint_saved", language="ron", step=n) for n in range(100)]
        )
        saver.start()
        _train(monitor, 1, 10)
        saver.join()
    assert len(list(read_events(tmp_path / "events.jsonl"))) == 100


def test_without_tensorboard_no_event_file_is_written(tmp_path: Path) -> None:
    with Monitor(tmp_path, languages=PLAN, live=False, tensorboard=False, console=Console(file=io.StringIO())) as it:
        it.start(["plan"])
        _train(it, 1, 3)
    assert not (tmp_path / "tensorboard").exists()


def test_only_a_terminal_with_a_cursor_outside_ci_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert can_redraw(Console(file=io.StringIO(), force_terminal=True))
    assert not can_redraw(Console(file=io.StringIO()))
    monkeypatch.setenv("CI", "true")
    assert not can_redraw(Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.delenv("CI")
    monkeypatch.setenv("TERM", "dumb")
    assert not can_redraw(Console(file=io.StringIO(), force_terminal=True))

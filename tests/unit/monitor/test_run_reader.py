"""`mms-dist report` tells of a run from its files: going on, ended, damaged, or copied from elsewhere."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from launcher.cli import main
from mms_dist.monitor import plot
from mms_dist.monitor.events import EventLog
from mms_dist.monitor.history import CurvePoint, LanguageHistory
from mms_dist.monitor.run_reader import read_run


def _run(folder: Path, languages: int = 2) -> Path:
    log = EventLog(folder / "events.jsonl")
    codes = [f"a{chr(97 + index // 26)}{chr(97 + index % 26)}" for index in range(languages)]
    log.write("run_started", round=0, languages=codes)
    for index, code in enumerate(codes):
        log.write("admitted", language=code, step=0, steps=40, utterances=100, audio_seconds=7_200)
        for step, cer in ((0, 1.0), (20, 0.4), (40, 0.2 + index / 1000)):
            log.write("evaluated", language=code, step=step, cer=cer, wer=0.9, utterances=10, best=True)
        _checkpoint(folder, code, 40)
        log.write("finished", language=code, step=40, reason="steps")
    log.close()
    return folder


def _checkpoint(folder: Path, code: str, step: int, **state: Any) -> None:
    checkpoint = folder / "adapters" / code / f"step-{step:08d}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"step": step, "status": "finished"} | state))
    os.symlink(checkpoint.name, checkpoint.parent / "last")


def test_the_table_has_a_line_for_every_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(_run(tmp_path))]) == 0
    text = capsys.readouterr().out
    (line,) = (line for line in text.splitlines() if line.startswith("aaa"))
    assert "100.0 → 20.0" in line
    assert "all steps" in line
    assert "step 40, 0 s ago" in line
    assert f"tensorboard --logdir {tmp_path}/tensorboard" in text


def test_the_json_is_complete_and_standard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _run(tmp_path)
    EventLog(run / "events.jsonl").write(
        "evaluated", language="aab", step=60, cer=float("nan"), wer=float("nan"), utterances=10, best=False
    )
    assert main(["report", str(run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    language = document["languages"]["aaa"]
    assert (language["initial_cer"], language["cer"], language["best_cer"], language["best_step"]) == (1, 0.2, 0.2, 40)
    assert (language["state"], language["reason"], language["checkpoint_step"]) == ("finished", "steps", 40)
    assert document["languages"]["aab"]["cer"] is None


def test_a_language_without_events_is_told_of_by_its_checkpoint(tmp_path: Path) -> None:
    best = {"initial": 1.0, "cer": 0.3, "wer": 0.6, "step": 50, "stale": 0}
    _checkpoint(_run(tmp_path), "zul", 77, reason="early_stop", best=best)
    summary, _ = read_run(tmp_path)
    copied = summary.languages[-1]
    assert (copied.language, copied.step, copied.state, copied.checkpoint_step) == ("zul", 77, "finished", 77)
    assert copied.initial and copied.best
    assert (copied.initial.cer, copied.best.cer, copied.best.wer, copied.best.step) == (1.0, 0.3, 0.6, 50)


def test_a_run_with_a_torn_last_event_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(_run(tmp_path) / "events.jsonl", "ab") as log:
        log.write(b'{"time": "2026-01-')
    assert main(["report", str(tmp_path)]) == 0
    assert "aab" in capsys.readouterr().out


@pytest.mark.parametrize("languages", [1, 5, 30, 100])
def test_the_plot_is_a_picture_for_few_and_for_many_languages(tmp_path: Path, languages: int) -> None:
    picture = tmp_path / "curves.png"
    assert main(["report", str(_run(tmp_path / "run", languages)), "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize(("initial", "marked"), [(1.8, True), (0.9, False)])
def test_a_rate_above_100_percent_does_not_flatten_the_curves(initial: float, marked: bool) -> None:
    points = [(0, initial), (10, 0.4)]
    curve = [CurvePoint(step, cer, 1.0, 5, best=True) for step, cer in points]
    languages = [LanguageHistory(language="ron", curve=curve)]
    assert plot._top(languages) == pytest.approx(100.0 if marked else 94.5)
    axes = Figure().subplots()
    plot._mark_above(axes, languages)
    assert [text.get_text() for text in axes.texts] == ([plot.ABOVE] if marked else [])


def test_what_cannot_be_told_is_an_error_that_names_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "is not a run" in capsys.readouterr().err
    EventLog(tmp_path / "fresh" / "events.jsonl").close()
    assert main(["report", str(tmp_path / "fresh"), "--plot", "x.png"]) == 2
    assert "no language has been evaluated yet" in capsys.readouterr().err
    assert main(["report", str(_run(tmp_path / "run")), "--plot", str(tmp_path / "curves.doc")]) == 2
    assert "pass --plot FILE.png" in capsys.readouterr().err


def test_a_missing_matplotlib_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["report", str(_run(tmp_path)), "--plot", "x.png"]) == 2
    assert "pip install -e '.[plot]'" in capsys.readouterr().err

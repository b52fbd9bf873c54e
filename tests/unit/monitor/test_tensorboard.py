"""Event files say what TensorBoard needs, once, whatever happened to the processes that wrote them."""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mms_dist.errors import TrainingError
from mms_dist.monitor.reports import EvaluationReport, LanguageRound, RoundReport
from mms_dist.monitor.tensorboard import POINTS_PER_CURVE, TensorBoard


@dataclass
class Rates:
    cer: float = 0.25
    wer: float = 0.5
    utterances: int = 3


def _round(number: int, steps: dict[str, int], *, limit: int = 100, loss: float = 2.0) -> RoundReport:
    languages = [
        LanguageRound(
            language=code,
            step=step,
            steps=limit,
            epoch=step / 10,
            loss=loss + step,
            lr=1e-3,
            grad_norm=0.5,
            utterances=4,
            audio_seconds=20.0,
        )
        for code, step in steps.items()
    ]
    return RoundReport(
        round=number,
        languages=languages,
        seconds=2.0,
        audio_seconds=90.0,
        padded_seconds=100.0,
        data_wait_seconds=0.2,
        save_seconds=0.1,
        memory_bytes=3 * 1024**3,
        waiting=5,
        finished=6,
        save_all_seconds=1.5,
        evaluation_fraction=0.03,
        compute_seconds=1.8,
        read_seconds=0.5,
        read_audio_seconds=200.0,
        readers=2,
    )


def _read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def _curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in _read(folder).Scalars(tag)]


def test_tags_and_values_are_those_of_the_design(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.plan(["5 languages", "8 slots"])
    board.round(_round(7, {"ron": 3}))
    board.evaluated(EvaluationReport("ron", 3, 7, Rates(), True, [("bună | ziua", "buna")]))
    board.flush()
    names = {"loss", "cer", "wer", "lr", "grad_norm", "epoch"}
    language = _read(tmp_path / "ron")
    assert set(language.Tags()["scalars"]) == {f"lang/ron/{name}" for name in names} | {
        "all/loss",
        "all/cer",
        "all/wer",
    }
    (transcripts,) = language.Tensors("lang/ron/transcripts")
    assert "| bună \\| ziua | buna |" in transcripts.tensor_proto.string_val[0].decode()
    system = tmp_path / "system"
    expected = {
        "audio_seconds_per_second": 45.0,
        "padding_fraction": 0.1,
        "data_wait_fraction": 0.1,
        "save_fraction": 0.05,
        "save_all_seconds": 1.5,
        "evaluation_fraction": 0.03,
        "round_seconds": 2.0,
        "memory_gib": 3.0,
        "active_languages": 1.0,
        "waiting_languages": 5.0,
        "finished_languages": 6.0,
        "device_audio_seconds_per_second": 50.0,
        "loader_audio_seconds_per_second": 800.0,
    }
    assert {tag: _curve(system, tag) for tag in _read(system).Tags()["scalars"]} == {
        f"system/{name}": [(7, pytest.approx(value))] for name, value in expected.items()
    }
    (plan,) = _read(system).Tensors("system/plan")
    assert "    8 slots" in plan.tensor_proto.string_val[0].decode()


def test_a_language_counts_its_own_steps_and_the_system_its_rounds(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.round(_round(100, {"ita": 90, "ron": 1}))
    board.round(_round(101, {"ita": 91, "ron": 2}))
    board.flush()
    assert [step for step, _ in _curve(tmp_path / "ron", "lang/ron/loss")] == [1, 2]
    assert [step for step, _ in _curve(tmp_path / "ita", "lang/ita/loss")] == [90, 91]
    assert [step for step, _ in _curve(tmp_path / "system", "system/round_seconds")] == [100, 101]


def test_curves_have_no_duplicates_after_a_kill_and_a_resume(tmp_path: Path) -> None:
    killed = TensorBoard(tmp_path)
    for number in range(1, 11):
        killed.round(_round(number, {"ita": number + 50, "ron": number}))
        killed.flush()
    (torn,) = (tmp_path / "ron").iterdir()
    torn.write_bytes(torn.read_bytes()[:-5])
    resumed = TensorBoard(tmp_path)  # ron from a checkpoint at step 6, ita from one at 58
    for number in range(7, 13):
        resumed.round(_round(number, {"ita": number + 52, "ron": number}, loss=3.0))
    resumed.flush()
    expected = [(step, 2.0 + step) for step in range(1, 7)] + [(step, 3.0 + step) for step in range(7, 13)]
    assert _curve(tmp_path / "ron", "lang/ron/loss") == expected
    steps = [step for step, _ in _curve(tmp_path / "ita", "lang/ita/loss")]
    assert steps == list(range(51, 65))  # its steps are above ron's and were not touched by ron's restart
    assert [step for step, _ in _curve(tmp_path / "system", "system/memory_gib")] == list(range(1, 13))


def test_a_language_that_starts_over_replaces_only_its_own_curve(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    for step in range(1, 6):
        board.round(_round(step, {"ita": step, "ron": step}))
    board.admitted("ron", 0)
    board.round(_round(6, {"ita": 6, "ron": 1}, loss=9.0))
    board.flush()
    assert _curve(tmp_path / "ron", "lang/ron/loss") == [(1, 10.0)]
    assert [step for step, _ in _curve(tmp_path / "ita", "lang/ita/loss")] == list(range(1, 7))


def test_an_evaluation_before_its_steps_leaves_no_duplicates_after_a_kill(tmp_path: Path) -> None:
    killed = TensorBoard(tmp_path)
    for number in range(1, 9):
        killed.round(_round(number, {"ron": number}))
    killed.flush()
    resumed = TensorBoard(tmp_path)
    resumed.admitted("ron", 5)
    resumed.evaluated(EvaluationReport("ron", 10, 10, Rates(), False, []))
    for number in range(6, 11):
        resumed.round(_round(number, {"ron": number}, loss=3.0))
    resumed.flush()
    expected = [(step, 2.0 + step) for step in range(1, 6)] + [(step, 3.0 + step) for step in range(6, 11)]
    assert _curve(tmp_path / "ron", "lang/ron/loss") == expected


def test_a_loss_that_is_not_finite_is_drawn_as_it_is(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.round(_round(1, {"ron": 7}, limit=50_000, loss=float("nan")))
    board.flush()
    ((step, loss),) = _curve(tmp_path / "ron", "lang/ron/loss")
    assert step == 7
    assert math.isnan(loss)


def test_long_curves_are_thinned_to_what_tensorboard_keeps_with_their_ends(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    limit = 3 * POINTS_PER_CURVE + 1
    for step in range(1, limit + 1):
        board.round(_round(step, {"ron": step}, limit=limit))
    board.flush()
    steps = [step for step, _ in _curve(tmp_path / "ron", "lang/ron/loss")]
    assert len(steps) <= POINTS_PER_CURVE + 2
    assert (steps[0], steps[-1]) == (1, limit)


def test_no_file_stays_open_between_flushes(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    board = TensorBoard(tmp_path)
    for step in (1, 2):
        board.round(_round(step, {f"l{index:02}": step for index in range(50)}))
        board.flush()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(list(tmp_path.iterdir())) == 51


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "ron").write_text("in the way")
    board = TensorBoard(tmp_path)
    board.round(_round(1, {"ron": 1}))
    with pytest.raises(TrainingError, match=r"cannot write .*ron"):
        board.flush()

"""Event files say what TensorBoard needs, once, whatever happened to the processes that wrote them."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from mms_dist.errors import TrainingError
from mms_dist.monitor import tensorboard
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
    assert "| bun**ă** **\\|** **ziu**a | buna |" in transcripts.tensor_proto.string_val[0].decode()
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


@dataclass
class Planned:
    language: str
    seconds: float = 5_400.0
    steps: int = 100
    utterances: int = 900


def test_the_systems_curves_survive_a_resume_that_writes_its_plan(tmp_path: Path) -> None:
    for first in (1, 4):
        board = TensorBoard(tmp_path)
        board.plan([f"from round {first}"])
        for number in range(first, first + 4):
            board.round(_round(number, {"ron": number}))
        board.flush()
    assert [step for step, _ in _curve(tmp_path / "system", "system/memory_gib")] == list(range(1, 8))


def test_every_language_is_a_row_of_the_hparams_page_with_its_end(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, [Planned("ron"), Planned("zzz", 1_800.0)])
    for code in ("ron", "zzz"):
        board.admitted(code, 0)
        board.evaluated(EvaluationReport(code, 0, 0, Rates(), True))
    board.round(_round(1, {"ron": 1, "zzz": 1}))
    board.ended("ron", 1, succeeded=True)
    board.ended("ita", 1, succeeded=True)  # finished in an earlier process: its files stay as they are
    board.flush()
    rows = {code: _hparams(tmp_path / code, "_hparams_/session_start_info") for code in ("ron", "zzz")}
    hours = {code: row.session_start_info.hparams["train hours"].number_value for code, row in rows.items()}
    assert hours == {"ron": 1.5, "zzz": 0.5}
    assert rows["ron"].session_start_info.hparams["name"].string_value == "Romanian"
    assert rows["ron"].session_start_info.hparams["script"].string_value == "Latn"
    assert _hparams(tmp_path / "ron", "_hparams_/session_end_info").session_end_info.status == api_pb2.STATUS_SUCCESS
    assert not (tmp_path / "ita").exists()
    page = _hparams(tmp_path / "system", "_hparams_/experiment").experiment
    assert {column.name for column in page.hparam_infos} == set(rows["ron"].session_start_info.hparams)
    tags = _read(tmp_path / "ron").Tags()["scalars"]
    assert {metric.name.tag for metric in page.metric_infos} <= set(tags)


def test_a_resumed_language_keeps_the_evaluation_of_its_checkpoint(tmp_path: Path) -> None:
    killed = TensorBoard(tmp_path, [Planned("ron")])
    killed.evaluated(EvaluationReport("ron", 5, 5, Rates(), True))
    killed.flush()
    resumed = TensorBoard(tmp_path, [Planned("ron")])
    resumed.admitted("ron", 5)
    resumed.round(_round(6, {"ron": 6}))
    resumed.flush()
    assert _curve(tmp_path / "ron", "all/cer") == [(5, 0.25)]


def test_recordings_are_cut_and_left_out_by_the_share_of_a_language(tmp_path: Path) -> None:
    second = (3_000 * np.sin(np.arange(16_000) / 9)).astype(np.int16)
    report = EvaluationReport("ron", 0, 0, Rates(), True, [("unu", ""), ("doi", ""), ("trei", "")])
    for share, expected in ((12.0, [10.0, 1.0]), (100.0, [10.0, 1.0, 10.0]), (0.5, [0.5])):
        languages = [Planned(f"l{number}") for number in range(int(tensorboard.AUDIO_BYTES / (share * 16_000)))]
        board = TensorBoard(tmp_path / str(share), [Planned("ron"), *languages])
        report.audio = [np.tile(second, 20), second, np.tile(second, 30)]
        board.evaluated(report)
        board.flush()
        found = _read(tmp_path / str(share) / "ron")
        tags = sorted(tag for tag in found.Tags()["tensors"] if "/audio/" in tag)
        assert tags == [f"lang/ron/audio/{number}" for number in range(1, len(expected) + 1)]
        for tag, seconds in zip(tags, expected, strict=True):
            sound, rate = soundfile.read(io.BytesIO(found.Tensors(tag)[0].tensor_proto.string_val[0]))
            assert rate == 16_000
            assert len(sound) / rate == pytest.approx(seconds, abs=0.01)
            assert np.abs(sound[: len(second) // 2]).max() == pytest.approx(3_000 / 32_768, rel=0.05)


def test_percentiles_of_all_languages_are_charts_of_the_system(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.round(_round(3, {"ron": 3}))
    board.languages(3, [(cer / 100, cer / 50) for cer in range(101)])
    board.flush()
    found = _read(tmp_path / "system")
    values = {"p10": 0.1, "median": 0.5, "p90": 0.9}
    for name, factor in (("cer", 1), ("wer", 2)):
        for percentile, value in values.items():
            assert _curve(tmp_path / "system", f"languages/{name}_{percentile}") == [(3, pytest.approx(factor * value))]
    (stored,) = found.Tensors("custom_scalars__config__")
    charts = Layout.FromString(stored.tensor_proto.string_val[0])
    drawn = {
        tag
        for category in charts.category
        for chart in category.chart
        for tag in (*chart.multiline.tag, *(t for s in chart.margin.series for t in (s.value, s.lower, s.upper)))
    }
    assert drawn <= set(found.Tags()["scalars"])


def _hparams(folder: Path, tag: str) -> HParamsPluginData:
    return HParamsPluginData.FromString(_read(folder).SummaryMetadata(tag).plugin_data.content)

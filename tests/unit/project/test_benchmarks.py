"""The benchmarks count what they say they count. Nothing here asserts a timing."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tests.benchmarks.__main__ as benchmarks
from mms_dist.config import parse_config
from mms_dist.data.language_summaries import summarise_languages
from mms_dist.data.stream import Position
from mms_dist.model.base import FrozenBase
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.benchmarks.__main__ import BENCHMARKS, benchmark
from tests.benchmarks.arithmetic import VOCABULARY, BareProducts, training_pass
from tests.benchmarks.bases import random_base, routed_model
from tests.benchmarks.corpora import toy_shards
from tests.benchmarks.hugging_face import planned_batches, read_examples
from tests.benchmarks.measure import Measurement, Target, Timing, alternate, median_ratio
from tests.benchmarks.report import markdown, to_json


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> FrozenBase:
    folder = random_base(tmp_path_factory.mktemp("base"), "tiny", layers=3)
    return FrozenBase.load(str(folder), dtype=torch.float32)


def test_the_bare_products_multiply_as_often_as_the_training_pass(base: FrozenBase) -> None:
    audio_BN = torch.randn(4, 32_000)
    products = BareProducts(base, 4, audio_BN.shape[1])
    work = training_pass(routed_model(base, [VOCABULARY] * 4), audio_BN)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted:  # fused attention is not counted
        work()
    with FlopCounterMode(display=False) as bare:
        products()
    assert bare.get_total_flops() == products.flop
    assert products.flop == pytest.approx(counted.get_total_flops(), rel=0.01)


def test_the_recipe_trains_on_the_batches_that_joint_training_takes(tmp_path: Path) -> None:
    shards = toy_shards(tmp_path, languages=2, utterances=9)
    config = parse_config({"data": {"shards": str(shards)}, "optim": {"batch_seconds": 6.0}})
    index, summaries = summarise_languages(config)
    reader = ShardReader(index)
    for entry in summaries:
        examples, stream = read_examples(config, index, reader, entry.language)
        first_epoch = planned_batches(stream, len(stream.batches(0)))
        assert sorted(item for batch in first_epoch for item in batch) == list(range(entry.utterances))
        assert len(examples) == entry.utterances
        assert planned_batches(stream, 30)[len(first_epoch)] == stream.at(Position(1, 0)).tolist()
    reader.close()


def test_a_benchmark_corpus_has_nothing_to_evaluate_on(tmp_path: Path) -> None:
    index = ShardIndex.load(str(toy_shards(tmp_path, languages=1, utterances=5)))
    assert [index.language("taa").utterances(split) for split in ("train", "dev", "test")] == [5, 0, 0]


def test_sides_are_timed_in_turn_and_in_both_orders() -> None:
    calls: list[str] = []
    timings = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2)
    assert "".join(calls) == "ab" + "ab" + "ba"
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_a_ratio_is_taken_within_repetitions() -> None:
    slow_machine = median_ratio(Timing((2.0, 20.0, 4.0)), Timing((1.0, 10.0, 2.0)))
    assert slow_machine == 2.0


@pytest.mark.parametrize(("bound", "met"), [("at most", 0.9), ("at least", 1.1)])
def test_a_target_is_met_on_its_own_side_only(bound: str, met: float) -> None:
    target = Target(bound, 1.0)  # type: ignore[arg-type]
    assert target.is_met(met) and target.is_met(1.0) and not target.is_met(2 - met)


def test_a_missed_target_is_called_missed_and_comes_with_its_profile() -> None:
    lines = [
        Measurement("routing", "bad", 2.0, 1.0, "ms", 2.0, "a / b", Target("at most", 1.03), profile="addmm 100 %"),
        Measurement("routing", "shown", 1.0, 1.0, "ms", 1.0, "a / b"),
    ]
    text = markdown(lines, {"threads": "2"})
    assert "| routing | bad | 2 ms | 1 ms | 2 | ≤ 1.03 | missed |" in text
    assert "| routing | shown | 1 ms | 1 ms | 1 | – | – |" in text
    assert "addmm 100 %" in text
    assert [item["verdict"] for item in json.loads(to_json(lines, {}))["measurements"]] == ["missed", "–"]


def test_a_missed_target_fails_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for ratio, strict, status in ((2.0, True, 1), (2.0, False, 0), (0.5, True, 0)):
        line = Measurement("padding", "case", 1.0, 1.0, "s", ratio, "a / b", Target("at most", 1.0))
        monkeypatch.setattr(benchmarks, "benchmark", lambda name, line=line: lambda *, quick: iter([line]))
        assert benchmarks.main(["--only", "padding", "--threads", "1", *["--strict"] * strict]) == status


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_can_be_found(name: str) -> None:
    assert callable(benchmark(name))


def test_the_padding_benchmark_runs() -> None:
    measured = list(benchmark("padding")(quick=True))
    assert [item.ratio < 0.2 for item in measured] == [True] * 4 + [False]
    assert measured[-1].unit == "forwards" and measured[-1].target.is_met(measured[-1].ratio)

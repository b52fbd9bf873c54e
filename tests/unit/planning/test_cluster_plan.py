"""What a plan says of traffic, memory, reading and padding."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from launcher.cli import main
from mms_dist.config import parse_config
from mms_dist.data.language_summaries import LanguageSummary, Work, summarise_languages
from mms_dist.data.stream import LanguageStream
from mms_dist.data.training_stream import training_stream
from mms_dist.debugging.saved_tensors import SavedTensors
from mms_dist.distributed.placement import RankGroup
from mms_dist.hardware.memory_estimate import LOGIT_COPIES, MemoryNeeds
from mms_dist.model.adapter import RowLayout
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.base_shape import BaseShape, number_bytes
from mms_dist.planning.cluster import Cluster
from mms_dist.planning.cluster_plan import make_plan
from mms_dist.planning.round_sample import sample_rounds
from mms_dist.planning.schedule import Phase, phases
from mms_dist.planning.traffic import PlannedTraffic, communication, shard_reads
from mms_dist.training.scheduler import Ranks
from shards.schema import SAMPLE_RATE
from tests.benchmarks.bases import batch_of, random_base, routed_model
from tests.corpus import build_toy_shards
from tests.packed import as_packed
from tests.training import toy_config
from tests.unit.model.test_operations import Operations
from tests.unit.planning.test_schedule import entry, mms_lab, uneven

TINY = BaseShape(layers=6, hidden=192, feed_forward=768, parameters=3_000_000)


def phase(first_round: int, rounds: int, placement: dict[str, RankGroup]) -> Phase:
    return Phase(first_round, rounds, {language: Work(language, 160.0) for language in placement}, placement, 0)


def test_only_shared_languages_and_events_cost_traffic_in_a_round() -> None:
    cluster = Cluster(nodes=1, gpus=4)
    sizes = {"aaa": 1000, "bbb": 1000}
    alone = communication(phase(1, 10, {"aaa": RankGroup(0, 1), "bbb": RankGroup(1, 1)}), {}, cluster, sizes)
    assert alone.traffic == PlannedTraffic(flags=10 * 4 * 4 * (2 + 2)) and alone.round_seconds == 0
    shared = communication(phase(1, 10, {"aaa": RankGroup(0, 2), "bbb": RankGroup(2, 1)}), {}, cluster, sizes)
    assert shared.traffic.gradients == 10 * 2 * 1000 and shared.traffic.moves == 0
    assert shared.round_seconds == pytest.approx(1000 / cluster.bytes_per_second)
    one = communication(phase(1, 10, {"aaa": RankGroup(0, 1)}), {}, Cluster(nodes=1, gpus=1), sizes)
    assert one.traffic == PlannedTraffic()


def test_a_language_moves_to_new_owners_only() -> None:
    cluster = Cluster(nodes=1, gpus=4)
    before = {"aaa": RankGroup(0, 2), "bbb": RankGroup(2, 1), "gone": RankGroup(3, 1)}
    after = phase(11, 10, {"aaa": RankGroup(0, 4), "bbb": RankGroup(2, 1), "new": RankGroup(3, 1)})
    costs = communication(after, before, cluster, {"aaa": 1000, "bbb": 1000, "new": 1000})
    assert costs.traffic.moves == 2 * 3 * 1000
    assert costs.move_seconds == pytest.approx(3 * 1000 / cluster.bytes_per_second), "both owners send, one each"


def test_a_node_reads_its_ranks_shares_and_meets_its_languages_shards() -> None:
    cluster = Cluster(nodes=2, gpus=2)
    summaries = [entry("aaa", seconds=1600.0), entry("bbb", seconds=3200.0)]
    plan = [phase(1, 10, {"aaa": RankGroup(0, 4), "bbb": RankGroup(1, 1)})]
    found = shard_reads(plan, summaries, cluster, {"aaa": 10.0, "bbb": 10.0})
    assert found.node_bytes == 10 * 10 * (160 / 2 + 160)
    assert found.node_distinct_bytes == 10 * (1600 + 3200)


def test_all_nodes_together_read_all_batches() -> None:
    summaries = uneven(23)
    cluster = Cluster(nodes=1, gpus=4)
    schedule = list(phases(summaries, Ranks(4, 8)))
    found = shard_reads(schedule, summaries, cluster, dict.fromkeys((each.language for each in summaries), 1.0))
    assert found.node_bytes == pytest.approx(sum(each.work_seconds() for each in summaries), abs=1)


def test_a_plan_adds_up() -> None:
    summaries = uneven(37)
    config = parse_config({"rounds": {"slots": 4}, "run": {"device": "cpu"}})
    slow = make_plan(config, summaries, None, TINY, Cluster(2, 4, speed=10.0, bandwidth_gbit=1.0, memory_gib=1.0))
    assert slow.rounds == sum(line.rounds for line in slow.phases)
    assert slow.total_audio_seconds == pytest.approx(sum(each.work_seconds() for each in summaries))
    assert slow.makespan_seconds == pytest.approx(slow.audio_seconds / 10 + slow.exchange_seconds)
    assert slow.over_least >= slow.audio_seconds / slow.least_audio_seconds >= 1
    assert slow.fits is True and slow.memory.total <= 2**30
    row = 4 * RowLayout(6, 192, 16).row_size(40)
    assert slow.memory.rows == 4 * 4 * row and slow.memory.base == 4 * TINY.parameters
    assert slow.memory.total == 4 * TINY.parameters + (4 + 3) * 4 * row + slow.memory.activations
    unknown = make_plan(config, summaries, None, TINY, Cluster(2, 4, memory_gib=0.001))
    assert (
        unknown.makespan_seconds is None and unknown.over_least == unknown.audio_seconds / unknown.least_audio_seconds
    )
    assert unknown.fits is False


def test_replicas_send_every_gradient_every_round() -> None:
    summaries = [entry("aaa", steps=10), entry("bbb", steps=10)]
    config = parse_config({"rounds": {"placement": "replicate", "slots": 2}})
    plan = make_plan(config, summaries, None, TINY, Cluster(1, 4))
    assert plan.traffic.gradients == 10 * 4 * 2 * 4 * RowLayout(6, 192, 16).row_size(40)
    assert plan.phases[0].largest_block == 4 and plan.skew == pytest.approx(0)


@pytest.fixture(scope="module")
def toy_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("toy"), languages=5, train=24)


def test_real_batches_are_dealt_whole_and_their_padding_is_known(
    tmp_path: Path, small_base: Path, toy_shards: Path
) -> None:
    config = toy_config(tmp_path / "run", small_base, toy_shards)
    index, summaries = summarise_languages(config)
    schedule = list(phases(summaries, Ranks(4, 8)))

    def stream_of(language: str) -> LanguageStream:
        return training_stream(config, index.language(language))

    sample = sample_rounds(stream_of, schedule, world=4, forward_seconds=12.0)
    assert (sample.rounds, sample.ranks) == (3, 4)
    assert 0 <= sample.padding_fraction < 0.3 and sample.skew >= 0
    packed = sample_rounds(stream_of, schedule, world=4, forward_seconds=12.0, packed=True)
    assert 0 <= packed.padding_fraction < 1 and packed.skew == sample.skew
    whole = sample_rounds(stream_of, schedule, world=4, forward_seconds=3600.0, packed=True)
    assert whole.padding_fraction > 0.9, "a packed pass has one size, whatever is in it"
    alone = sample_rounds(stream_of, schedule, world=4, forward_seconds=1e-3)
    assert alone.padding_fraction == pytest.approx(0, abs=1e-9), "an utterance by itself is not padded"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_a_forward_pass_keeps_is_foretold(tmp_path: Path, dtype: str) -> None:
    folder = random_base(tmp_path, "tiny", layers=4, dtype=dtype)
    base = FrozenBase.load(str(folder), dtype=DTYPES[dtype])
    model = routed_model(base, [40, 40], dim=16)
    seconds = 4 * 6.0
    batch = batch_of(base, torch.randn(4, int(6.0 * SAMPLE_RATE)), [0, 1, 0, 1])
    with SavedTensors([*base.module.parameters(), model.bank.rows]) as saved:
        model.logits(batch)
    numbers = BaseShape.of(str(folder)).kept_numbers(seconds, dim=16, checkpointing=False)
    assert numbers * number_bytes(dtype) == pytest.approx(saved.bytes, rel=0.1)


@pytest.mark.parametrize(("count", "dim"), [(16, 16), (16, 256), (4, 256)])
def test_a_pass_of_many_short_utterances_keeps_their_weights_too(tmp_path: Path, count: int, dim: int) -> None:
    """Each utterance has its language's projections for itself: with a wide adapter as much as the activations."""
    folder = random_base(tmp_path, "tiny", layers=4)
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    model = routed_model(base, [40] * count, dim=dim)
    batch = batch_of(base, torch.randn(count, SAMPLE_RATE), list(range(count)))
    with SavedTensors([*base.module.parameters(), model.bank.rows]) as saved:
        logits = model.logits(batch)
    needs = MemoryNeeds(shape=BaseShape.of(str(folder)), dtype="float32", dim=dim, slots=count, largest_vocabulary=40)
    kept = needs.memory(float(count)).activations - LOGIT_COPIES * logits.nbytes
    assert kept == pytest.approx(saved.bytes, rel=0.15), "what is gathered and folded is not kept through the pass"


@pytest.mark.parametrize("dim", [16, 256])
def test_a_packed_pass_keeps_weights_per_strip_not_per_utterance(tmp_path: Path, dim: int) -> None:
    folder = random_base(tmp_path, "tiny", layers=4)
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    count, strips = 16, 2
    model = routed_model(base, [40] * strips, dim=dim)
    batch = batch_of(base, torch.randn(count, SAMPLE_RATE), sorted([0, 1] * (count // 2)))
    on_device = as_packed(model, batch, size=832, order=range(count))
    with SavedTensors([*base.module.parameters(), model.bank.rows]) as saved:
        logits_BTV = model.device_logits(on_device)
    seconds, needs = (
        832 / 50,
        MemoryNeeds(
            shape=BaseShape.of(str(folder)), dtype="float32", dim=dim, slots=strips, largest_vocabulary=40, packed=True
        ),
    )
    row = 4 * needs.shape.row_numbers(dim, 40)
    kept = 4 * needs.shape.kept_numbers(seconds, dim=dim, checkpointing=False)
    assert kept + strips * row == pytest.approx(saved.bytes, rel=0.1)
    memory = needs.memory(seconds)
    assert memory.gathered >= strips * row and memory.activations >= kept + LOGIT_COPIES * logits_BTV.nbytes


@pytest.mark.parametrize("dim", [16, 256])
def test_a_pass_of_evaluation_takes_no_more_than_is_foretold(tmp_path: Path, dim: int) -> None:
    folder = random_base(tmp_path, "tiny", layers=4)
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    model = routed_model(base, [40], dim=dim)
    on_device = model.on_device(batch_of(base, torch.randn(16, SAMPLE_RATE), [0] * 16))
    with torch.no_grad(), Operations() as seen:
        model.device_logits(on_device)
    encoder = replace(BaseShape.of(str(folder)), front_end_channels=0)
    needs = MemoryNeeds(shape=encoder, dtype="float32", dim=dim, slots=64, largest_vocabulary=40, on_gpu=True)
    memory = needs.memory(16.0, backward=False)
    assert memory.activations + memory.gathered == pytest.approx(2 * seen.peak_bytes, rel=0.5)
    assert replace(needs, packed=True).memory(16.0, backward=False) == memory, "evaluation is padded in every run"


def test_the_shape_of_a_base_is_read_without_its_weights(tmp_path: Path, small_base: Path) -> None:
    (tmp_path / "config.json").write_bytes((small_base / "config.json").read_bytes())
    shape = BaseShape.of(str(tmp_path))
    assert (shape.layers, shape.hidden, shape.feed_forward) == (2, 32, 64)
    assert shape.parameters > 2 * (4 * 32 * 32 + 2 * 32 * 64)


def hours_table(folder: Path, summaries: list[LanguageSummary]) -> Path:
    path = folder / "hours.tsv"
    path.write_text("".join(f"{each.language}\t{each.seconds / 3600}\n" for each in summaries), encoding="utf-8")
    return path


def configuration(folder: Path, base: Path) -> Path:
    path = folder / "config.yaml"
    path.write_text(f"model: {{base: {base}}}\nrun: {{directory: {folder}/run}}\n", encoding="utf-8")
    return path


def test_the_command_compares_clusters_and_writes_nothing(
    tmp_path: Path, small_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    config, table = configuration(tmp_path, small_base), hours_table(tmp_path, mms_lab())
    arguments = ["plan", "--config", str(config), "--hours", str(table), "--gpus", "8", "--bandwidth-gbit", "100"]
    assert main([*arguments, "--nodes", "1", "64", "--speed", "500"]) == 0
    text = capsys.readouterr().out
    assert "1,107 languages" in text and "1 × 8" in text and "64 × 8" in text
    assert main([*arguments, "--nodes", "1", "64", "--json", "--rounds.slots", "32"]) == 0
    eight, many = json.loads(capsys.readouterr().out)
    assert eight["cluster"]["world"] == 8 and many["cluster"]["world"] == 512
    assert eight["slots"] == 32 and eight["phases"][0]["waiting"] == 1107 - 8 * 32
    assert many["over_least"] <= 1.05 and many["skew"] <= 0.03 and many["sample"] is None
    assert main([*arguments, "--memory-gib", "80"]) == 0
    assert "fits in 80" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "GiB per process; base" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "hours.tsv"]


def test_the_command_measures_the_speed_on_real_rounds(
    tmp_path: Path, small_base: Path, toy_shards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = toy_config(tmp_path / "run", small_base, toy_shards)
    path = tmp_path / "config.yaml"
    path.write_text(replace(config, languages={"tab": {"optim": {"steps": 5}}}).to_yaml(), encoding="utf-8")
    assert main(["plan", "--config", str(path), "--gpus", "2", "--measure", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["cluster"]["speed"] > 0 and plan["makespan_seconds"] > 0 and plan["sample"]["ranks"] == 2
    assert not (tmp_path / "run").exists()


def test_the_speed_cannot_be_measured_without_shards(
    tmp_path: Path, small_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, table = configuration(tmp_path, small_base), hours_table(tmp_path, mms_lab()[:3])
    assert main(["plan", "--config", str(config), "--hours", str(table), "--measure"]) == 2
    assert "pass --speed instead" in capsys.readouterr().err

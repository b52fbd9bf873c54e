"""A split is transcribed the same by one owner or by several that deal its passes, and through the row of the slot."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mms_dist.config import Evaluation
from mms_dist.data.batch_shard import WHOLE, BatchShard
from mms_dist.data.urgency_pool import reading_pool
from mms_dist.decoding.greedy import Greedy
from mms_dist.distributed.lockstep import Lockstep
from mms_dist.distributed.placement import RankGroup
from mms_dist.errors import TrainingError
from mms_dist.evaluation.evaluator import EvaluationRequest, Evaluator, Transcription
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.routed import RoutedModel
from mms_dist.training.dev_evaluation import DevEvaluation
from shards.index import LanguageIndex, ShardIndex
from shards.read import ShardReader
from tests.corpus import build_toy_shards

DEV = 14
SLOTS = 3


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ShardIndex:
    folder = tmp_path_factory.mktemp("evaluator")
    return ShardIndex.load(str(build_toy_shards(folder, languages=2, train=4, dev=DEV, shard_utterances=4)))


@pytest.fixture(scope="module")
def taa(index: ShardIndex) -> LanguageIndex:
    return index.language("taa")


@pytest.fixture(scope="module")
def model(small_base: Path, index: ShardIndex) -> RoutedModel:
    """Another adapter in every slot."""
    base = FrozenBase.load(str(small_base), dtype=torch.float64)
    layout = RowLayout(len(base.layers), base.hidden, 4)
    sizes = {code: len(index.language(code).vocabulary) for code in index.languages}
    bank = AdapterBank(layout, slots=SLOTS, largest_vocabulary=max(sizes.values()), dtype=torch.float64)
    for slot in range(SLOTS):
        random = torch.Generator().manual_seed(slot)
        start = initial_tensors(layout, sizes["taa"], scheme="mms", seed=slot, language="taa")
        noise = {name: torch.randn(t.shape, generator=random, dtype=torch.float64) for name, t in start.items()}
        bank.load(slot, {name: tensor + noise[name] for name, tensor in start.items()})
    return RoutedModel(base, bank)


def evaluator_of(
    model: RoutedModel,
    index: ShardIndex,
    *,
    most: int | None = None,
    cache_gib: float = 0.0,
    pool: Any = None,
    reader: ShardReader | None = None,
    before_decoding: Callable[[int], None] = lambda utterances: None,
) -> Evaluator:
    """`before_decoding` is called for every pass, with its number of utterances."""

    class Decoder(Greedy):
        def keep(self, logits_BTV: Tensor) -> Tensor:
            before_decoding(len(logits_BTV))
            return super().keep(logits_BTV)

    return Evaluator(
        model,
        FeatureSource(model.base, cache_gib=cache_gib),
        reader or ShardReader(index),
        forward_seconds=3.0,
        max_utterances=most,
        pool=pool,
        decoder_of=lambda language, vocabulary: Decoder(language, vocabulary, Evaluation()),
    )


@pytest.mark.parametrize("owners", [2, 3, 5])
@pytest.mark.parametrize("most", [None, 9])
def test_owners_shares_are_the_whole_and_take_the_passes_announced(
    model: RoutedModel, index: ShardIndex, taa: LanguageIndex, owners: int, most: int | None
) -> None:
    calls: list[int] = []
    evaluator = evaluator_of(model, index, most=most, before_decoding=calls.append)
    whole = evaluator.transcribe(taa, "dev", 1)
    assert len(whole.rows) == (most or DEV) and len(set(whole.hypotheses)) > 3
    made: list[int] = []
    parts = []
    for number in range(owners):
        share = BatchShard(number, owners)
        calls.clear()
        parts.append(evaluator.transcribe(taa, "dev", 1, share=share))
        assert len(calls) == evaluator.passes(taa, "dev", share)
        made.append(len(calls))
    assert sum(made) == evaluator.passes(taa, "dev", WHOLE) == evaluator.passes(taa, "dev") > owners
    assert max(made) - min(made) <= 1
    rows = [row for part in parts for row in part.rows]
    assert len(rows) == len(set(rows))
    assert Transcription.joined(reversed(parts)) == whole


def test_transcripts_are_made_with_the_row_of_the_languages_slot(
    model: RoutedModel, index: ShardIndex, taa: LanguageIndex
) -> None:
    evaluator = evaluator_of(model, index)
    heard = [evaluator.transcribe(taa, "dev", slot).hypotheses for slot in range(SLOTS)]
    assert len({tuple(texts) for texts in heard}) == SLOTS
    rows = model.bank.rows.detach().clone()
    try:
        model.bank.rows.detach()[[0, 2]] = float("nan")
        assert evaluator.transcribe(taa, "dev", 1).hypotheses == heard[1]
    finally:
        model.bank.rows.detach().copy_(rows)


@pytest.mark.parametrize("split", ["dev", "train"])
def test_references_and_keys_match_the_rows_and_the_cache_changes_nothing(
    model: RoutedModel, index: ShardIndex, taa: LanguageIndex, split: str
) -> None:
    cached = evaluator_of(model, index, cache_gib=1.0)
    for other in ("dev", "train"):
        cached.transcribe(taa, other, 0)
    said = cached.transcribe(taa, split, 0)
    assert said == evaluator_of(model, index).transcribe(taa, split, 0)
    table, reader = taa.table(split), ShardReader(index)
    assert said.rows == list(range(len(table))) and said.keys == table.keys.tolist()
    assert said.references == [reader.read("taa", split, row).text for row in said.rows]
    reader.close()


def test_all_owners_of_a_language_get_the_transcripts_of_all_of_them(
    model: RoutedModel, index: ShardIndex, taa: LanguageIndex
) -> None:
    evaluator = evaluator_of(model, index)
    whole = evaluator.transcribe(taa, "dev", 2)
    theirs = evaluator.transcribe(taa, "dev", 2, share=BatchShard(0, 2))
    group = RankGroup(4, 2)

    def all_gather_in(asked: RankGroup, mine: Transcription) -> list[Transcription]:
        assert asked == group
        return [mine, theirs]  # in the order in which they happen to come

    comm: Any = SimpleNamespace(all_gather_in=all_gather_in)
    active: Any = SimpleNamespace(language="taa", slot=2, group=group, share=BatchShard(1, 2))
    dev = DevEvaluation(evaluator, index, comm, Lockstep(comm, model))
    assert dev.transcribe([active]) == {"taa": whole}


@pytest.mark.parametrize("workers", [1, 3])
def test_reading_ahead_changes_no_word_and_requests_do_not_mix(
    model: RoutedModel, index: ShardIndex, workers: int
) -> None:
    requests = [
        EvaluationRequest(index.language(code), split, 1) for code in index.languages for split in ("dev", "train")
    ]
    requests.append(EvaluationRequest(index.language("taa"), "dev", 2, share=BatchShard(1, 3)))
    plain = evaluator_of(model, index).transcribe_all(requests)
    assert plain == [evaluator_of(model, index).transcribe(r.index, r.split, r.slot, share=r.share) for r in requests]
    with reading_pool(workers) as pool:
        assert evaluator_of(model, index, pool=pool).transcribe_all(requests) == plain


def test_the_next_passes_are_read_while_one_is_computed(model: RoutedModel, index: ShardIndex) -> None:
    with reading_pool(1) as pool:
        rows: list[int] = []
        done: list[int] = []

        class NotingReader(ShardReader):
            def read(self, language: str, split: str, row: int, **options: Any) -> Any:
                rows.append(row)
                return super().read(language, split, row, **options)

        def wait_for_more(utterances: int) -> None:
            end, seen = monotonic() + 5, utterances + sum(done)
            while len(rows) <= seen and seen < DEV and monotonic() < end:
                sleep(0.001)
            assert len(rows) > seen or seen == DEV, "nothing was read ahead"
            done.append(utterances)

        evaluator = evaluator_of(model, index, pool=pool, reader=NotingReader(index), before_decoding=wait_for_more)
        evaluator.transcribe(index.language("taa"), "dev", 0)
        assert sum(done) == DEV and len(done) > 2


def test_a_device_without_memory_for_a_pass_is_told_with_the_setting(
    model: RoutedModel, index: ShardIndex, taa: LanguageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 5.20 GiB")

    monkeypatch.setattr(model, "device_logits", no_memory)
    with pytest.raises(TrainingError, match=r"while evaluating, .* utterances .*evaluation\.forward_seconds \(now 3;"):
        evaluator_of(model, index).transcribe(taa, "dev", 1)

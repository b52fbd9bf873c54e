"""Between the first and the last pass of a round nothing waits for the device, and a pass is copied to it at once."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment
from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.evaluation.evaluator import EvaluationRequest, Evaluator
from mms_dist.features import feature_source as features
from mms_dist.features.feature_source import FeatureSource
from mms_dist.model import transfer
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.dropout import DropoutMasks
from mms_dist.model.routed import RoutedModel
from mms_dist.model.staging import BLOCKS, StagingBlocks
from mms_dist.monitor.events import read_events
from mms_dist.training import assembly, gradients
from mms_dist.training.components import RunComponents
from mms_dist.training.gradients import GradientPass
from mms_dist.training.observer import Observer
from mms_dist.training.passes import PassBuilder
from shards.index import ShardIndex
from shards.read import ShardReader
from shards.schema import frames_of
from tests.corpus import build_toy_shards
from tests.crossings import Crossings, without_values
from tests.training import final_row, toy_config, train, train_watched

SIZES = {"taa": 7, "tab": 9}


def batches(utterances: int) -> list[LoadedBatch]:
    """Of every language one."""
    random = np.random.default_rng(0)
    made = []
    for code in SIZES:
        members = []
        for row in range(utterances):
            samples = 4_000 + 6_000 * row
            audio, labels = random.integers(-9_000, 9_000, samples), np.array([5, 6], np.int32)
            where = UtteranceId(code, "train", row)
            members.append(
                Utterance(
                    id=where,
                    key="a",
                    epoch=0,
                    audio=audio.astype(np.int16),
                    labels=labels,
                    text="ab",
                    frames=frames_of(samples),
                )
            )
        made.append(LoadedBatch(BatchRequest(code, Position()), members))
    return made


def active_languages() -> dict[str, Any]:
    augment = Augment(time_prob=0.3, time_length=2, feature_prob=0.3, feature_length=2)
    settings = SimpleNamespace(augment=augment, adapter=Adapter(dropout=0.1))
    return {
        code: SimpleNamespace(language=code, slot=slot, settings=settings) for slot, code in enumerate(SIZES, start=1)
    }


def stand_in_for_ctc(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, label_lengths_B: Tensor) -> Tensor:
    """Some loss of all of it; CTC itself has no kernel on a device without values."""
    picked_BLV = logits_BTV.log_softmax(-1)[:, : labels_BL.shape[1]].gather(2, labels_BL[..., None])
    return -picked_BLV.sum((1, 2)) / label_lengths_B.clamp(min=1) + frames_B


@pytest.fixture
def through(small_base: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> "Through":
    """A round's passes on the device without values."""
    cache_gib, checkpointing, packed = getattr(request, "param", (1.0, False, False))
    monkeypatch.setattr(gradients, "utterance_losses", stand_in_for_ctc)
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    bank = AdapterBank(RowLayout(len(base.layers), base.hidden, 4), slots=3, largest_vocabulary=9)
    bank.vocabulary_sizes = [0, *SIZES.values()]
    model = without_values(RoutedModel(base, bank, activation_checkpointing=checkpointing))
    source, counted = FeatureSource(model.base, cache_gib=cache_gib), CountedPasses()
    # By this thread, so that what the other would do is seen as well.
    passes = GradientPass(model, source, forward_seconds=2.0, seed=0, packed=packed, observer=counted, threaded=False)
    # Features cannot come back from a device without values.
    monkeypatch.setattr(transfer, "begin_to_host", lambda pairs: transfer.Arrival())
    return Through(passes, counted, len(base.layers))


class CountedPasses(Observer):
    def __init__(self) -> None:
        self.passes = 0

    def before_pass(self, number: int, passes: int) -> None:
        self.passes += 1


@dataclass
class Through:
    """A round's passes, how many there were so far, and the layers of the base."""

    gradients: GradientPass
    counted: CountedPasses
    layers: int


def count(through: Through, utterances: int) -> tuple[int, int]:
    """Passes of a round, and what crossed in it."""
    before = through.counted.passes
    with Crossings() as seen:
        through.gradients.accumulate(batches(utterances), active_languages())
    return through.counted.passes - before, seen.count


PASSES = [(*how, packed) for packed in (False, True) for how in ((0.0, False), (1.0, False), (1.0, True))]


@pytest.mark.parametrize("through", PASSES, indirect=True)
def test_a_pass_is_copied_to_the_device_at_once_and_asks_it_for_nothing(through: Through) -> None:
    for _ in range(2):  # what the first time is computed, is remembered the second time
        passes, crossed = count(through, utterances=3)
        assert passes == crossed > 1


@pytest.mark.parametrize("through", [(0.0, False, True)], indirect=True)
def test_without_values_a_packed_pass_goes_the_way_of_a_gpu(through: Through) -> None:
    with Crossings() as seen:
        through.gradients.accumulate(batches(1), active_languages())
    passes, layers, kinds = through.counted.passes, through.layers, 7
    strips = len(SIZES)  # a language has one, as it has one utterance
    assert seen.operations["torch_attn._varlen_attn.default"] == passes * layers
    assert seen.operations["torch_attn._varlen_attn_backward.default"] == passes * (layers - 1)
    assert not [name for name in seen.operations if "_scaled_dot_product" in name]
    assert seen.operations["aten.index_add_.default"] == strips * kinds, "strip after strip is added to the bank"
    assert not [name for name in seen.operations if "index_put" in name]


def test_an_evaluation_copies_once_and_reads_once_a_pass(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ShardIndex.load(str(build_toy_shards(tmp_path, languages=2, train=2, dev=7)))
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    sizes = [len(index.language(code).vocabulary) for code in index.languages]
    bank = AdapterBank(RowLayout(len(base.layers), base.hidden, 4), slots=2, largest_vocabulary=max(sizes))
    bank.vocabulary_sizes = sizes
    model = without_values(RoutedModel(base, bank))
    reads: list[int] = []

    def arrive(pairs: Sequence[tuple[Tensor, Tensor]]) -> transfer.Arrival:
        reads.append(len(pairs))
        for _, target in pairs:
            target.zero_()
        return transfer.Arrival()

    monkeypatch.setattr(transfer, "begin_to_host", arrive)
    features = FeatureSource(model.base, cache_gib=0.0)
    # By this thread, so that what the other would do is seen as well.
    evaluator = Evaluator(model, features, ShardReader(index), forward_seconds=3.0, threaded=False)
    requests = [EvaluationRequest(index.language(code), "dev", slot) for slot, code in enumerate(index.languages)]
    passes = sum(evaluator.passes(request.index, "dev") for request in requests)
    with Crossings() as seen:
        found = evaluator.transcribe_all(requests)
    assert [len(each.rows) for each in found] == [7, 7] and passes > len(requests)
    assert seen.count == passes and reads == [1] * passes


def ask_for_a_value(tensor: Tensor) -> None:
    tensor.flatten()[0].item()


def copy_a_tensor(tensor: Tensor) -> None:
    torch.ones(2).to(tensor.device)


def write_a_tensor(tensor: Tensor) -> None:
    torch.zeros(2, device=tensor.device).copy_(torch.ones(2))


def make_a_tensor_of_numbers(tensor: Tensor) -> None:
    torch.tensor([1.0, 2.0], device=tensor.device)


def index_by_a_list(tensor: Tensor) -> None:
    tensor.flatten()[[0, 1]]


def index_by_a_mask(tensor: Tensor) -> None:
    tensor[tensor > 0]


def decide_by_a_value(tensor: Tensor) -> None:
    bool(tensor.any())


def fetch(tensor: Tensor) -> None:
    tensor.cpu()


MISTAKES = [
    ask_for_a_value,
    copy_a_tensor,
    write_a_tensor,
    make_a_tensor_of_numbers,
    index_by_a_list,
    index_by_a_mask,
    decide_by_a_value,
    fetch,
]


@pytest.mark.parametrize(
    ("place", "mistake"),
    [*(("losses", mistake) for mistake in MISTAKES), ("front end", fetch), ("layer", copy_a_tensor)],
)
def test_whatever_else_crosses_or_waits_in_a_pass_is_found(
    through: Through, monkeypatch: pytest.MonkeyPatch, place: str, mistake: Callable[[Tensor], None]
) -> None:
    owner, name = {
        "front end": (features, "normalised"),
        "layer": (DropoutMasks, "of_layer"),
        "losses": (gradients, "utterance_losses"),
    }[place]
    sound = getattr(owner, name)

    def mistaken(*args: Any, **named: Any) -> Any:
        out = sound(*args, **named)
        mistake(out)
        return out

    monkeypatch.setattr(owner, name, mistaken)
    try:
        passes, crossed = count(through, utterances=1)
    except (NotImplementedError, RuntimeError) as error:
        assert "meta" in str(error).lower()
    else:
        assert crossed > passes


def test_a_round_copies_once_a_pass_and_reads_losses_and_norms_together(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the whole loop, in a round that neither evaluates nor saves; and the adapters are those without blocks."""
    shards = build_toy_shards(tmp_path, languages=3, train=12, dev=2)
    crossed: Counter[str] = Counter()
    for name in ("to_device", "to_host", "numbers", "begin_to_device", "begin_to_host", "module_to_device"):
        monkeypatch.setattr(transfer, name, counted(crossed, name, getattr(transfer, name)))
    rounds: list[Counter[str]] = []
    passes = CountedPasses()
    budgets: list[int] = []

    def blocks(device: torch.device, *, budget_bytes: int, on_notice: Callable[[str], None]) -> StagingBlocks:
        budgets.append(budget_bytes)
        return StagingBlocks(device, copies=True, budget_bytes=BLOCKS << 10, on_notice=on_notice)

    monkeypatch.setattr(assembly, "StagingBlocks", blocks)
    monkeypatch.setattr(assembly, "GradientPass", partial(GradientPass, threaded=True))

    def watch(components: RunComponents) -> None:
        if passes not in components.observers.members:
            components.observers.members.append(passes)
        rounds.append(Counter(crossed) + Counter(passes=passes.passes))

    settings: dict[str, Any] = {
        "evaluation": {"every_steps": 4},
        "checkpoint": {"every_rounds": 4},
        "optim": {"steps": 4},
    }
    settings["model"] = {"feature_cache_gib": 0.0}
    train_watched(toy_config(tmp_path / "run", small_base, shards, **settings), watch)
    second = rounds[2] - rounds[1]
    made = second.pop("passes")
    assert made > 1 and second == {"begin_to_device": made, "numbers": 1}
    (told,) = (each for each in read_events(tmp_path / "run" / "events.jsonl") if each["kind"] == "memory_not_pinned")
    assert "MiB are reserved" in told["reason"]
    assert len(budgets) == 1, "training and evaluation share one"
    monkeypatch.undo()
    train(toy_config(tmp_path / "plain", small_base, shards, **settings))
    for language in ("taa", "tab", "tac"):
        assert final_row(tmp_path / "run", language).equal(final_row(tmp_path / "plain", language))


def counted(crossed: Counter[str], name: str, sound: Callable[..., Any]) -> Callable[..., Any]:
    def count_one(*args: Any, **options: Any) -> Any:
        crossed[name] += 1
        return sound(*args, **options)

    return count_one


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [(PassBuilder, "on_host", MemoryError("of the thread")), (RoutedModel, "device_logits", KeyboardInterrupt())],
)
def test_the_thread_ends_with_the_run_however_that_ends(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: BaseException
) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=8, dev=1)
    sound = getattr(owner, name)
    calls: list[int] = []
    training: list[RunComponents] = []

    def failing(*args: Any) -> Any:
        calls.extend([1] if training else [])
        if len(calls) == 2:
            assert any(thread.name.startswith("mms-ahead") for thread in threading.enumerate())
            raise error
        return sound(*args)

    monkeypatch.setattr(assembly, "GradientPass", partial(GradientPass, threaded=True))
    monkeypatch.setattr(owner, name, failing)
    with pytest.raises(type(error)) as raised:
        train_watched(
            toy_config(tmp_path / "run", small_base, shards, rounds={"forward_seconds": 2.0}), training.append
        )
    assert "failing" in [frame.name for frame in raised.traceback]
    assert not any(thread.name.startswith("mms-ahead") for thread in threading.enumerate())

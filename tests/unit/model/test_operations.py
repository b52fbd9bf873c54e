"""What a layer costs: how many operations it starts, forward and backward, and how much memory a pass holds at once.

An operation is a call of ATen that is no view: what starts a kernel on a GPU. Attention is one, and so is its backward
pass: a GPU has other ones than a CPU, but as many. A layer's are what a pass through one layer more takes, so that what
is done once a pass does not count. They were 24 and 31 before projections were fused and weights gathered once a pass,
49 and 32 with dropout, 24 and 53 with activation checkpointing.
"""

import tempfile
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Wav2Vec2Model

from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_attention import Segments
from mms_dist.model.routed import DeviceInput, ModelInput, RoutedModel
from tests.benchmarks.bases import routed_model
from tests.conftest import small_base_config
from tests.packed import as_packed

UTTERANCES = 8
NO_KERNEL = {"aten._unsafe_view.default", "aten.empty.memory_format", "aten.new_empty.default"}
"""Operations that start nothing, and of which `is_view` does not know: torch versions differ in how many they call."""


class Operations(TorchDispatchMode):
    """Counts operations, and bytes of what they made that is alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.made: list[tuple[torch.Size, torch.dtype]] = []
        self.peak_bytes = self._bytes = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_storage(tensor)._cdata for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        result = operation(*args, **(kwargs or {}))
        self.calls[str(operation)] += not (operation.is_view or str(operation) in NO_KERNEL)
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.made.append((tensor.shape, tensor.dtype))
                self._hold(_storage(tensor), given)
        return result

    def _hold(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = storage._cdata
        if key not in given and key not in self._alive:
            self._alive[key] = storage.nbytes()
            self._bytes += storage.nbytes()
            self.peak_bytes = max(self.peak_bytes, self._bytes)
            weakref.finalize(storage, self._release, key)

    def _release(self, key: int) -> None:
        self._bytes -= self._alive.pop(key)


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


def base_of(layers: int, hidden: int = 32, dtype: torch.dtype = torch.float32) -> FrozenBase:
    config: Any = small_base_config(num_hidden_layers=layers, hidden_size=hidden, intermediate_size=4 * hidden)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        Wav2Vec2Model(config).save_pretrained(folder)
        return FrozenBase.load(folder, dtype=dtype)


def batch_of(base: FrozenBase, *, frames: int, languages: int, padded: bool = True, dropout: float = 0.0) -> ModelInput:
    features_BTC = torch.randn(UTTERANCES, frames, 16).to(base.dtype)
    frames_B = frames - torch.arange(UTTERANCES) * padded
    batch = ModelInput(features_BTC, frames_B, torch.arange(UTTERANCES) % languages)
    if dropout == 0:
        return batch
    return replace(batch, keys_B=torch.arange(UTTERANCES), dropout_B=torch.full((UTTERANCES,), dropout))


def measured(model: RoutedModel, batch: DeviceInput) -> tuple[Operations, Operations]:
    """What is done forward and backward."""
    with Operations() as forward:
        total = model.device_logits(batch).sum()
    with Operations() as backward:
        total.backward()
    return forward, backward


def a_layers(checkpointing: bool, padded: bool, dropout: float) -> tuple[Counter[str], Counter[str]]:
    """Operations of one layer, forward and backward."""
    counted = []
    for layers in (4, 3):
        base = base_of(layers)
        model = routed_model(base, [9, 12], dim=4)
        model.activation_checkpointing = checkpointing
        batch = batch_of(base, frames=20, languages=2, padded=padded, dropout=dropout)
        counted.append([operations.calls for operations in measured(model, model.on_device(batch))])
    (forward, backward), (less_forward, less_backward) = counted
    return forward - less_forward, backward - less_backward


@pytest.mark.parametrize(
    ("checkpointing", "padded", "dropout", "forward", "backward"),
    [
        (False, True, 0.0, 14, 22),
        (False, False, 0.0, 14, 22),
        (False, True, 0.1, 20, 23),
        (True, True, 0.0, 17, 44),
    ],
)
def test_a_layer_takes_few_operations(
    checkpointing: bool, padded: bool, dropout: float, forward: int, backward: int
) -> None:
    of_forward, of_backward = a_layers(checkpointing, padded, dropout)
    assert of_forward.total() <= forward, dict(of_forward)
    assert of_backward.total() <= backward, dict(of_backward)


def whole(_: Segments, *parts_NAE: Tensor) -> Tensor:
    """All frames over all frames: one operation, as a GPU's kernel over sequences is."""
    parts_1ANE = (part_NAE.transpose(0, 1).unsqueeze(0) for part_NAE in parts_NAE)
    return scaled_dot_product_attention(*parts_1ANE).squeeze(0).transpose(0, 1)


@pytest.mark.parametrize(
    ("dtype", "dropout", "forward", "backward"),
    [(torch.float32, 0.0, 16, 24), (torch.float32, 0.1, 22, 25), (torch.bfloat16, 0.0, 17, 24)],
)
def test_a_layer_of_a_packed_pass_gathers_two_matrices_more(
    dtype: torch.dtype, dropout: float, forward: int, backward: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps a matrix for each strip, and makes those of its blocks anew for each product. Of its two strips each has
    a product for the gradient of a matrix. A bias in bfloat16 is kept in float32 and converted. Memory that is only
    taken starts nothing."""
    monkeypatch.setattr(Segments, "attend", whole)
    counted = []
    for layers in (4, 3):
        base = base_of(layers, dtype=dtype)
        model = routed_model(base, [9, 12], dim=4)
        batch = batch_of(base, frames=20, languages=2, dropout=dropout)
        on_device = as_packed(model, batch, order=sorted(range(UTTERANCES), key=lambda row: row % 2))
        counted.append([operations.calls for operations in measured(model, on_device)])
    (of_forward, of_backward), (less_forward, less_backward) = counted
    of_forward, of_backward = of_forward - less_forward, of_backward - less_backward
    assert of_forward.total() <= forward, dict(of_forward)
    assert of_backward.total() <= backward, dict(of_backward)


def test_a_pass_makes_its_mask_and_gathers_each_kind_of_weights_once() -> None:
    base = base_of(4)
    model = routed_model(base, [9, 12], dim=4)
    forward, _ = measured(model, model.on_device(batch_of(base, frames=20, languages=2)))
    assert forward.calls["aten.where.self"] == forward.calls["aten.scalar_tensor.default"] == 0
    of_rows, of_adapter, of_head = 7, 3, 2  # six kinds and the head; down, its bias and up; weights and bias
    assert forward.calls["aten.index_select.default"] == of_rows + of_adapter + of_head


def test_dropout_draws_no_64_bit_numbers_over_frames_and_channels() -> None:
    base = base_of(3)
    frames, batch = 20, batch_of(base, frames=20, languages=2, dropout=0.1)
    model = routed_model(base, [9, 12], dim=4)
    forward, backward = measured(model, model.on_device(batch))
    wide = {torch.float64, torch.int64}
    assert not [made for made in forward.made + backward.made if made[1] in wide and made[0].numel() > frames * 40]


BEFORE_BYTES = {
    (torch.float32, 16, 1): 27_602_056,
    (torch.float32, 16, 8): 30_439_096,
    (torch.float32, 256, 1): 35_028_936,
    (torch.float32, 256, 8): 74_979_512,
    (torch.bfloat16, 16, 1): 13_954_152,
    (torch.bfloat16, 16, 8): 16_685_016,
    (torch.bfloat16, 256, 1): 19_144_072,
    (torch.bfloat16, 256, 8): 59_640_392,
}
"""By (type, width, languages among the utterances): what `peak_bytes` gave at commit 65b624c, which gathered weights in
every layer."""


@pytest.mark.parametrize(("dtype", "dim", "languages"), BEFORE_BYTES)
def test_checkpointed_passes_hold_no_more_than_they_did(dtype: torch.dtype, dim: int, languages: int) -> None:
    assert peak_bytes(dtype, dim, languages) <= BEFORE_BYTES[dtype, dim, languages]


def peak_bytes(dtype: torch.dtype, dim: int, languages: int) -> int:
    """Of what a pass makes, the most that is alive at once."""
    base = base_of(4, 256, dtype)
    model = routed_model(base, [40] * UTTERANCES, dim=dim)
    model.activation_checkpointing = True
    batch = batch_of(base, frames=150, languages=languages)
    with Operations() as operations:
        model.logits(batch).sum().backward()
    return operations.peak_bytes


def test_a_pass_without_gradients_holds_the_weights_of_one_layer_at_a_time() -> None:
    """Those of two layers more cost nothing but their fold, however many utterances each have them for themselves."""
    dim, held = 256, []
    for layers in (4, 2):
        base = base_of(layers, 64)
        model = routed_model(base, [40], dim=dim)
        batch = model.on_device(batch_of(base, frames=20, languages=1))
        with torch.no_grad(), Operations() as operations:
            model.device_logits(batch)
        held.append(operations.peak_bytes)
    of_a_layer = 4 * 2 * dim * 64  # down and up, float32
    more = held[0] - held[1]
    assert more < 3 * 2 * of_a_layer, (
        "folded, and the rows that they are folded from; gathered, it were 8 times a layer"
    )


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_logits_are_the_same_bits_with_and_without_gradients(dropout: float) -> None:
    base = base_of(3)
    model = routed_model(base, [9, 12], dim=8)
    batch = batch_of(base, frames=20, languages=2, dropout=dropout)
    with_gradients = model.logits(batch).detach()
    with torch.no_grad():
        assert model.logits(batch).equal(with_gradients)

"""Where an adapter starts, by the numbers: the spread of every scheme, and of Hugging Face's own modules beside it.

The samples are keyed by seed and language, so nothing here is left to chance. The bounds are wide enough for any other
seed and narrow enough for a spread that is wrong by a tenth.
"""

from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor
from transformers import Wav2Vec2ForCTC

from mms_dist.model.adapter import RowLayout, initial_tensors
from tests.conftest import small_base_config

HIDDEN, DIM, VOCABULARY = 256, 32, 40
LAYOUT = RowLayout(2, HIDDEN, DIM)
FAN = {"linear_1.weight": (HIDDEN, DIM), "linear_2.weight": (DIM, HIDDEN), "lm_head.weight": (HIDDEN, VOCABULARY)}
"""Inputs and outputs of every matrix, as `torch.nn.Linear` counts them."""


def kind_of(name: str) -> str:
    return name.split("adapter_layer.")[-1]


def matrices(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weight matrices, whose number is checked: two of each layer, and the head's."""
    found = {name: tensor for name, tensor in tensors.items() if kind_of(name) in FAN}
    assert len(found) == 2 * LAYOUT.layers + 1
    return found


def start(scheme: str) -> dict[str, Tensor]:
    return initial_tensors(LAYOUT, VOCABULARY, scheme=scheme, seed=0, language="ron")


def assert_normal(tensor: Tensor, deviation: float) -> None:
    """Mean, spread and shape of N(0, deviation²), each within about five standard errors of 8,000 values or more."""
    assert tensor.numel() >= 8000
    assert abs(tensor.mean()) < 5 * deviation / sqrt(tensor.numel())
    assert tensor.std() == pytest.approx(deviation, rel=0.04)
    within_one = (tensor.abs() < deviation).double().mean()
    assert within_one == pytest.approx(0.683, abs=0.03)  # of a uniform distribution 0.577


def assert_uniform(tensor: Tensor, bound: float) -> None:
    """Flat between -bound and bound, and out to both ends of it."""
    assert -bound <= tensor.min() < -0.99 * bound
    assert 0.99 * bound < tensor.max() <= bound
    assert abs(tensor.mean()) < 5 * bound / sqrt(3 * tensor.numel())
    assert tensor.std() == pytest.approx(bound / sqrt(3), rel=0.04)


def assert_vectors_start_at_rest(tensors: dict[str, Tensor]) -> None:
    """Biases and offsets 0, gains of norms 1."""
    vectors = {name: tensor for name, tensor in tensors.items() if tensor.dim() == 1}
    assert len(vectors) == 4 * LAYOUT.layers + 1
    for name, tensor in vectors.items():
        assert (tensor == (1 if kind_of(name) == "norm.weight" else 0)).all(), name


@pytest.mark.parametrize("scheme", ["mms", "xavier", "kaiming", "identity"])
def test_biases_start_at_zero_and_norms_at_gain_one(scheme: str) -> None:
    assert_vectors_start_at_rest(start(scheme))


def test_mms_draws_from_a_normal_distribution_of_two_hundredths() -> None:
    for tensor in matrices(start("mms")).values():
        assert_normal(tensor, 0.02)


def test_hugging_faces_own_modules_start_as_mms_does() -> None:
    torch.manual_seed(0)
    changes = {"hidden_size": HIDDEN, "adapter_attn_dim": DIM, "vocab_size": VOCABULARY}
    theirs = {
        name: parameter.detach()
        for name, parameter in Wav2Vec2ForCTC(small_base_config(**changes))._get_adapters().items()
    }
    assert {name: tensor.shape for name, tensor in theirs.items()} == {
        name: tensor.shape for name, tensor in start("mms").items()
    }
    assert_vectors_start_at_rest(theirs)
    for tensor in matrices(theirs).values():
        assert_normal(tensor, 0.02)


def test_xavier_fills_the_bound_of_glorot_and_bengio() -> None:
    for name, tensor in matrices(start("xavier")).items():
        assert_uniform(tensor, sqrt(6 / sum(FAN[kind_of(name)])))


def test_kaiming_has_the_spread_of_he_for_a_relu() -> None:
    for name, tensor in matrices(start("kaiming")).items():
        assert_normal(tensor, sqrt(2 / FAN[kind_of(name)][0]))


def test_identity_is_mms_but_for_an_up_projection_of_zeros() -> None:
    for name, tensor in matrices(start("identity")).items():
        if kind_of(name) == "linear_2.weight":
            assert (tensor == 0).all()
        else:
            assert_normal(tensor, 0.02)


@pytest.mark.parametrize(
    ("scheme", "drawn"),
    [("xavier", torch.nn.init.xavier_uniform_), ("kaiming", torch.nn.init.kaiming_normal_)],
    ids=["xavier", "kaiming"],
)
def test_the_spread_is_that_of_torchs_scheme_of_that_name(scheme: str, drawn: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    for tensor in matrices(start(scheme)).values():
        assert tensor.std() == pytest.approx(float(drawn(torch.empty_like(tensor)).std()), rel=0.04)


@pytest.mark.parametrize(
    ("scheme", "first", "last"),
    [
        ("mms", -0.022427776, -0.017375778),
        ("xavier", -0.873254871, 0.189141334),
        ("kaiming", -0.228599718, 0.065937513),
    ],
)
def test_the_start_of_a_language_is_fixed_for_ever(scheme: str, first: float, last: float) -> None:
    """With another one, a language would train otherwise for the same run.seed."""
    tensors = initial_tensors(RowLayout(1, 4, 2), 6, scheme=scheme, seed=3, language="ron")
    down = tensors["wav2vec2.encoder.layers.0.adapter_layer.linear_1.weight"]
    assert [float(down[0, 0]), float(tensors["lm_head.weight"][-1, -1])] == pytest.approx([first, last], abs=1e-6)


def test_every_seed_language_and_scheme_starts_elsewhere() -> None:
    starts = [
        initial_tensors(LAYOUT, VOCABULARY, scheme=scheme, seed=seed, language=language)["lm_head.weight"]
        for scheme, seed, language in [("mms", 0, "ron"), ("mms", 1, "ron"), ("mms", 0, "ukr"), ("identity", 0, "ron")]
    ]
    assert not any(one.equal(other) for number, one in enumerate(starts) for other in starts[:number])

"""A round of training with compiled layers: every pass of it fits a graph that was made at the start."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch

from mms_dist.data.batch import LoadedBatch
from mms_dist.model import compiled
from mms_dist.model.base import FrozenBase
from tests.gpu import ours
from tests.gpu.ours import Joint, Setting, adapters
from tests.gpu.speech import one_pass, round_of

GRAPHS_ONLY = "aot_eager"
"""Traces forward and backward as the real compiler is given them, and runs them uncompiled."""
VOCABULARIES = [40, 55, 33]


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


def joint(folder: Path, setting: Setting) -> Joint:
    base = FrozenBase.load(str(folder), dtype=torch.float32)
    bank = adapters(base, VOCABULARIES, noise=0.1)
    with mock.patch.object(ours, "compile_layers", lambda base, _: compiled.compile_layers(base, GRAPHS_ONLY)):
        return Joint(base, bank, setting)


def rounds() -> list[list[LoadedBatch]]:
    """Passes with padding and of one utterance; of several utterances of one length; of one utterance alone."""
    return [
        round_of(3, 1.5, median=1.2, seed=5),
        one_pass(4.0, languages=3, length=1.0),
        one_pass(2.0, languages=1, length=2.0),
    ]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_no_pass_of_a_round_falls_back_to_uncompiled_layers(small_base: Path, checkpointing: bool) -> None:
    setting = Setting(compiled=True, checkpointing=checkpointing, forward_seconds=4.0, dropout=0.3)
    fast, plain = joint(small_base, setting), joint(small_base, Setting(forward_seconds=4.0, dropout=0.3))
    for batches in rounds():
        losses, grads_SR = fast.gradients(batches)  # under `fail_on_recompile`
        expected_losses, expected_SR = plain.gradients(batches)
        assert losses == pytest.approx(expected_losses, rel=1e-4)
        torch.testing.assert_close(grads_SR, expected_SR, rtol=1e-3, atol=1e-4)


def test_a_pass_that_fits_no_graph_fails_the_round(small_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = compiled.kinds_of_input
    monkeypatch.setattr(compiled, "kinds_of_input", lambda base: [kind for kind in kinds(base) if kind[1] is None])
    fast = joint(small_base, Setting(compiled=True, forward_seconds=4.0))
    with pytest.raises(RuntimeError, match="fail_on_recompile"):
        fast.gradients(rounds()[0])

"""The loss and weight of an utterance of a mixed forward pass."""

import pytest
from torch import Tensor

from mms_dist.training import gradients
from mms_dist.training.gradients import GradientPass
from shards.schema import SAMPLE_RATE, frames_of
from tests.unit.training.test_passes import SEED, SLOTS, Features, Model, active, batch, utterance


def frames_as_losses(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, label_lengths_B: Tensor) -> Tensor:
    return 0 * logits_BTV.sum((1, 2)) + frames_B


def test_an_utterance_weighs_one_over_the_planned_batch_of_its_language(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradients, "utterance_losses", frames_as_losses)
    model = Model()
    through = GradientPass(model, Features(), forward_seconds=20.0, seed=SEED)  # type: ignore[arg-type]
    samples = {"ukr": [1.5, 3.5], "ron": [4.0, 1.0, 2.5]}
    planned = {"ukr": 2, "ron": 4}
    batches = [
        batch(
            language,
            *(utterance(language, row, int(each * SAMPLE_RATE)) for row, each in enumerate(seconds)),
            planned=planned[language],
        )
        for language, seconds in samples.items()
    ]
    losses = through.accumulate([*batches, batch("ita", planned=3)], {code: active(code) for code in SLOTS})
    assert losses.losses == pytest.approx(
        {
            language: sum(frames_of(int(each * SAMPLE_RATE)) for each in seconds) / planned[language]
            for language, seconds in samples.items()
        }
    )
    owners = [given.slots_U[given.owner_B].tolist() for given in model.given]
    assert any(len(set(each)) > 1 for each in owners), "no pass has both languages"
    assert losses.audio_seconds == 12.5 and losses.padded_seconds >= 12.5

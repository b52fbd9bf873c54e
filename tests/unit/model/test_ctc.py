"""The objective: what Hugging Face's recipe computes, for each utterance by itself."""

import math

import pytest
import torch
from torch import Tensor

from mms_dist.model.ctc import BLANK, utterance_losses
from shards.vocabulary import BLANK as BLANK_OF_THE_VOCABULARY


def logits(*best: int) -> Tensor:
    """[1, T, 3], with one token in each frame as probable as the two others together."""
    return (torch.nn.functional.one_hot(torch.tensor(best), 3).double() * math.log(2))[None]


def losses(logits_BTV: Tensor, labels: list[list[int]]) -> Tensor:
    frames_B = torch.full((len(labels),), logits_BTV.shape[1])
    lengths_B = torch.tensor([len(each) for each in labels])
    labels_BL = torch.tensor([each + [0] * (int(lengths_B.max()) - len(each)) for each in labels])
    return utterance_losses(logits_BTV, frames_B, labels_BL, lengths_B)


def test_a_loss_sums_all_paths_with_the_blank_and_is_a_mean_over_labels() -> None:
    assert BLANK == BLANK_OF_THE_VOCABULARY == 0
    # Two frames say 1: as 1 1, 1 blank or blank 1, of probabilities 1/2 and 1/4 in each frame.
    path = 1 / 2 * 1 / 2 + 2 * (1 / 2 * 1 / 4)
    assert losses(logits(1, 1), [[1]]).item() == pytest.approx(-math.log(path), rel=1e-12)
    # Three frames for 1 1 have one path, through a blank; each label counts half.
    assert losses(logits(1, 0, 1), [[1, 1]]).item() == pytest.approx(-math.log(1 / 8) / 2, rel=1e-12)


def test_labels_that_do_not_fit_have_no_loss_gradient_or_side_effects() -> None:
    logits_BTV = torch.cat([logits(1, 2, 0), logits(1, 2, 0)]).requires_grad_()
    lost, kept = losses(logits_BTV, [[1, 1, 2, 2], [1, 2]])
    (lost + kept).backward()
    alone = losses(logits(1, 2, 0), [[1, 2]]).item()
    assert lost.item() == 0 and kept.item() == alone
    assert logits_BTV.grad is not None
    assert (logits_BTV.grad[0] == 0).all() and logits_BTV.grad[1].abs().max() > 0.1

"""Cases for CTC, and two more ways to compute it, in plain torch operations, that autograd differentiates.

Legend: B utterances, T frames, V vocabulary, L labels, N paths.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_NEVER = -1e30
"""A log probability of nothing that, unlike -inf, has a gradient of 0."""


@dataclass(frozen=True)
class Inputs:
    """What a loss is asked: logits, frames, labels and their number, an utterance a row."""

    logits_BTV: Tensor
    frames_B: Tensor
    labels_BL: Tensor
    lengths_B: Tensor

    def rows(self, *rows: int) -> "Inputs":
        return Inputs(*(each[list(rows)] for each in (self.logits_BTV, self.frames_B, self.labels_BL, self.lengths_B)))

    def to(self, dtype: torch.dtype) -> "Inputs":
        return Inputs(self.logits_BTV.to(dtype), self.frames_B, self.labels_BL, self.lengths_B)


def inputs(frames: Sequence[int], labels: Sequence[Sequence[int]], *, longest: int = 0, vocabulary: int = 6) -> Inputs:
    """Random logits over the longest of `frames` and `longest`; what lies past an utterance's labels is label 5."""
    random = torch.Generator().manual_seed(len(frames))
    shape = len(frames), max(*frames, longest), vocabulary
    width = max(len(each) for each in labels)
    return Inputs(
        2 * torch.randn(shape, generator=random, dtype=torch.float64),
        torch.tensor(frames),
        torch.tensor([[*each] + [5] * (width - len(each)) for each in labels], dtype=torch.int64).view(
            len(labels), width
        ),
        torch.tensor([len(each) for each in labels]),
    )


def _some(count: int, vocabulary: int, seed: int = 0) -> list[int]:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(1, vocabulary, (count,), generator=random).tolist()


def _absent(given: Inputs, first: int) -> Inputs:
    given.logits_BTV[..., first:] = -1e4
    return given


CASES = {
    "ordinary": inputs([12, 9, 7], [_some(5, 6), _some(3, 6, 1), [4]], longest=15),
    "just enough frames": inputs([5, 4, 3], [[1, 2, 3, 4, 5], [1, 1, 2], [2, 2]]),
    "a frame too few": inputs([4, 3, 2], [[1, 2, 3, 4, 5], [1, 1, 2], [2, 2]], longest=6),
    "no label": inputs([4, 3], [[], [2]]),
    "no label at all": inputs([4, 1], [[], []]),
    "one frame": inputs([1, 1, 1], [[1], [1, 2], []]),
    "repeated labels": inputs([12, 12, 12], [[1, 1, 1, 2, 2, 1], [3, 3, 3, 3, 3, 3], [1, 2, 1, 2, 1, 2]]),
    "the blank as a label": inputs([8, 8], [[1, 0, 2], [0, 1]]),
    "wide vocabulary": inputs([7, 6], [[39, 1, 16], [15, 17]], vocabulary=40),
    "absent tokens": _absent(inputs([9, 9], [[1, 2, 3], [3, 1]]), 4),
    "several tiles of frames": inputs([20, 16, 9], [_some(8, 6), _some(3, 6, 1), _some(1, 6, 2)]),
    "many labels": inputs([22, 20], [_some(17, 40), _some(9, 40, 1)], vocabulary=40),
}


def with_gradient(
    loss: Callable[[Inputs], Tensor], given: Inputs, weights: Sequence[float] = ()
) -> tuple[Tensor, Tensor]:
    """Losses [B], and the gradient [B, T, V] of their weighted sum."""
    leaf_BTV = given.logits_BTV.clone().requires_grad_()
    losses_B = loss(Inputs(leaf_BTV, given.frames_B, given.labels_BL, given.lengths_B))
    weight_B = torch.tensor(weights).to(losses_B) if weights else torch.ones_like(losses_B)
    (grad_BTV,) = torch.autograd.grad(losses_B, leaf_BTV, weight_B)
    return losses_B.detach(), grad_BTV


def torch_losses(given: Inputs) -> Tensor:
    log_probs_TBV = given.logits_BTV.log_softmax(-1).transpose(0, 1)
    lengths = given.frames_B, given.lengths_B
    return functional.ctc_loss(log_probs_TBV, given.labels_BL, *lengths, reduction="none", zero_infinity=True)


def losses_of_all_paths(given: Inputs) -> Tensor:
    """By definition: the sum over every path that reads as the labels once repetitions and then blanks are left out."""
    losses = []
    for log_probs_TV, frames, labels, length in _each(given):
        paths = list(itertools.product(range(log_probs_TV.shape[1]), repeat=frames))
        read = [[token for token, _ in itertools.groupby(path) if token] for path in paths]
        fitting = [path for path, said in zip(paths, read, strict=True) if said == labels[:length].tolist()]
        path_NT = torch.tensor(fitting, dtype=torch.int64).view(-1, frames)
        log_probs_N = log_probs_TV[torch.arange(frames), path_NT].sum(1)
        losses.append(-log_probs_N.logsumexp(0) if fitting else log_probs_TV.sum() * 0)
    return torch.stack(losses)


def losses_of_two_vectors(given: Inputs) -> Tensor:
    """The recursion of `ctc_kernels`, forward only."""
    losses = []
    for log_probs_TV, frames, labels_L, length in _each(given):
        blanks = log_probs_TV.new_full((length + 1,), _NEVER)
        blanks[0] = 0
        labels = log_probs_TV.new_full((length + 1,), _NEVER)  # the last one stays so
        may_skip = functional.pad(labels_L[1:length] != labels_L[: length - 1], (1, 1)) if length else blanks > 0
        for now_V in log_probs_TV[:frames]:
            shifted = functional.pad(labels[:-1], (1, 0), value=_NEVER)
            skipped = shifted.masked_fill(~may_skip, _NEVER)
            before = torch.stack([labels, blanks, skipped]).logsumexp(0)[:length] + now_V[labels_L[:length]]
            blanks = torch.stack([blanks, shifted]).logsumexp(0) + now_V[0]
            labels = functional.pad(before, (0, 1), value=_NEVER)
        ends = torch.stack([blanks[length], labels[length - 1]]).logsumexp(0)
        losses.append(-ends if ends > _NEVER / 2 else ends * 0)
    return torch.stack(losses)


def _each(given: Inputs) -> list[tuple[Tensor, int, Tensor, int]]:
    log_probs_BTV = given.logits_BTV.log_softmax(-1)
    return list(zip(log_probs_BTV, given.frames_B.tolist(), given.labels_BL, given.lengths_B.tolist(), strict=True))

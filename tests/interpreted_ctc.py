"""Checks of the CTC kernels on a CPU, by Triton's interpreter: `TRITON_INTERPRET=1 python -m tests.interpreted_ctc`.

A process of its own, as Triton decides when it is imported whether functions are compiled or interpreted. Prints a JSON
object: for each check null, or what went wrong.
"""

import json
import os
import traceback
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mms_dist.model import ctc_gpu
from tests.ctc_cases import CASES, Inputs, inputs, torch_losses, with_gradient


def kernel_losses(given: Inputs) -> Tensor:
    return ctc_gpu.losses(given.logits_BTV, given.frames_B, given.labels_BL, given.lengths_B)


def equals_torch(name: str) -> None:
    expected = with_gradient(torch_losses, CASES[name])
    for dtype, bound in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        found = with_gradient(kernel_losses, CASES[name].to(dtype))
        assert found[0].dtype == found[1].dtype == dtype
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other.double(), one, rtol=bound, atol=bound)
    past_BT = torch.arange(expected[1].shape[1]) >= CASES[name].frames_B[:, None]
    assert (found[1][past_BT] == 0).all() and (found[1][found[0] == 0] == 0).all()


def gradcheck() -> None:
    given = inputs([3], [[1, 2]], vocabulary=3, longest=4)
    fixed = given.frames_B, given.labels_BL.clamp(max=2), given.lengths_B
    assert torch.autograd.gradcheck(lambda leaf: ctc_gpu.losses(leaf, *fixed), given.logits_BTV.requires_grad_())


def weights_scale_gradients() -> None:
    given = CASES["ordinary"]
    once, weighed = with_gradient(kernel_losses, given)[1], with_gradient(kernel_losses, given, (0.5, 0.0, 3.0))[1]
    torch.testing.assert_close(weighed, once * torch.tensor([0.5, 0.0, 3.0]).view(3, 1, 1))


def other_utterances_padding_and_repetition_change_no_bit() -> None:
    together = with_gradient(kernel_losses, CASES["ordinary"])
    again = with_gradient(kernel_losses, CASES["ordinary"])
    assert all(torch.equal(one, other) for one, other in zip(together, again, strict=True))
    for row in range(3):
        own = CASES["ordinary"].rows(row)
        frames, length = int(own.frames_B), int(own.lengths_B)
        cut = Inputs(own.logits_BTV[:, :frames], own.frames_B, own.labels_BL[:, :length], own.lengths_B)
        alone = with_gradient(kernel_losses, cut)
        assert torch.equal(alone[0], together[0][[row]]) and torch.equal(alone[1][0], together[1][row, :frames])


def not_a_number_stays_with_its_utterance() -> None:
    given = CASES["ordinary"].rows(0, 1, 2)
    clean = with_gradient(kernel_losses, given)
    for poison in (float("nan"), float("inf")):
        given.logits_BTV[1, 4, 2] = poison
        found = with_gradient(kernel_losses, given)
        assert found[0][1].isnan() and found[1][1, :9].isnan().all() and (found[1][1, 9:] == 0).all()
        for one, other in zip(clean, found, strict=True):
            assert torch.equal(one[[0, 2]], other[[0, 2]])


def nothing_past_an_utterance_is_read() -> None:
    given = CASES["ordinary"].rows(0, 1, 2)
    clean = with_gradient(kernel_losses, given)
    given.labels_BL[1, 3:], given.labels_BL[2, 1:] = -7, 10**9
    for row, frames in enumerate(given.frames_B.tolist()):
        given.logits_BTV[row, frames:] = float("nan")
    assert all(torch.equal(one, other) for one, other in zip(clean, with_gradient(kernel_losses, given), strict=True))


def what_a_host_would_refuse_is_nan_of_that_utterance() -> None:
    clean = with_gradient(kernel_losses, CASES["ordinary"])
    for change in ("frames", "lengths", "negative label", "label"):
        given = CASES["ordinary"].rows(0, 1, 2)
        if change == "frames":
            given.frames_B[1] = 16
        elif change == "lengths":
            given.lengths_B[1] = 6
        else:
            given.labels_BL[1, 1] = 6 if change == "label" else -1
        found = with_gradient(kernel_losses, given)
        assert found[0][1].isnan() and found[1][1].isnan().any(), change
        for one, other in zip(clean, found, strict=True):
            assert torch.equal(one[[0, 2]], other[[0, 2]]), change


def no_frames() -> None:
    given = inputs([0, 0, 3], [[], [1], [1]])
    losses_B, grad_BTV = with_gradient(kernel_losses, given)
    assert losses_B[:2].tolist() == [0, 0] and losses_B[2] > 0 and (grad_BTV[:2] == 0).all()


def without_gradient_one_direction_is_enough() -> None:
    given = CASES["ordinary"]
    assert torch.equal(kernel_losses(given), with_gradient(kernel_losses, given)[0])


def views_and_short_integers() -> None:
    given = CASES["ordinary"]
    buffer = torch.cat([torch.zeros(1, 5, dtype=torch.int64), given.labels_BL])[1:].T.contiguous().T
    strided = given.logits_BTV.transpose(0, 1).contiguous().transpose(0, 1)
    odd = Inputs(strided, given.frames_B.int(), buffer.int(), given.lengths_B.int())
    for one, other in zip(with_gradient(kernel_losses, given), with_gradient(kernel_losses, odd), strict=True):
        assert torch.equal(one, other)


def the_trial_passes_and_finds_a_fault() -> None:
    ctc_gpu.TEST_SHAPES = ctc_gpu.TEST_SHAPES[:1]  # larger ones take the interpreter half a minute
    assert ctc_gpu.reason_against(torch.device("cpu")) is None
    right = ctc_gpu.losses
    faults: dict[str, Callable[..., Tensor]] = {
        "losses": lambda logits_BTV, *rest: right(logits_BTV, *rest) * 1.001,
        "gradients": lambda logits_BTV, *rest: right(logits_BTV + 0.01 * (logits_BTV - logits_BTV.detach()), *rest),
        "nan in the losses": lambda logits_BTV, *rest: right(logits_BTV, *rest) * float("nan"),
    }
    for word, fault in faults.items():
        ctc_gpu.losses = fault
        wrong = ctc_gpu.difference_from_torch(torch.device("cpu"), *ctc_gpu.TEST_SHAPES[0], seed=0)
        assert wrong is not None and word in wrong and "12 frames and 5 labels" in wrong, wrong
    ctc_gpu.losses = right


CHECKS: dict[str, Callable[[], None]] = {
    **{f"equals torch: {name}": lambda name=name: equals_torch(name) for name in CASES},  # type: ignore[misc]
    **{
        check.__name__: check
        for check in (
            gradcheck,
            weights_scale_gradients,
            other_utterances_padding_and_repetition_change_no_bit,
            not_a_number_stays_with_its_utterance,
            nothing_past_an_utterance_is_read,
            what_a_host_would_refuse_is_nan_of_that_utterance,
            no_frames,
            without_gradient_one_direction_is_enough,
            views_and_short_integers,
            the_trial_passes_and_finds_a_fault,
        )
    },
}


def main() -> None:
    assert os.environ.get("TRITON_INTERPRET") == "1"
    # So small that small cases fill several, and that 8 labels, which have 9 places, just miss a block.
    ctc_gpu.BLOCK_SIZES, ctc_gpu.TILE_FRAMES, ctc_gpu.TILE_TOKENS = (8, 16, 64), 8, 16
    results: dict[str, str | None] = {}
    with np.errstate(all="ignore"):  # log(0) is meant
        for name, check in CHECKS.items():
            try:
                check()
                results[name] = None
            except Exception:
                results[name] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()

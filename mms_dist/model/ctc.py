"""The CTC loss (Graves et al. 2006) per utterance, normalised like Hugging Face's `ctc_loss_reduction="mean"`.

On a CPU, this is torch's `ctc_loss`. On a GPU, it is `ctc_gpu`, which never waits for the device, or torch's if a trial
showed that `ctc_gpu` cannot be used.

Legend: B utterances, T frames, V vocabulary, L labels.
"""

import functools
import logging

from torch import Tensor
from torch.nn import functional

from mms_dist.model import ctc_gpu, transfer

log = logging.getLogger(__name__)

BLANK = 0
"""The id of `<pad>`, the CTC blank, in every language."""


def utterance_losses(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, label_lengths_B: Tensor) -> Tensor:
    """Negative log likelihood divided by the number of labels, [B]; 0 where the labels do not fit the frames.

    The labels must be on the model's device. On a GPU the lengths should be there, too, or this call waits for it.
    """
    if uses_kernels(logits_BTV, labels_BL):
        device = logits_BTV.device
        frames_B, label_lengths_B = transfer.to_device(frames_B, device), transfer.to_device(label_lengths_B, device)
        losses_B = ctc_gpu.losses(logits_BTV, frames_B, labels_BL, label_lengths_B)
    else:
        log_probs_TBV = functional.log_softmax(logits_BTV, dim=-1).transpose(0, 1)
        losses_B = functional.ctc_loss(
            log_probs_TBV, labels_BL, frames_B, label_lengths_B, blank=BLANK, reduction="none", zero_infinity=True
        )
    return losses_B / label_lengths_B.clamp(min=1).to(losses_B)


def uses_kernels(logits_BTV: Tensor, labels_BL: Tensor) -> bool:
    """Whether these losses are computed by `ctc_gpu` rather than torch's `ctc_loss`."""
    if logits_BTV.device.type != "cuda" or ctc_gpu.reason_against(logits_BTV.device) is not None:
        return False
    if not ctc_gpu.can_hold(labels_BL, frames=logits_BTV.shape[1]):
        _warn_once(f"a transcript of {labels_BL.shape[1]:,} labels is too long for the CTC kernels: using torch's CTC")
        return False
    return True


@functools.cache
def _warn_once(text: str) -> None:
    log.warning("%s, which waits for the GPU", text)

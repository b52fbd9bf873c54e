"""The objective: CTC (Graves et al. 2006) per utterance, normalised as Hugging Face's `ctc_loss_reduction="mean"`.

Legend: B utterances, T frames, V vocabulary, L labels.
"""

from torch import Tensor
from torch.nn import functional

BLANK = 0
"""The id of `<pad>`, the CTC blank, in every language."""


def utterance_losses(logits_BTV: Tensor, frames_B: Tensor, labels_BL: Tensor, label_lengths_B: Tensor) -> Tensor:
    """Negative log likelihood over the number of labels, [B]; 0 where the labels cannot fit the frames.

    The lengths live on the CPU, the rest on the model's device.
    """
    log_probs_TBV = functional.log_softmax(logits_BTV, dim=-1).transpose(0, 1)
    losses_B = functional.ctc_loss(
        log_probs_TBV, labels_BL, frames_B, label_lengths_B, blank=BLANK, reduction="none", zero_infinity=True
    )
    return losses_B / label_lengths_B.clamp(min=1).to(losses_B)

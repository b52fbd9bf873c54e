"""Measure the phone error rate with greedy CTC decoding."""

import jiwer
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tools.tiny_mms.batches import collate, in_order
from tools.tiny_mms.network import PhoneRecognizer
from tools.tiny_mms.store import SpeechStore


def greedy(logits_BFV: Tensor, frames_B: Tensor) -> list[list[int]]:
    """Decode the best class per frame, with repeats collapsed and blanks dropped."""
    best_BF = logits_BFV.argmax(-1)
    decoded = []
    for best_F, frames in zip(best_BF, frames_B.tolist(), strict=True):
        collapsed = torch.unique_consecutive(best_F[:frames])
        decoded.append(collapsed[collapsed != 0].tolist())
    return decoded


def phone_error_rate(
    model: PhoneRecognizer, store: SpeechStore, indices: NDArray[np.int64], batch_seconds: float = 60.0
) -> float:
    """Return edits per phone over the utterances at ``indices`` (0 … 1 and above)."""
    by_length = indices[np.argsort(store.samples_N[indices], kind="stable")]
    references, hypotheses = [], []
    with torch.inference_mode():
        for batch_indices in in_order(store, by_length, batch_seconds):
            batch = collate(store, batch_indices)
            frames_B = model.frames_B(batch.samples_B)
            decoded = greedy(model(model.front_end(batch.audio_BT), frames_B), frames_B)
            hypotheses += [" ".join(map(str, one)) for one in decoded]
            for labels_L, length in zip(batch.labels_BL.tolist(), batch.lengths_B.tolist(), strict=True):
                references.append(" ".join(map(str, labels_L[:length])))
    return float(jiwer.wer(references, hypotheses))

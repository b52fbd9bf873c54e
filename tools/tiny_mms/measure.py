"""Measure the phone error rate with greedy CTC decoding.

Shapes: B utterances, F frames, V phone classes.
"""

import jiwer
import torch
from torch import Tensor

from tools.tiny_mms.augmentation import normalized
from tools.tiny_mms.mixture import collate
from tools.tiny_mms.network import PhoneRecognizer
from tools.tiny_mms.parts import Utterance
from tools.tiny_mms.phones import PhoneInventory

_BATCH_UTTERANCES = 16


def greedy(logits_BFV: Tensor, frames_B: Tensor) -> list[list[int]]:
    """Decode the best class per frame, with repeats collapsed and blanks dropped."""
    best_BF = logits_BFV.argmax(-1)
    decoded = []
    for best_F, frames in zip(best_BF, frames_B.tolist(), strict=True):
        collapsed = torch.unique_consecutive(best_F[:frames])
        decoded.append(collapsed[collapsed != 0].tolist())
    return decoded


def phone_error_rate(model: PhoneRecognizer, utterances: list[Utterance], inventory: PhoneInventory) -> float:
    """Return edits per phone over ``utterances`` (0 … 1 and above), without those that have no phone."""
    by_length = sorted(utterances, key=lambda one: len(one.samples_T))
    references, hypotheses = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(by_length), _BATCH_UTTERANCES):
            batch = collate(by_length[start : start + _BATCH_UTTERANCES], inventory)
            frames_B = model.frames_B(batch.samples_B)
            audio_BT = normalized(batch.audio_BT, batch.samples_B)
            decoded = greedy(model(model.front_end(audio_BT), frames_B), frames_B)
            for found, labels_L, length in zip(
                decoded, batch.labels_BL.tolist(), batch.lengths_B.tolist(), strict=True
            ):
                if length:
                    references.append(" ".join(map(str, labels_L[:length])))
                    hypotheses.append(" ".join(map(str, found)))
    return float(jiwer.wer(references, hypotheses))

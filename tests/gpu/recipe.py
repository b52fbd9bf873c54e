"""The Hugging Face adapter recipe at its best: what the training system is compared with.

bfloat16 autocast with the adapters in float32, sdpa, everything below the lowest adapter without a graph, batches of
similar lengths already normalised and on the device, fused AdamW. Reading, decoding and copying cost it nothing here.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mms_dist.data.batch import LoadedBatch, Utterance
from shards.schema import SAMPLE_RATE
from tests.gpu.ours import DIM
from tests.gpu.speech import utterances_of

VOCABULARY = 60


@dataclass(frozen=True)
class Ready:
    """One batch on the device, as the model takes it."""

    audio_BS: Tensor
    mask_BS: Tensor
    labels_BL: Tensor
    seconds: float


def ready(members: Sequence[Utterance], device: torch.device, dtype: torch.dtype) -> Ready:
    """Padded and normalised as `Wav2Vec2FeatureExtractor` does it, computed here anew."""
    samples, labels = max(len(one.audio) for one in members), max(len(one.labels) for one in members)
    audio_BS = torch.zeros(len(members), samples)
    mask_BS = torch.zeros(len(members), samples, dtype=torch.int32)
    labels_BL = torch.full((len(members), labels), -100)
    for row, one in enumerate(members):
        audio = one.audio.astype(np.float32) / 32_768
        audio_BS[row, : len(audio)] = torch.from_numpy((audio - audio.mean()) / np.sqrt(audio.var() + 1e-7))
        mask_BS[row, : len(audio)] = 1
        labels_BL[row, : len(one.labels)] = torch.from_numpy(one.labels)
    seconds = sum(len(one.audio) for one in members) / SAMPLE_RATE
    return Ready(audio_BS.to(device, dtype), mask_BS.to(device), labels_BL.to(device), seconds)


class Recipe:
    """One language's training; what language it is makes no difference to its speed."""

    def __init__(self, config: Any, dtype: torch.dtype, device: torch.device, *, compiled: bool) -> None:
        from transformers import Wav2Vec2ForCTC

        config.adapter_attn_dim, config.vocab_size, config._attn_implementation = DIM, VOCABULARY, "sdpa"
        config.ctc_loss_reduction, config.ctc_zero_infinity = "mean", True
        config.mask_time_prob, config.mask_time_length = 0.05, 10
        torch.manual_seed(0)
        with torch.device(device):
            model = Wav2Vec2ForCTC(config)
        self.device, self.model = device, model.to(dtype).train()
        self.model.freeze_base_model()
        self.model.freeze_feature_encoder()
        self.trained = list(self.model._get_adapters().values())
        for parameter in self.trained:
            parameter.requires_grad_()
            parameter.data = parameter.data.float()
        self.compiled = compiled
        if compiled:
            backend = "inductor" if device.type == "cuda" else "eager"  # a smoke run has no time for a C++ compiler
            for layer in self.model.wav2vec2.encoder.layers:
                layer.compile(dynamic=True, backend=backend)
        self.adam = torch.optim.AdamW(self.trained, lr=1e-3, betas=(0.9, 0.98), fused=device.type == "cuda")

    def cut(self, batches: Sequence[LoadedBatch], *, seconds: float, most: int | None = None) -> list[Ready]:
        """The utterances of a round sorted by length and cut into batches of so many seconds with padding: so many of
        them, drawn at random, in random order."""
        everything = sorted(utterances_of(list(batches)), key=lambda utterance: len(utterance.audio))
        groups: list[list[Utterance]] = [[]]
        for utterance in everything:
            if groups[-1] and (len(groups[-1]) + 1) * len(utterance.audio) > seconds * SAMPLE_RATE:
                groups.append([])
            groups[-1].append(utterance)
        order = np.random.default_rng(0).permutation(len(groups))
        return [ready(groups[number], self.device, self.model.dtype) for number in order[:most]]

    def train(self, batches: Sequence[Ready]) -> None:
        """One update a batch."""
        # What the training system compiles leaves torch in a stance in which nothing new is compiled.
        with torch.compiler.set_stance("default") if self.compiled else contextlib.nullcontext():
            for batch in batches:
                self.step(batch)

    def step(self, batch: Ready) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self.model(batch.audio_BS, attention_mask=batch.mask_BS, labels=batch.labels_BL).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.adam.step()
        self.adam.zero_grad()

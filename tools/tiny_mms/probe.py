"""Measure how useful a base is for adapters: ``python -m tools.tiny_mms.probe BASE``.

Trains one adapter and CTC head (or only the head, or the encoder as well) per language of the demo corpus, and prints
the character error rate on held-out sentences. Compare with the result of ``--random``.

Shapes: B utterances, F frames, H hidden, V characters (0 = blank).
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from tools.tiny_mms.augmentation import normalized, time_mask
from tools.tiny_mms.measure import greedy
from tools.tiny_mms.recordings import demo_recordings

_BATCH_UTTERANCES = 24
_MASKED_FRACTION = 0.05
_WARM_UP, _LAST_RATE = 0.05, 0.05  # fractions of the steps and of the peak learning rate


@dataclass(frozen=True)
class ProbeUtterance:
    """``hidden_FH``: the features below the first encoder layer, always frozen; ``text``: the normalised transcript."""

    hidden_FH: Tensor
    text: str


def rate_at(progress: float) -> float:
    """Return the learning rate as a fraction of its peak: linear warm-up, then linear decay."""
    if progress < _WARM_UP:
        return max(progress / _WARM_UP, 0.02)
    return 1.0 - (1.0 - _LAST_RATE) * min((progress - _WARM_UP) / (1.0 - _WARM_UP), 1.0)


def plain(text: str) -> str:
    """Reduce a text to lower-case letters, apostrophes and single spaces."""
    return " ".join("".join(c if c.isalpha() or c == "'" else " " for c in text.casefold()).split())


def frozen_features(
    model: Wav2Vec2ForCTC, manifest: Path, language: str, splits: tuple[str, ...]
) -> list[ProbeUtterance]:
    """Compute the part of the base that no adapter changes, once per utterance."""
    cached = []
    with torch.inference_mode():
        for recording in demo_recordings(manifest, splits):
            if recording.language != language or not plain(recording.text):
                continue
            audio_1T = torch.from_numpy(recording.samples_T.astype(np.float32))[None]
            audio_1T = normalized(audio_1T, torch.tensor([audio_1T.shape[1]]))
            features_1FC = model.wav2vec2.feature_extractor(audio_1T).transpose(1, 2)
            hidden_1FH, _ = model.wav2vec2.feature_projection(features_1FC)
            cached.append(ProbeUtterance(hidden_1FH[0].clone(), plain(recording.text)))
    return cached


def logits_of(model: Wav2Vec2ForCTC, hidden_BFH: Tensor, frames_B: Tensor) -> Tensor:
    """Run the encoder with adapters, and the head, on cached features."""
    real_BF = torch.arange(hidden_BFH.shape[1])[None] < frames_B[:, None]
    with torch.autocast("cpu", torch.bfloat16):
        encoded = model.wav2vec2.encoder(hidden_BFH.clone(), attention_mask=real_BF)
        return model.lm_head(encoded.last_hidden_state).float()


def padded(utterances: list[ProbeUtterance]) -> tuple[Tensor, Tensor]:
    """Pad the utterances: (hidden BFH, frames B)."""
    frames_B = torch.tensor([len(one.hidden_FH) for one in utterances])
    return torch.nn.utils.rnn.pad_sequence([one.hidden_FH for one in utterances], batch_first=True), frames_B


def probe(base: Path, manifest: Path, language: str, arguments: argparse.Namespace) -> float:
    """Return the character error rate on the held-out sentences of ``language``."""
    torch.manual_seed(arguments.seed)
    settings = {"adapter_attn_dim": arguments.dim, "pad_token_id": 0, "layerdrop": 0.0}
    if arguments.random:
        model = Wav2Vec2ForCTC(Wav2Vec2Config.from_pretrained(base, vocab_size=5, **settings))
    else:
        model = Wav2Vec2ForCTC.from_pretrained(base, vocab_size=5, dtype=torch.float32, **settings)
    model.eval()
    train = frozen_features(model, manifest, language, ("train",))
    test = frozen_features(model, manifest, language, tuple(arguments.held_out))
    characters = sorted({character for one in train for character in one.text})
    number_of = {character: number for number, character in enumerate(characters, start=1)}
    model.requires_grad_(False)
    model.lm_head = torch.nn.Linear(model.config.hidden_size, len(characters) + 1)
    learned = list(model.lm_head.parameters())
    for name, parameter in model.wav2vec2.named_parameters():
        if ".adapter_layer." in name:
            if name.endswith("linear_2.weight"):
                torch.nn.init.zeros_(parameter)  # the adapter starts as the identity
            if not arguments.head_only:
                learned.append(parameter.requires_grad_())
        elif arguments.encoder and name.startswith("encoder."):
            learned.append(parameter.requires_grad_())
    optimizer = torch.optim.AdamW(learned, lr=arguments.rate, weight_decay=0.01)
    generator = torch.Generator().manual_seed(arguments.seed)
    for step, chosen in enumerate(_batches(train, arguments.steps, arguments.seed)):
        for group in optimizer.param_groups:
            group["lr"] = arguments.rate * rate_at(step / arguments.steps)
        hidden_BFH, frames_B = padded(chosen)
        masked_BF = time_mask(frames_B, _MASKED_FRACTION, generator)
        hidden_BFH = torch.where(masked_BF[..., None], model.wav2vec2.masked_spec_embed, hidden_BFH)
        labels = [torch.tensor([number_of[c] for c in one.text]) for one in chosen]
        lengths_B = torch.tensor([len(one) for one in labels])
        log_probabilities_BFV = logits_of(model, hidden_BFH, frames_B).log_softmax(-1)
        loss = F.ctc_loss(
            log_probabilities_BFV.transpose(0, 1), torch.cat(labels), frames_B, lengths_B, zero_infinity=True
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
    hypotheses = []
    with torch.inference_mode():
        for start in range(0, len(test), _BATCH_UTTERANCES):
            hidden_BFH, frames_B = padded(test[start : start + _BATCH_UTTERANCES])
            for numbers in greedy(logits_of(model, hidden_BFH, frames_B), frames_B):
                hypotheses.append("".join(characters[number - 1] for number in numbers))
    return float(jiwer.cer([one.text for one in test], hypotheses))


def _batches(train: list[ProbeUtterance], steps: int, seed: int) -> Iterator[list[ProbeUtterance]]:
    """Yield batches of similar lengths, reshuffled every epoch."""
    generator = np.random.default_rng(seed)
    made = 0
    while True:
        jitter = generator.uniform(0.8, 1.25, len(train))
        order = np.argsort([len(one.hidden_FH) * noise for one, noise in zip(train, jitter, strict=True)])
        cuts = [order[start : start + _BATCH_UTTERANCES] for start in range(0, len(order), _BATCH_UTTERANCES)]
        for cut in generator.permutation(len(cuts)):
            if made == steps:
                return
            made += 1
            yield [train[index] for index in cuts[cut]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_mms.probe", description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--demo", type=Path, default=Path("shards/demo/manifest.tsv"), help="demo manifest")
    parser.add_argument("--languages", nargs="+", default=["eng", "spa", "fra", "ita", "rus"])
    parser.add_argument("--held-out", nargs="+", choices=["dev", "test"], default=["dev"], help="splits to measure on")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--rate", type=float, default=8e-3)
    parser.add_argument("--steps", type=int, default=300)
    learned = parser.add_mutually_exclusive_group()
    learned.add_argument("--head-only", action="store_true", help="train only the head, without adapters")
    learned.add_argument("--encoder", action="store_true", help="train the encoder too, as no real run does")
    parser.add_argument("--random", action="store_true", help="use an untrained base")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for language in arguments.languages:
        started = time.monotonic()
        rate = probe(arguments.base, arguments.demo, language, arguments)
        print(f"{language} CER {rate:.3f} after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()

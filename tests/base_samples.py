"""Bases as they lie on the Hub: one with languages of its own, and one in the format of old checkpoints."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, Wav2Vec2Model

from tests.conftest import small_base_config

OWN_LANGUAGES = {"eng": 154, "ron": 27}
"""Vocabulary sizes; the first one's adapter and head are in the model itself, as English's in facebook/mms-1b-all."""

WEIGHT_NORM = {"conv.parametrizations.weight.original0": "conv.weight_g"} | {
    "conv.parametrizations.weight.original1": "conv.weight_v"
}
"""Names of the positional convolution's weights today, and what checkpoints of the time of MMS call them."""


def save_like_mms_1b_all(folder: Path, encoder: Path | None = None) -> Wav2Vec2ForCTC:
    """A base with a head, adapters, and a tokenizer of its own in every file that facebook/mms-1b-all has them in.

    Args:
        encoder: a base whose encoder's weights this one takes; None: random ones.
    """
    first = next(iter(OWN_LANGUAGES))
    torch.manual_seed(0)
    for language, size in reversed(OWN_LANGUAGES.items()):
        model = Wav2Vec2ForCTC(small_base_config(adapter_attn_dim=16, vocab_size=size))
        folder.mkdir(parents=True, exist_ok=True)
        adapter = {name: tensor.detach().clone() for name, tensor in model._get_adapters().items()}
        save_file(adapter, folder / f"adapter.{language}.safetensors", metadata={"format": "pt"})
    if encoder is not None:
        weights = Wav2Vec2Model.from_pretrained(encoder).state_dict()
        model.load_state_dict({f"wav2vec2.{name}": tensor for name, tensor in weights.items()}, strict=False)
    model.save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({language: _tokens(size) for language, size in OWN_LANGUAGES.items()}))
    Wav2Vec2CTCTokenizer(str(vocabulary), target_lang=first).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return model


def _tokens(size: int) -> dict[str, int]:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *(chr(0x1E00 + number) for number in range(size - 5))]
    return {token: number for number, token in enumerate(tokens)}


def save_as_old_checkpoint(folder: Path, base: Path) -> dict[str, torch.Tensor]:
    """The weights of `base` in a `pytorch_model.bin`, the weight norm under its old names; what was written."""
    folder.mkdir(parents=True)
    for path in base.glob("*.json"):
        shutil.copy(path, folder)
    weights = {}
    for name, tensor in load_file(base / "model.safetensors").items():
        for today, then in WEIGHT_NORM.items():
            name = name.replace(today, then)
        weights[name] = tensor
    torch.save(weights, folder / "pytorch_model.bin")
    return weights

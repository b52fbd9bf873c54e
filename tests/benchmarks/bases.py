"""Bases of random weights for measuring speed, and batches for them.

Legend: B utterances, T frames, C front-end channels.
"""

from pathlib import Path
from typing import Any

import torch

from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.routed import ModelInput, RoutedModel

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 768}
    | {"conv_dim": (64,) * 7, "num_conv_pos_embeddings": 64, "num_conv_pos_embedding_groups": 16},
    "300m": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    | {"conv_dim": (512,) * 7, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16},
    "1b": {"hidden_size": 1280, "num_hidden_layers": 48, "num_attention_heads": 16, "intermediate_size": 5120}
    | {"conv_dim": (512,) * 7, "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16},
}
"""`tiny` has three million parameters; `300m` and `1b` are those of facebook/mms-300m and facebook/mms-1b."""


def base_config(shape: str, *, layers: int | None = None) -> Any:
    """Configuration of a base of that shape, with everything random turned off."""
    from transformers import Wav2Vec2Config

    dropouts = dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"), 0.0
    )
    return Wav2Vec2Config(
        **(SHAPES[shape] | ({} if layers is None else {"num_hidden_layers": layers})),
        **dropouts,
        layerdrop=0.0,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        vocab_size=32,
        pad_token_id=0,
    )


def random_base(folder: Path, shape: str, *, layers: int | None = None, dtype: str = "float32") -> Path:
    """Write a base of random weights as a folder that Hugging Face loads."""
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(base_config(shape, layers=layers)).to(DTYPES[dtype]).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True).save_pretrained(folder)
    return folder


def routed_model(base: FrozenBase, vocabularies: list[int], *, dim: int = 16) -> RoutedModel:
    """A bank with one random language per vocabulary size, on `base`."""
    layout = RowLayout(len(base.layers), base.hidden, dim)
    bank = AdapterBank(layout, slots=len(vocabularies), largest_vocabulary=max(vocabularies))
    for slot, size in enumerate(vocabularies):
        bank.load(slot, initial_tensors(layout, size, scheme="mms", seed=0, language=f"language {slot}"))
    return RoutedModel(base, bank)


def batch_of(base: FrozenBase, audio_BN: torch.Tensor, slots: list[int]) -> ModelInput:
    """Utterances of full length, one slot for each."""
    features_BTC = base.features(audio_BN)
    frames_B = torch.full((len(slots),), features_BTC.shape[1])
    return ModelInput(features_BTC, frames_B, torch.tensor(slots))


def random_labels(batch: int, labels: int, smallest_vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels [B, L] that every vocabulary has, without adjacent repeats, and their lengths [B]."""
    row_L = 5 + torch.arange(labels) % (smallest_vocabulary - 5)
    return row_L.repeat(batch, 1), torch.full((batch,), labels)

"""Export the base as an ordinary checkpoint without head, vocabulary or adapters."""

from pathlib import Path

import torch
from transformers import Wav2Vec2FeatureExtractor

from tools.tiny_mms.network import PhoneRecognizer


def export_base(model: PhoneRecognizer, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write ``config.json``, ``model.safetensors`` (``dtype``) and ``preprocessor_config.json``, as for mms-300m.

    The weights are stored in half precision; ``config.json`` says float32, so they are loaded in float32.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().to(dtype).clone() for name, tensor in model.base.state_dict().items()}
    model.base.config.architectures = ["Wav2Vec2Model"]
    model.base.save_pretrained(folder, state_dict=weights)
    Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16_000, padding_value=0.0, do_normalize=True, return_attention_mask=True
    ).save_pretrained(folder)

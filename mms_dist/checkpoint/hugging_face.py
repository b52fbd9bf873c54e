"""Write the files that Hugging Face's classes read: configuration, base weights, tokenizer, preprocessor."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mms_dist.errors import BaseModelError
from mms_dist.model.adapter import AdapterShape
from mms_dist.model.base_config import read_config
from mms_dist.model.base_encoder import load_encoder

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SAMPLE_RATE = 16_000
WEIGHTS_NAME = "model.safetensors"
_FIX = "use the base the run was trained on (model.base in RUN/config.yaml), or export with --adapters-only"


def load_base_config(base_path: str) -> Any:
    """Read the base's `Wav2Vec2Config`.

    Raises:
        BaseModelError: there is none, or the encoder has no adapter layers.
    """
    config = read_config(base_path, name=f"the base {base_path}", expected=_FIX)
    if not config.do_stable_layer_norm:
        raise BaseModelError(
            f"the base {base_path} has do_stable_layer_norm=false, and encoders of that kind have no adapter layers",
            fix="export with the base the run was trained on (model.base in RUN/config.yaml)",
        )
    return config


class ExportedBase:
    """The frozen base as Hugging Face's model, loaded at first use and kept for all languages.

    Args:
        dtype: a key of `DTYPES`; None keeps the base's own.
    """

    def __init__(self, base_path: str, config: Any, dtype: str | None) -> None:
        self._base_path, self._config, self._dtype = base_path, config, dtype

    @functools.cached_property
    def _encoder(self) -> tuple[dict[str, Tensor], Any]:
        """The base's own weights by their names in the whole model, and their dtype."""
        wanted: Any = "auto" if self._dtype is None else DTYPES[self._dtype]
        encoder, has_mask_embedding = load_encoder(
            self._base_path, self._config, wanted, name=f"the base {self._base_path}"
        )
        own: Any = encoder.dtype
        state = {f"wav2vec2.{name}": tensor for name, tensor in encoder.state_dict().items()}
        if not has_mask_embedding:
            # The library initialises it at random, but training masks with zeros if the base has none.
            state["wav2vec2.masked_spec_embed"] = torch.zeros_like(state["wav2vec2.masked_spec_embed"])
        return state, own

    def model(self, adapter: Mapping[str, Tensor], shape: AdapterShape) -> Any:
        """Return a `Wav2Vec2ForCTC` of the base with one language's adapter and head.

        So the model can be used without naming a language; `vocab_size` is that of the language.

        Raises:
            BaseModelError: the base cannot be loaded, or weights are missing.
        """
        with quiet():
            base, own = self._encoder
            state = base | {name: tensor.to(own) for name, tensor in adapter.items()}
            model = self._empty(shape)
            model.config.dtype = own
            model.load_state_dict(state, strict=True, assign=True)
        return model.eval()

    def write(self, folder: Path, adapter: Mapping[str, Tensor], shape: AdapterShape) -> None:
        """Write config.json and the weights. Raises as `model`."""
        model = self.model(adapter, shape)
        self.write_config(folder, model)
        # Same bytes as `model.save_pretrained`, which would import DeepSpeed if it is installed.
        weights = folder / WEIGHTS_NAME
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, weights, metadata={"format": "pt"})
        # safetensors writes through a temporary file that only its owner may read; config.json follows the umask.
        weights.chmod((folder / "config.json").stat().st_mode)

    def plan(self, folder: Path, shape: AdapterShape) -> int:
        """Write config.json, and return how many bytes the weights would have."""
        model = self._empty(shape)
        self.write_config(folder, model)
        named = DTYPES.get(str(self._dtype or self._config.dtype).removeprefix("torch."), torch.float32)
        return sum(tensor.numel() for tensor in model.state_dict().values()) * named.itemsize

    def planned_onnx(self, shape: AdapterShape) -> tuple[int, int]:
        """Return about how many bytes ONNX files of float32 and int8 would have; matrices alone become int8."""
        model = self._empty(shape)
        every = sum(tensor.numel() for tensor in model.state_dict().values())
        matrices = sum(each.weight.numel() for each in model.modules() if isinstance(each, torch.nn.Linear))
        return 4 * every, 4 * every - 3 * matrices

    def write_config(self, folder: Path, model: Any) -> None:
        """Write config.json."""
        with quiet():
            model.config.save_pretrained(folder)

    def _empty(self, shape: AdapterShape) -> Any:
        from transformers import Wav2Vec2ForCTC

        config = copy.deepcopy(self._config)
        config.update(
            {
                "adapter_attn_dim": shape.dim,
                "vocab_size": shape.vocabulary_size,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "layerdrop": 0.0,
                "ctc_loss_reduction": "mean",
                "ctc_zero_infinity": True,
                "architectures": [Wav2Vec2ForCTC.__name__],
            }
        )
        with torch.device("meta"), quiet():
            return Wav2Vec2ForCTC(config)


def write_processor(folder: Path, vocabulary: Mapping[str, Mapping[str, int]], target_lang: str) -> None:
    """Write the tokenizer and preprocessor, which normalises audio to zero mean and unit variance, as in training.

    Args:
        vocabulary: nested, `{language: {token: id}}`.
    """
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

    write_vocabulary(folder, vocabulary)
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        word_delimiter_token="|",
        target_lang=target_lang,
    )
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1,
        sampling_rate=SAMPLE_RATE,
        padding_value=0.0,
        do_normalize=True,
        return_attention_mask=True,
    )
    Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    # Some tools do not read processors and look for the preprocessor alone.
    extractor.save_pretrained(folder)


def write_vocabulary(folder: Path, vocabulary: Mapping[str, Mapping[str, int]]) -> None:
    """Write the nested vocab.json."""
    content = json.dumps(vocabulary, ensure_ascii=False, indent=2, sort_keys=True)
    (folder / "vocab.json").write_text(content + "\n", encoding="utf-8")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the library's warnings about unused heads, adapters and quantizers; missing weights are checked here."""
    from transformers.utils import logging as library_logging

    verbosity, bars = library_logging.get_verbosity(), library_logging.is_progress_bar_enabled()
    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    try:
        yield
    finally:
        library_logging.set_verbosity(verbosity)
        if bars:
            library_logging.enable_progress_bar()

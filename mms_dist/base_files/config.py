"""A base's config.json as Hugging Face's configuration, checked so far that a model can be made by it."""

import json
from pathlib import Path
from typing import Any

import torch

from mms_dist.base_files.place import check_content, how_to_fetch
from mms_dist.base_files.quiet import first_line, quiet_library
from mms_dist.errors import BaseModelError

CONFIG = "config.json"
MOST = {"num_hidden_layers": 512}
MOST_OTHERS = 1 << 20
"""Sizes beyond which a number in config.json is a mistake; the largest published encoder has 128 layers of 2,048."""
_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "num_feat_extract_layers",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
)
_Shapes = dict[str, tuple[int, ...]]


def read_config(path: str, *, name: str, expected: str) -> Any:
    """The `Wav2Vec2Config` of a folder or a Hub repository.

    Args:
        path: folder or Hub name.
        name: what messages call it, such as `model.base 'tiny-mms'`.
        expected: what could have been given in its place.

    Raises:
        BaseModelError: there is none, or no model of wav2vec 2.0 can be made by it.
    """
    from transformers import Wav2Vec2Config

    file = Path(path) / CONFIG
    if Path(path).is_dir():
        _check_json(file, path)
    try:
        with quiet_library():
            config: Any = Wav2Vec2Config.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{name} cannot be loaded: {first_line(error)}", fix=f"{expected}") from error
    except Exception as error:  # the library's own checks have no common base
        raise _not_understood(path, name, error) from error
    if config.model_type != "wav2vec2":
        raise BaseModelError(f"{name} is a {config.model_type!r} model, expected wav2vec2 (MMS, XLS-R)")
    _check_sizes(config, path, name)
    return config


def needed_shapes(config: Any, path: str, name: str) -> _Shapes:
    """Every tensor of the encoder that the configuration calls for, without one of its own.

    Raises:
        BaseModelError: no model can be made by the configuration.
    """
    from transformers import Wav2Vec2Model

    try:
        with torch.device("meta"):
            return {key: tuple(tensor.shape) for key, tensor in Wav2Vec2Model(config).state_dict().items()}
    except Exception as error:  # whatever a value leads to in the library
        raise _not_understood(path, name, error) from error


def _check_json(file: Path, path: str) -> None:
    check_content(file, path)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(f"{file} is no JSON ({first_line(error)})", fix=f"{how_to_fetch(path)}") from error
    if not isinstance(values, dict):
        raise BaseModelError(
            f"{file} holds a {type(values).__name__}, expected a JSON object", fix=f"{how_to_fetch(path)}"
        )


def _check_sizes(config: Any, path: str, name: str) -> None:
    for field in _SIZES:
        size, most = getattr(config, field, None), MOST.get(field, MOST_OTHERS)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= most:
            raise _wrong(path, name, field, size, f"a whole number from 1 to {most:,}")
    for field in ("conv_dim", "conv_kernel", "conv_stride"):
        sizes = getattr(config, field, None)
        if not isinstance(sizes, list | tuple) or not all(isinstance(n, int) and 1 <= n <= MOST_OTHERS for n in sizes):
            raise _wrong(path, name, field, sizes, "a list of whole numbers above 0")
        if len(sizes) != config.num_feat_extract_layers:
            raise _wrong(path, name, field, sizes, f"{config.num_feat_extract_layers} numbers")
    for field in ("num_attention_heads", "num_conv_pos_embedding_groups"):
        if config.hidden_size % getattr(config, field):
            expected = f"a divisor of hidden_size {config.hidden_size}"
            raise _wrong(path, name, field, getattr(config, field), expected)


def _wrong(path: str, name: str, field: str, found: object, expected: str) -> BaseModelError:
    return BaseModelError(f"config.json of {name} has {field} {found!r}, expected {expected}", how_to_fetch(path))


def _not_understood(path: str, name: str, error: Exception) -> BaseModelError:
    reason = " ".join(str(error).split())[:300]
    found = f"config.json of {name} cannot be understood: {type(error).__name__}: {reason}"
    return BaseModelError(found, how_to_fetch(path))

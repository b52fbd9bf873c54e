"""Read a base's config.json as a Hugging Face configuration, and check that a model can be built from it."""

import json
from pathlib import Path
from typing import Any

import torch

from mms_dist.errors import BaseModelError
from mms_dist.model.base_location import check_content, how_to_fetch
from mms_dist.model.quiet import first_line, quiet_library

CONFIG = "config.json"
MOST = {"num_hidden_layers": 512}
MOST_OTHERS = 1 << 20
"""A larger size in config.json is a mistake; the largest published encoder has 128 layers with hidden size 2,048."""
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
    """Read the `Wav2Vec2Config` of a folder or a Hub repository.

    Args:
        path: folder or Hub name.
        name: its name in messages, such as `model.base 'tiny-mms'`.
        expected: the fix in the error if it cannot be loaded: what to give instead.

    Raises:
        BaseModelError: there is no config.json, or no wav2vec 2.0 model can be built from it.
    """
    from transformers import Wav2Vec2Config

    file = Path(path) / CONFIG
    if Path(path).is_dir():
        _check_json(file, path)
    try:
        with quiet_library():
            config: Any = Wav2Vec2Config.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{name} cannot be loaded: {first_line(error)}", fix=expected) from error
    except Exception as error:  # the library's own checks have no common base
        raise _cannot_build(path, name, error) from error
    if config.model_type != "wav2vec2":
        raise BaseModelError(f"{name} is a {config.model_type!r} model, expected wav2vec2 (MMS, XLS-R)")
    _check_sizes(config, path, name)
    return config


def needed_shapes(config: Any, path: str, name: str) -> _Shapes:
    """The shape of every encoder tensor that the configuration requires, without allocating any.

    Raises:
        BaseModelError: no model can be built from the configuration.
    """
    from transformers import Wav2Vec2Model

    try:
        with torch.device("meta"):
            return {key: tuple(tensor.shape) for key, tensor in Wav2Vec2Model(config).state_dict().items()}
    except Exception as error:  # a bad value may fail anywhere in the library
        raise _cannot_build(path, name, error) from error


def _check_json(file: Path, path: str) -> None:
    check_content(file, path)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(f"{file} is not valid JSON ({first_line(error)})", fix=how_to_fetch(path)) from error
    if not isinstance(values, dict):
        raise BaseModelError(f"{file} holds a {type(values).__name__}, expected a JSON object", fix=how_to_fetch(path))


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


def _cannot_build(path: str, name: str, error: Exception) -> BaseModelError:
    reason = " ".join(str(error).split())[:300]
    found = f"no model can be built from config.json of {name}: {type(error).__name__}: {reason}"
    return BaseModelError(found, how_to_fetch(path))

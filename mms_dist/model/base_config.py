"""Read a base's config.json as a Hugging Face configuration, and check that a model can be built from it."""

import difflib
import json
import re
from pathlib import Path
from typing import Any

import torch

from mms_dist.errors import BaseModelError
from mms_dist.model.base_files import SHIPPED_BASE, check_content, how_to_fetch, quiet_library
from shards.errors import first_line
from shards.schema import FRONT_END

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
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_EXPECTED_BASE = f"pass a folder with config.json and weights, a Hub repository as owner/name, or {SHIPPED_BASE}"
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


def read_base_config(path: str, name: str) -> Any:
    """Read a base's configuration, without its weights, and check that adapters can be trained on it.

    Args:
        path: from `resolve_base`.
        name: the name the user gave.

    Raises:
        BaseModelError: there is no configuration, or the base does not support adapters.
    """
    if Path(path).is_dir() and not (Path(path) / "config.json").is_file():
        raise BaseModelError(f"model.base {name!r} is a folder without config.json", fix=_EXPECTED_BASE)
    if not Path(path).is_dir() and not _HUB_NAME.fullmatch(path):
        near = difflib.get_close_matches(name, [SHIPPED_BASE], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BaseModelError(f"model.base {name!r} is not a folder", fix=f"{hint}{_EXPECTED_BASE}")
    hub = f" (without a network, run `hf download {name}` on another machine and pass the folder)"
    config = read_config(
        path, name=f"model.base {name!r}", expected=_EXPECTED_BASE + ("" if Path(path).is_dir() else hub)
    )
    if not config.do_stable_layer_norm:
        raise BaseModelError(
            f"model.base {name!r} has do_stable_layer_norm=false, and encoders of that kind have no adapter layers",
            fix="use facebook/mms-300m, mms-1b, mms-1b-all, XLS-R or tiny-mms",
        )
    if config.feat_extract_norm != "layer":
        raise BaseModelError(
            f"model.base {name!r} has feat_extract_norm={config.feat_extract_norm!r}, which mixes padding into the "
            "features, expected 'layer'",
            fix="use an MMS or XLS-R checkpoint",
        )
    front_end = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
    if front_end != FRONT_END:
        raise BaseModelError(
            f"model.base {name!r} has a front end of (kernel, stride) {front_end}, expected that of wav2vec 2.0 and "
            f"MMS, {FRONT_END}, which the shards use to count frames"
        )
    if config.add_adapter:
        raise BaseModelError(
            f"model.base {name!r} has add_adapter=true (a strided output adapter), expected false",
            fix="use an MMS or XLS-R checkpoint",
        )
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
        raise BaseModelError(f"{file} is a {type(values).__name__}, expected a JSON object", fix=how_to_fetch(path))


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

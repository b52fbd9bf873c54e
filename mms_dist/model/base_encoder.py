"""Load a base's encoder with Hugging Face's class: check the files before loading and the values after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mms_dist.errors import BaseModelError
from mms_dist.finite import all_finite
from mms_dist.model.base_files import folder_of, how_to_fetch, quiet_library
from mms_dist.model.base_weights import (
    MASK_EMBEDDING,
    WEIGHTS,
    Table,
    check_weights,
    file_of,
    weight_files,
    weight_table,
)
from shards.errors import first_line


def load_encoder(path: str, config: Any, dtype: Any, *, name: str) -> tuple[nn.Module, bool]:
    """Load a `Wav2Vec2Model` without head or adapters; also return whether the checkpoint has a mask embedding.

    Args:
        path: a folder or a Hub name.
        config: from `read_config`.
        dtype: dtype of the weights, or `auto` to keep the file's.
        name: its name in messages.

    Raises:
        BaseModelError: a file is missing, truncated or not a weights file; or weights are missing, have another shape,
            or hold NaN or infinity. The error names the file and how to fetch it.
    """
    from transformers import Wav2Vec2Model

    config.adapter_attn_dim = None  # the bank's rows replace the checkpoint's single adapter
    table = check_files(path, config, name=name)
    try:
        with quiet_library():
            module, report = Wav2Vec2Model.from_pretrained(path, config=config, dtype=dtype, output_loading_info=True)
    except Exception as error:  # the library, safetensors, pickle and the Hub share no base class
        raise BaseModelError(
            f"the weights of {name} cannot be loaded: {first_line(error)}", fix=how_to_fetch(path)
        ) from error
    wrong = sorted(set(report["missing_keys"]) - {MASK_EMBEDDING}) or sorted(map(str, report["mismatched_keys"]))
    if wrong:
        raise BaseModelError(
            f"{name} lacks {len(wrong)} weights that its config.json requires; the first is {wrong[0]}",
            fix=how_to_fetch(path),
        )
    state = module.state_dict()
    has_mask_embedding = MASK_EMBEDDING not in report["missing_keys"]
    if not has_mask_embedding:
        state.pop(MASK_EMBEDDING)
    check_finite(state, table, path)
    return module, has_mask_embedding


def check_files(path: str, config: Any, *, name: str) -> Table:
    """Check the weights files by their tables of contents, if they are on this machine.

    Raises:
        BaseModelError: see `load_encoder`.
    """
    folder = folder_of(path)
    files = weight_files(folder) if folder is not None else []
    if not files:
        if folder is not None and Path(path).is_dir():
            raise BaseModelError(f"{folder} has a config.json but none of {', '.join(WEIGHTS)}", fix=how_to_fetch(path))
        return {}  # the library downloads them
    table = weight_table(files)
    check_weights(path, name, config, table)
    return table


def check_finite(weights: Mapping[str, Tensor], table: Table, path: str) -> None:
    """Check that every weight is finite: a single NaN in the base would make every language fail.

    Raises:
        BaseModelError: a weight is not finite; names the first such tensor and its file.
    """
    wrong = [key for key, tensor in weights.items() if tensor.is_floating_point() and not all_finite(tensor)]
    if wrong:
        file = file_of(table, wrong[0]) or path
        raise BaseModelError(
            f"{file} has NaN or infinity in {len(wrong)} weights, first {wrong[0]}: no language can train on it",
            fix=f"{how_to_fetch(path)}, or train the base again",
        )

"""The encoder of a base, loaded by Hugging Face's class from files that were checked before and values after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mms_dist.base_files.place import folder_of, how_to_fetch
from mms_dist.base_files.quiet import first_line, quiet_library
from mms_dist.base_files.weights import MADE_UP, WEIGHTS, Table, check_weights, file_of, weight_files, weight_table
from mms_dist.errors import BaseModelError
from mms_dist.finite import all_finite


def load_encoder(path: str, config: Any, dtype: Any, *, name: str) -> tuple[nn.Module, bool]:
    """A `Wav2Vec2Model` without a head or adapters, and whether the checkpoint has an embedding for masked frames.

    Args:
        path: a folder or a Hub name.
        config: from `read_config`.
        dtype: of the weights, or `auto` for the file's own.
        name: what messages call it.

    Raises:
        BaseModelError: a file is missing, cut short or none of weights; weights are missing, of another shape, or hold
            NaN or infinity. Names the file, and how to fetch it.
    """
    from transformers import Wav2Vec2Model

    config.adapter_attn_dim = None  # the bank's rows take the place of the checkpoint's one adapter
    table = check_files(path, config, name=name)
    try:
        with quiet_library():
            module, report = Wav2Vec2Model.from_pretrained(path, config=config, dtype=dtype, output_loading_info=True)
    except Exception as error:  # of the library, safetensors, pickle and the Hub, without a common base
        raise BaseModelError(
            f"the weights of {name} cannot be loaded: {first_line(error)}", fix=f"{how_to_fetch(path)}"
        ) from error
    wrong = sorted(set(report["missing_keys"]) - {MADE_UP}) or sorted(map(str, report["mismatched_keys"]))
    if wrong:
        raise BaseModelError(
            f"{name} lacks {len(wrong)} weights that its config.json calls for, first {wrong[0]}",
            fix=f"{how_to_fetch(path)}",
        )
    state = module.state_dict()
    has_mask_embedding = MADE_UP not in report["missing_keys"]
    if not has_mask_embedding:
        state.pop(MADE_UP)
    check_finite(state, table, path)
    return module, has_mask_embedding


def check_files(path: str, config: Any, *, name: str) -> Table:
    """Look at the files of weights, as far as they are on this machine, by their tables of contents.

    Raises:
        BaseModelError: see `load_encoder`.
    """
    folder = folder_of(path)
    files = weight_files(folder) if folder is not None else []
    if not files:
        if folder is not None and Path(path).is_dir():
            raise BaseModelError(
                f"{folder} has a config.json and none of {', '.join(WEIGHTS)}", fix=f"{how_to_fetch(path)}"
            )
        return {}  # the library fetches them
    table = weight_table(files)
    check_weights(path, name, config, table)
    return table


def check_finite(weights: Mapping[str, Tensor], table: Table, path: str) -> None:
    """Every weight is a number: with one NaN in the base, every language would fail.

    Raises:
        BaseModelError: names the first tensor that is not, and its file.
    """
    wrong = [key for key, tensor in weights.items() if tensor.is_floating_point() and not all_finite(tensor)]
    if wrong:
        file = file_of(table, wrong[0]) or path
        raise BaseModelError(
            f"{file} has NaN or infinity in {len(wrong)} weights, first {wrong[0]}: no language could be trained on it",
            fix=f"{how_to_fetch(path)}, or train the base again",
        )

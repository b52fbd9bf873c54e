"""Random bases: made on the device from their configuration, through the product's own loading, or saved for commands.

Head sizes 64 (300M) and 80 (1B) are both tried in small, as kernels may treat them differently.
"""

import multiprocessing
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mms_dist.model import base as base_module
from mms_dist.model.base import FrozenBase
from tests.benchmarks import bases
from tests.benchmarks.bases import base_config

State = dict[str, Tensor]


def config_of(shape: str, *, tiny: bool = False) -> Any:
    """`300m` or `1b`; with `tiny` two narrow layers of as many heads."""
    config = base_config(shape)
    if not tiny:
        return config
    config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups = 16, 4
    return _shrunk(config, head_size=8, layers=2, channels=16)


def check_configs(*, tiny: bool) -> dict[str, Any]:
    """Four layers of four heads of the sizes that matter, under a front end as wide as the real one; or tiny ones."""
    if tiny:
        return {"head size 8": config_of("300m", tiny=True)}
    return {f"head size {size}": _shrunk(base_config("300m"), size, layers=4, channels=512) for size in (64, 80)}


def _shrunk(config: Any, head_size: int, *, layers: int, channels: int) -> Any:
    config.num_hidden_layers, config.num_attention_heads = layers, 4
    config.hidden_size, config.intermediate_size = 4 * head_size, 8 * head_size
    config.conv_dim = (channels,) * len(config.conv_dim)
    return config


def random_state(config: Any) -> State:
    """Weights that several bases are to share, in float32 on the CPU."""
    return {name: tensor.detach() for name, tensor in _random_module(config, torch.device("cpu")).state_dict().items()}


def random_base(config: Any, dtype: torch.dtype, device: torch.device, state: State | None = None) -> FrozenBase:
    """What `FrozenBase.load` makes of such a checkpoint; random weights unless `state` has them."""

    def load_encoder(*_: Any, **__: Any) -> tuple[nn.Module, bool]:
        module = _random_module(config, device)
        if state is not None:
            module.load_state_dict(state)
        return module.to(dtype), True

    with (
        mock.patch.object(base_module, "load_encoder", load_encoder),
        mock.patch.object(base_module, "read_base_config", lambda *_: config),
    ):
        return FrozenBase.load("a random base", dtype=dtype, device=device)


def saved_base(folder: Path) -> str:
    """Save the benchmarks' smallest base in `folder`/base, and return that path.

    A process of its own does it, since commands are forked from this one: it must not have started torch's threads.
    """
    path = folder / "base"
    process = multiprocessing.get_context("fork").Process(target=bases.random_base, args=(path, "tiny"))
    process.start()
    process.join()
    assert process.exitcode == 0, f"saving a base ended with {process.exitcode}"
    return str(path)


def library_module(config: Any, dtype: torch.dtype, device: torch.device, state: State) -> Any:
    """Hugging Face's own with those weights, its convolutions as torch computes them."""
    module = _random_module(config, device)
    module.load_state_dict(state)
    module = module.to(dtype).eval()
    # As a base has it: the norm of its weight is not computed in every call.
    parametrize.remove_parametrizations(module.encoder.pos_conv_embed.conv, "weight")
    return module


def _random_module(config: Any, device: torch.device) -> Any:
    from transformers import Wav2Vec2Model

    torch.manual_seed(0)
    with torch.device(device):
        module = Wav2Vec2Model(config)
    return module

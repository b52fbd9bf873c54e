"""The frozen base's layers under DeepSpeed's ZeRO-3: every rank keeps a part of each, and all fetch it when it is used.

Only the matrices of the transformer layers are spread (96 % of the weights of mms-300m, 98 % of mms-1b's); their norms
and biases, the front end, the projection, the positions and the last norm stay whole. There is no optimizer in the
engine, and no gradient ever goes through it but those of activations: rows, their moments and their steps stay with
their owners.

Every layer of every pass is a collective of all ranks, forward and backward. So all ranks must make the same number of
passes of the same kind (with or without backward) in the same order; inputs and their lengths are free.

Memory: a rank holds 1/world of the matrices and, while it computes, the layer in use and what is fetched ahead
(`stage3_prefetch_bucket_size`). While it starts, it holds the whole base once.

Legend: B utterances, T frames, I and O sizes of a product's input and output.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.nn import functional

from mms_dist.distributed.deepspeed_settings import SHARDING_STAGE
from mms_dist.errors import ConfigError


class Shardable(Protocol):
    """What is asked of a base: to hand over its layers, which are modules called one after the other in every pass."""

    def sharded(self, shard: Callable[[nn.ModuleList], Any]) -> Any: ...


_B = TypeVar("_B", bound=Shardable)


def zero_stage(accelerator: Accelerator) -> int | None:
    """ZeRO's stage, or None without DeepSpeed."""
    if accelerator.distributed_type != DistributedType.DEEPSPEED:
        return None
    return int(accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]["stage"])


def shards_base(accelerator: Accelerator) -> bool:
    """Whether `shard_layers` spreads anything, and passes must therefore be made in lockstep."""
    return zero_stage(accelerator) == SHARDING_STAGE


def shard_layers(base: _B, accelerator: Accelerator) -> _B:
    """`base` with its layers spread over all ranks under ZeRO-3, and as it is in every other case.

    All ranks call it together, once, with the same base. It is computed with as before; `fingerprint()` becomes a
    collective.

    Raises:
        ConfigError: DeepSpeed is told to compute in bfloat16, and the base is in another precision.
    """
    if not shards_base(accelerator):
        return base
    return base.sharded(lambda layers: _spread(layers, accelerator))


def about_deepspeed(accelerator: Accelerator) -> str | None:
    """What DeepSpeed does in this run, for people; None without it."""
    stage, world = zero_stage(accelerator), accelerator.num_processes
    if stage is None:
        return None
    if stage != SHARDING_STAGE:
        return (
            f"ZeRO-{stage}: the base stays whole on every process; it is frozen, and has neither gradients "
            "nor optimizer states to shard (stage 3 shards the weights)"
        )
    config = accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
    place = (config.get("offload_param") or {}).get("device", "none")
    where = "" if place == "none" else f", kept in {'host memory' if place == 'cpu' else place}"
    return f"ZeRO-3: the base's layers are spread over {world} process{'es' * (world > 1)}{where}"


def _spread(layers: nn.ModuleList, accelerator: Accelerator) -> Callable[[Tensor], Any]:
    """Put the layers into an engine, in place; returns what makes a weight whole while it is entered."""
    from deepspeed.runtime.zero import GatheredParameters, Init
    from deepspeed.utils import set_z3_leaf_module

    dtype = next(layers.parameters()).dtype
    if accelerator.mixed_precision == "bf16" and dtype != torch.bfloat16:
        raise ConfigError(
            f"DeepSpeed is told to compute in bf16, and the base is in {str(dtype).removeprefix('torch.')}",
            fix="set model.dtype bfloat16, or remove bf16 from the DeepSpeed JSON and --mixed_precision",
        )
    settings = accelerator.state.deepspeed_plugin.deepspeed_config
    settings["bf16"] = {"enabled": dtype == torch.bfloat16}
    for layer in layers:  # one by one, so that one is held twice and not all
        _keep_vectors(layer)
        _fetch_linears(layer)
        for weight in layer.parameters():
            weight.data = weight.data.clone()  # the checkpoint's file may be mapped, and a page that is written stays
        Init(module=layer, config_dict_or_path=settings)
        set_z3_leaf_module(layer, True)  # fetched in one piece
    passes = _Passes(layers)
    layers[0].register_forward_pre_hook(lambda *_: passes())  # before those of the engine, which start fetching
    accelerator.prepare(passes)
    return GatheredParameters


class _Passes(nn.Module):
    """The engine's module: called, and doing nothing, where a pass begins.

    DeepSpeed learns from pass to pass in which order layers are used, and fetches ahead; it takes a call of its module
    for the beginning. The first layer is never recomputed (nothing below it needs a gradient), so its call is one.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self) -> None:
        return None


class _FrozenProduct(torch.autograd.Function):
    """A linear map that keeps no weight for its backward pass, but where to find it then.

    torch's own keeps a view of the weight's memory, and with it every layer's fetched weights until the backward pass
    has gone through: no memory would be saved.
    """

    @staticmethod
    def forward(ctx: Any, input_BTI: Tensor, weight_OI: nn.Parameter, bias_O: Tensor | None) -> Tensor:
        ctx.weight_OI = weight_OI
        return functional.linear(input_BTI, weight_OI, bias_O)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].matmul(ctx.weight_OI), None, None


class FetchedLinear(nn.Module):
    """`nn.Linear` with frozen weights that are here only while they are used."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.register_buffer("bias", linear.bias)

    def forward(self, input_BTI: Tensor) -> Tensor:
        return _FrozenProduct.apply(input_BTI, self.weight, self.bias)


def _keep_vectors(module: nn.Module) -> None:
    """Make norms and biases buffers, which stay where they are: they are small, and the library's norms keep them for
    the backward pass, with activation checkpointing to find them empty in it."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight.dim() == 1:
                delattr(part, name)
                part.register_buffer(name, weight.detach())


def _fetch_linears(module: nn.Module) -> None:
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.Linear):
            module.set_submodule(name, FetchedLinear(child))

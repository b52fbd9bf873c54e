"""Shard the frozen base's layers with DeepSpeed's ZeRO-3: each rank keeps a part, and all fetch a layer to use it.

Only the matrices of the transformer layers are sharded (96 % of the weights of mms-300m, 98 % of mms-1b's). Their norms
and biases, the front end, the projection, the positions and the final norm stay whole. The engine has no optimizer, and
only gradients of activations pass through it: rows, their moments and their steps stay with their owners.

Every layer of every pass is a collective of all ranks, forward and backward. So all ranks must run the same number of
passes of the same kind (with or without backward) in the same order; inputs and their lengths may differ.

Memory: a rank holds 1/world of the matrices and, while it computes, the layer in use and any prefetched ones
(`stage3_prefetch_bucket_size`). During start-up it holds the whole base once.

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
    """A base that can pass its layers to a sharding function. Every pass calls the layers one after the other."""

    def sharded(self, shard: Callable[[nn.ModuleList], Any]) -> Any: ...


_B = TypeVar("_B", bound=Shardable)


def zero_stage(accelerator: Accelerator) -> int | None:
    """The ZeRO stage, or None without DeepSpeed."""
    if accelerator.distributed_type != DistributedType.DEEPSPEED:
        return None
    return int(accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]["stage"])


def shards_base(accelerator: Accelerator) -> bool:
    """Whether `shard_layers` shards anything; if so, ranks must run their passes in lockstep."""
    return zero_stage(accelerator) == SHARDING_STAGE


def shard_layers(base: _B, accelerator: Accelerator) -> _B:
    """Shard the layers of `base` over all ranks under ZeRO-3; otherwise return it unchanged.

    All ranks call this together, once, with the same base. The base is used as before, but `fingerprint()` becomes a
    collective.

    Raises:
        ConfigError: DeepSpeed is set to compute in bfloat16, but the base has another dtype.
    """
    if not shards_base(accelerator):
        return base
    return base.sharded(lambda layers: _shard(layers, accelerator))


def about_deepspeed(accelerator: Accelerator) -> str | None:
    """A description of what DeepSpeed does in this run; None without it."""
    stage, world = zero_stage(accelerator), accelerator.num_processes
    if stage is None:
        return None
    if stage != SHARDING_STAGE:
        return (
            f"ZeRO-{stage}: every process keeps the whole base, because a frozen base has no gradients or optimizer "
            "states to shard (stage 3 shards the weights)"
        )
    config = accelerator.state.deepspeed_plugin.deepspeed_config["zero_optimization"]
    place = (config.get("offload_param") or {}).get("device", "none")
    where = "" if place == "none" else f", kept in {'host memory' if place == 'cpu' else place}"
    return f"ZeRO-3: the base's layers are sharded over {world} process{'es' * (world > 1)}{where}"


def _shard(layers: nn.ModuleList, accelerator: Accelerator) -> Callable[[Tensor], Any]:
    """Put the layers into an engine, in place; return a context manager that gathers a whole weight."""
    from deepspeed.runtime.zero import GatheredParameters, Init
    from deepspeed.utils import set_z3_leaf_module

    dtype = next(layers.parameters()).dtype
    if accelerator.mixed_precision == "bf16" and dtype != torch.bfloat16:
        raise ConfigError(
            f"DeepSpeed is set to compute in bf16, but the base is in {str(dtype).removeprefix('torch.')}",
            fix="set model.dtype bfloat16, or remove bf16 from the DeepSpeed JSON and --mixed_precision",
        )
    settings = accelerator.state.deepspeed_plugin.deepspeed_config
    settings["bf16"] = {"enabled": dtype == torch.bfloat16}
    for layer in layers:  # one at a time, so that only one layer is in memory twice
        _keep_vectors(layer)
        _fetch_linears(layer)
        for weight in layer.parameters():
            weight.data = weight.data.clone()  # the file may be memory-mapped; written pages stay in memory
        Init(module=layer, config_dict_or_path=settings)
        set_z3_leaf_module(layer, True)  # fetch the whole layer at once
    passes = _Passes(layers)
    layers[0].register_forward_pre_hook(lambda *_: passes())  # runs before the engine's hooks, which start fetching
    accelerator.prepare(passes)
    return GatheredParameters


class _Passes(nn.Module):
    """The engine's module, called at the start of a pass; it computes nothing.

    DeepSpeed records the order in which layers are used, to prefetch them, and takes a call of its module as the start
    of a pass. The first layer marks that start: it is never recomputed, because nothing below it needs a gradient.
    """

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(self) -> None:
        return None


class _FrozenProduct(torch.autograd.Function):
    """A linear map that saves a reference to its parameter for the backward pass, not the weight's memory.

    torch's own saves a view of the weight's memory. That would keep every layer's fetched weights until the backward
    pass, and sharding would save no memory.
    """

    @staticmethod
    def forward(ctx: Any, input_BTI: Tensor, weight_OI: nn.Parameter, bias_O: Tensor | None) -> Tensor:
        ctx.weight_OI = weight_OI
        return functional.linear(input_BTI, weight_OI, bias_O)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].matmul(ctx.weight_OI), None, None


class FetchedLinear(nn.Module):
    """`nn.Linear` with frozen weights that are in memory only while they are used."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = linear.weight
        self.register_buffer("bias", linear.bias)

    def forward(self, input_BTI: Tensor) -> Tensor:
        return _FrozenProduct.apply(input_BTI, self.weight, self.bias)


def _keep_vectors(module: nn.Module) -> None:
    """Turn norms and biases into buffers, which ZeRO-3 does not shard. They are small, and the library's norms save
    them for the backward pass, where activation checkpointing would otherwise find them empty."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if weight.dim() == 1:
                delattr(part, name)
                part.register_buffer(name, weight.detach())


def _fetch_linears(module: nn.Module) -> None:
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.Linear):
            module.set_submodule(name, FetchedLinear(child))

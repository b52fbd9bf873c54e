"""Accelerate's view of this process: its device, its precision, and DeepSpeed where that was asked for.

Accelerate and DeepSpeed find the process group that `comm` has made, and make none themselves.
"""

import os
import warnings

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, InitProcessGroupKwargs

from mms_dist.distributed.deepspeed_package import import_deepspeed, wants_deepspeed
from mms_dist.distributed.deepspeed_settings import read_settings, refuse_settings, settle_settings
from mms_dist.errors import ConfigError

_FIX_OF_PRECISION = {
    "fp16": (
        "float16 needs one loss scale for everything in a pass, so that one language's overflow would be every "
        "language's; pass --mixed_precision bf16, or no and choose model.dtype"
    ),
    "fp8": (
        "the base's layers are plain matrix products in model.dtype; pass --mixed_precision bf16, or no and choose "
        "model.dtype"
    ),
}
_STRATEGIES = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration",
}


def make_accelerator(device: torch.device, deepspeed: str | None = None) -> Accelerator:
    """The process's Accelerator, which is made once, after the process group.

    `mixed_precision` ("no", or "bf16": the frozen base computes in bfloat16) is what matters; rows, optimizer and CTC
    are never below float32, and nothing is ever wrapped, prepared or stepped through it but the base's layers under
    ZeRO-3.

    Args:
        device: of this process (`bind_rank`). Accelerate and DeepSpeed are told, as they would choose by LOCAL_RANK,
            which is not the GPU's number where a process sees only its own.
        deepspeed: a DeepSpeed JSON, for launchers other than Accelerate's (which says it in the environment).

    Raises:
        ConfigError: a precision or a way of spreading the model that mms-dist does not have; a DeepSpeed JSON that
            cannot be read, or that asks for something a frozen base has no use for; or no DeepSpeed to import.
    """
    _refuse_strategies()
    _refuse_precision(os.environ.get("ACCELERATE_MIXED_PRECISION", "no"))
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    if wants_deepspeed(deepspeed):
        return _with_deepspeed(device, deepspeed)
    # Accelerate would choose anew how many threads each of several processes has, over what run.threads says.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return Accelerator(cpu=device.type == "cpu")


def _with_deepspeed(device: torch.device, deepspeed: str | None) -> Accelerator:
    path = _the_one_path(deepspeed, os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE"))
    settings = None if path is None else read_settings(path)
    handlers = []
    if device.type == "cpu":
        _stay_on_the_cpu(deepspeed)
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    import_deepspeed(deepspeed)
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1")):
        os.environ.setdefault(name, value)  # DeepSpeed does not work without a launcher's variables
    if device.type == "cuda":
        os.environ["LOCAL_RANK"] = str(device.index)  # which its engine makes the current device
    plugin = DeepSpeedPlugin(hf_ds_config=settings, zero3_init_flag=False)
    refuse_settings(plugin.deepspeed_config, path or "accelerate launch --use_deepspeed")
    settle_settings(plugin.deepspeed_config)
    accelerator = Accelerator(deepspeed_plugin=plugin, kwargs_handlers=handlers)
    _forget_in_transformers()
    # DeepSpeed calls it by the name it has had in torch so far.
    warnings.filterwarnings("ignore", ".*all_gather_into_tensor. is deprecated", FutureWarning)
    return accelerator


def _stay_on_the_cpu(deepspeed: str | None) -> None:
    """What DeepSpeed must be told before it is imported, to stay off a GPU and not to compile.

    On a CPU it would build a kernel for collectives in shared memory at every first start (over a minute, and it needs
    a compiler); gloo does without.
    """
    os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ.pop("ACCELERATE_USE_CPU", None)  # Accelerate takes it for "and without DeepSpeed"
    import_deepspeed(deepspeed).ops.__compatible_ops__ = {}


def _forget_in_transformers() -> None:
    """Accelerate tells transformers of ZeRO-3, which then builds every model it loads in pieces; ours is read whole."""
    from transformers.integrations import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()


def _the_one_path(ours: str | None, launchers: str | None) -> str | None:
    launchers = None if launchers in (None, "none") else launchers
    if ours and launchers and os.path.realpath(ours) != os.path.realpath(launchers):
        raise ConfigError(
            f"comm.deepspeed is {ours!r}, and accelerate launch was given {launchers!r}",
            fix=(
                "expected one DeepSpeed JSON: leave out comm.deepspeed, or start with --multi_gpu instead of "
                "--use_deepspeed"
            ),
        )
    return ours or launchers


def _refuse_precision(asked: str) -> None:
    if asked in _FIX_OF_PRECISION:
        raise ConfigError(f"Accelerate's mixed_precision is {asked!r}, expected no or bf16: {_FIX_OF_PRECISION[asked]}")


def _refuse_strategies() -> None:
    for variable, name in _STRATEGIES.items():
        if _says_yes(variable):
            raise ConfigError(
                f"accelerate launch asks for {name} ({variable}=true), which mms-dist does not use: every language's "
                "row is whole on its owners, and the frozen base is sharded by DeepSpeed",
                fix="use --use_deepspeed --deepspeed_config_file configs/deepspeed/zero3.json, or --multi_gpu",
            )


def _says_yes(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1", "yes")

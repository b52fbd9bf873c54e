"""Set up Accelerate for this process: device, precision and, if requested, DeepSpeed.

Accelerate and DeepSpeed use the process group that `comm` created; they do not create one.
"""

import os
import warnings

import torch
from accelerate import Accelerator
from accelerate.utils import DeepSpeedPlugin, InitProcessGroupKwargs

from mms_dist.distributed.deepspeed_package import import_deepspeed, wants_deepspeed
from mms_dist.distributed.deepspeed_settings import fill_in_settings, read_settings, refuse_settings
from mms_dist.errors import ConfigError

_UNSUPPORTED_PRECISIONS = {
    "fp16": (
        "float16 needs one loss scale for the whole pass, so an overflow in one language would affect all of them"
    ),
    "fp8": "the base's layers are plain matrix products in model.dtype",
}
_STRATEGIES = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration",
}


def make_accelerator(device: torch.device, deepspeed: str | None = None) -> Accelerator:
    """Create the process's Accelerator. Call it once, after the process group exists.

    Only `mixed_precision` matters ("no", or "bf16": the frozen base computes in bfloat16). Rows, optimizer and CTC
    always use at least float32. Accelerate wraps, prepares and steps nothing except the base's layers under ZeRO-3.

    Args:
        device: this process's device (`bind_rank`). Accelerate and DeepSpeed would otherwise choose it by LOCAL_RANK,
            which is not the GPU's number when a process sees only its own GPU.
        deepspeed: a DeepSpeed JSON, for launchers other than Accelerate's (which passes it in the environment).

    Raises:
        ConfigError: the precision or the sharding strategy is not supported; the DeepSpeed JSON cannot be read or asks
            for something that does not apply to a frozen base; or DeepSpeed cannot be imported.
    """
    _refuse_strategies()
    _refuse_precision(os.environ.get("ACCELERATE_MIXED_PRECISION", "no"))
    os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)
    if wants_deepspeed(deepspeed):
        return _with_deepspeed(device, deepspeed)
    # Otherwise Accelerate sets the number of threads per process itself and overrides run.threads.
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
        os.environ.setdefault(name, value)  # DeepSpeed requires a launcher's variables
    if device.type == "cuda":
        os.environ["LOCAL_RANK"] = str(device.index)  # DeepSpeed's engine makes this the current device
    plugin = DeepSpeedPlugin(hf_ds_config=settings, zero3_init_flag=False)
    refuse_settings(plugin.deepspeed_config, path or "accelerate launch --use_deepspeed")
    fill_in_settings(plugin.deepspeed_config)
    accelerator = Accelerator(deepspeed_plugin=plugin, kwargs_handlers=handlers)
    _forget_in_transformers()
    # DeepSpeed still uses torch's old name for it.
    warnings.filterwarnings("ignore", ".*all_gather_into_tensor. is deprecated", FutureWarning)
    return accelerator


def _stay_on_the_cpu(deepspeed: str | None) -> None:
    """Keep DeepSpeed off the GPU and stop it from compiling; call this before DeepSpeed is imported.

    On a CPU, DeepSpeed builds a shared-memory kernel for collectives at the first start, which takes over a minute and
    needs a compiler. gloo does not need that kernel.
    """
    os.environ["DS_ACCELERATOR"] = "cpu"
    os.environ.pop("ACCELERATE_USE_CPU", None)  # Accelerate disables DeepSpeed if this is set
    import_deepspeed(deepspeed).ops.__compatible_ops__ = {}


def _forget_in_transformers() -> None:
    """Undo Accelerate's ZeRO-3 setting in transformers, which would shard every model it loads; we load ours whole."""
    from transformers.integrations import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()


def _the_one_path(ours: str | None, launchers: str | None) -> str | None:
    launchers = None if launchers in (None, "none") else launchers
    if ours and launchers and os.path.realpath(ours) != os.path.realpath(launchers):
        raise ConfigError(
            f"comm.deepspeed is {ours!r}, but accelerate launch was given {launchers!r}, expected one DeepSpeed JSON",
            fix="leave out comm.deepspeed, or start with --multi_gpu instead of --use_deepspeed",
        )
    return ours or launchers


def _refuse_precision(requested: str) -> None:
    if requested in _UNSUPPORTED_PRECISIONS:
        raise ConfigError(
            f"Accelerate's mixed_precision is {requested!r}, expected no or bf16: {_UNSUPPORTED_PRECISIONS[requested]}",
            fix="pass --mixed_precision bf16, or no and choose model.dtype",
        )


def _refuse_strategies() -> None:
    for variable, name in _STRATEGIES.items():
        if _is_set(variable):
            raise ConfigError(
                f"accelerate launch asks for {name} ({variable}=true), which mms-dist does not support: the owners of "
                "a language hold its whole row, and only DeepSpeed can shard the frozen base",
                fix="use --use_deepspeed --deepspeed_config_file configs/deepspeed/zero3.json, or --multi_gpu",
            )


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() in ("true", "1", "yes")

"""Load the frozen base: of a run, with settings that all ranks agree on; or of a single process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from mms_dist.checkpoint.language_folder import LanguageFolder
from mms_dist.config import Config, Model
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.distributed.accelerator import make_accelerator
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.deepspeed import about_deepspeed, shard_layers, shards_base
from mms_dist.distributed.deepspeed_package import wants_deepspeed
from mms_dist.distributed.device import set_threads, use_device
from mms_dist.errors import ConfigError
from mms_dist.hardware.hardware import agree_on_hardware, single_process_hardware
from mms_dist.hardware.hardware_record import read_kept_settings
from mms_dist.hardware.memory_estimate import RunShape
from mms_dist.hardware.resolve import MIN_ROUNDS_TO_COMPILE, Resolved, resolve
from mms_dist.model import ctc_gpu
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.model.base_shape import BaseShape
from mms_dist.model.compiled import compile_layers, keep_compiled_in, uncompile_layers, user_cache_directory
from mms_dist.run_directory.paths import RunPaths

ModelDtype = Literal["auto", "float32", "bfloat16", "float64"]


@dataclass(frozen=True)
class RunBase:
    """The base with its configuration and resolved settings; `lines` are for the log."""

    base: FrozenBase
    config: Config
    resolved: Resolved
    lines: tuple[str, ...]


def load_run_base(config: Config, summaries: list[LanguageSummary], device: torch.device, comm: Comm) -> RunBase:
    """Load the base on this rank's device, and shard or compile it if configured. All ranks call this together.

    It takes the whole configuration, and returns it with the launcher's precision, because it resolves every setting
    that is left to the hardware.

    Raises:
        ConfigError: the number of processes differs from comm.processes, or a setting cannot work on this hardware.
        BaseModelError: the base cannot be loaded.
    """
    processes = config.comm.processes
    if processes not in (None, comm.world):
        raise ConfigError(
            f"comm.processes is {processes}, but the launcher started {comm.world}",
            fix="check the launcher's number of processes, or leave comm.processes out (`accelerate launch --cpu "
            "--num_processes N` starts only one, whatever N is: configs/accelerate/cpu_2proc.yaml starts two)",
        )
    comm.watchdog.mark("starting Accelerate" + (" and DeepSpeed" if wants_deepspeed(config.comm.deepspeed) else ""))
    accelerator = comm.run_on_all_ranks(lambda: make_accelerator(device, deepspeed=config.comm.deepspeed))
    dtype = comm.run_on_all_ranks(lambda: configured_dtype(config.model, accelerator.mixed_precision))
    config = replace(config, model=replace(config.model, dtype=dtype))
    adapters = RunPaths(config.run.directory).adapters
    rounds = comm.all_gather(rounds_left(adapters, summaries) if comm.is_first else 0)[0]
    resolved = _resolved(config, summaries, comm, device, base_is_sharded=shards_base(accelerator), rounds=rounds)
    set_threads(resolved.threads)
    comm.watchdog.mark(f"loading the base {config.model.base}")
    base = comm.run_on_all_ranks(lambda: load_base(config, device, resolved))
    base = comm.run_on_all_ranks(lambda: shard_layers(base, accelerator))
    lines = []
    if resolved.compile and compiling_pays(config.model, rounds):
        comm.watchdog.mark("compiling the layers of the base")
        resolved, line = compile_on_all_ranks(base, resolved, comm)
        lines.append(line)
    elif resolved.compile:
        lines.append(f"compiled  nothing: only {rounds:,} rounds are left (--model.compile on compiles anyway)")
    if device.type == "cuda" and (reason := leave_out_kernels_that_fail(device, comm)) is not None:
        lines.append(f"ctc       torch's own, which waits for the device several times per pass: {reason}")
    if (deepspeed := about_deepspeed(accelerator)) is not None:
        lines.append(f"deepspeed {deepspeed}")
    return RunBase(base, config, resolved, tuple(lines))


def compiling_pays(model: Model, rounds: int) -> bool:
    """Whether to compile for a run of `rounds` rounds: always if configured, else only if it saves time in total."""
    return model.compile == "on" or rounds >= MIN_ROUNDS_TO_COMPILE


def compile_on_all_ranks(base: FrozenBase, resolved: Resolved, comm: Comm) -> tuple[Resolved, str]:
    """Compile the layers on all ranks and return a line for the log.

    If one rank cannot compile and compiling was not configured, no rank does.

    Raises:
        ConfigError: the layers cannot be compiled, but compiling is configured, or the run started with it.
    """
    kept_in = keep_compiled_in(user_cache_directory())
    compilation, reason = None, None
    try:
        compilation = compile_layers(base)
    except Exception as error:  # the compiler raises many kinds of exceptions
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    rank, reason = _first(comm.all_gather(reason))
    if compilation is not None and reason is None:
        return resolved, (
            f"compiled  {compilation.layers} layers into {compilation.graphs} graphs in {compilation.seconds:,.0f} s; "
            f"cached in {kept_in} for the next start"
        )
    where = f"on rank {rank}" if comm.world > 1 else "here"
    found = f"the layers of the base cannot be compiled {where} ({reason})"
    needs = f"a C compiler and write access to {kept_in}"
    if not resolved.may_go_uncompiled:
        raise ConfigError(found, fix=f"provide {needs}, or pass --model.compile off")
    uncompile_layers(base)
    return replace(resolved, compile=False), f"compiled  nothing: {found}; torch.compile needs {needs}"


def leave_out_kernels_that_fail(device: torch.device, comm: Comm) -> str | None:
    """Try the CTC loss kernels. If one rank cannot use them, no rank does; return why."""
    comm.watchdog.mark("trying the CTC loss kernels")
    rank, reason = _first(comm.all_gather(ctc_gpu.reason_against(device)))
    if reason is None:
        return None
    if comm.world > 1:
        reason = f"on rank {rank}: {reason}"
    ctc_gpu.leave_out(reason)
    return reason


def _first(reasons: Sequence[str | None]) -> tuple[int, str | None]:
    """Return the first rank that has a reason, and its reason."""
    return next(((rank, reason) for rank, reason in enumerate(reasons) if reason is not None), (0, None))


def rounds_left(adapters: Path, summaries: Sequence[LanguageSummary]) -> int:
    """Count the rounds until the last language has taken its steps, from where the newest checkpoints stand."""
    last = {entry.language: LanguageFolder(adapters / entry.language).pointed("last") or 0 for entry in summaries}
    return max(entry.steps - last[entry.language] for entry in summaries)


def _resolved(
    config: Config,
    summaries: list[LanguageSummary],
    comm: Comm,
    device: torch.device,
    *,
    base_is_sharded: bool,
    rounds: int,
) -> Resolved:
    """Decide the open settings for all ranks, before anything is loaded."""
    mine, least = agree_on_hardware(comm, device, base_is_sharded=base_is_sharded)
    directory = Path(config.run.directory)
    kept = comm.all_gather(
        comm.run_on_all_ranks(lambda: read_kept_settings(directory, on_gpu=least.on_gpu) if comm.is_first else None)
    )[0]

    def decide() -> Resolved:
        shape = None
        if least.on_gpu:
            shape = RunShape.of(
                BaseShape.of(config.model.base),
                summaries,
                adapter=config.adapter,
                rounds=config.rounds,
                model=config.model,
                base_is_sharded=base_is_sharded,
            )
        return resolve(config, least, mine=mine, kept=kept, shape=shape, rounds=rounds)

    return comm.run_on_all_ranks(decide)


def configured_dtype(model: Model, mixed_precision: str) -> ModelDtype:
    """Return the precision of the base: `model.dtype`, or bfloat16 with the launcher's `--mixed_precision bf16`.

    Raises:
        ConfigError: the two contradict each other.
    """
    if mixed_precision != "bf16":
        return model.dtype
    if model.dtype == "float64":
        raise ConfigError(
            "model.dtype is float64, but Accelerate's mixed_precision is bf16", fix="pass --mixed_precision no"
        )
    return "bfloat16"


def load_base(config: Config, device: torch.device | None = None, resolved: Resolved | None = None) -> FrozenBase:
    """Load the base on its device, in the precision of `resolved`, or in one resolved here for a single process."""
    device = device or use_device(config.run.device)
    dtype = (resolved or resolve(config, single_process_hardware(device))).dtype
    return FrozenBase.load(config.model.base, dtype=DTYPES[dtype], device=device)

"""Check that the base, the rows of all slots with gradients and moments, and the longest forward pass fit in memory."""

import os
from collections.abc import Mapping
from dataclasses import replace

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, failed_with, format_bytes, not_checked, ok, warning
from mms_dist.errors import ConfigError
from mms_dist.hardware.hardware import Hardware
from mms_dist.hardware.memory_estimate import Memory, RunShape
from mms_dist.hardware.resolve import resolve
from mms_dist.machine import free_host_bytes

PROCESS_BYTES = 512 << 20
"""Memory of Python with torch and all other imports, before a base is loaded."""
TIGHT = 0.9
"""Share of the available memory above which to warn: activations are an estimate, and allocators fragment."""


def check(context: Context) -> Findings:
    """Compare an estimate of the memory that a process needs with what it has."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        yield not_checked("needs the configuration, the base and the shards")
        return
    hardware = context.hardware
    if hardware is None:
        yield not_checked("needs the device")
        return
    run_shape = RunShape.of(
        shape,
        context.languages,
        adapter=config.adapter,
        rounds=config.rounds,
        model=config.model,
        base_is_sharded=hardware.base_is_sharded,
    )
    try:
        resolve(config, hardware, kept=context.kept)
    except ConfigError:
        yield not_checked("needs settings that the device supports, see the device check")
        return
    try:
        resolved = resolve(config, hardware, kept=context.kept, shape=run_shape)
    except ConfigError as error:
        yield failed_with(error)
        return
    pass_seconds = max(resolved.forward_seconds, context.longest_seconds)  # a longer utterance gets its own pass
    memory = run_shape.memory_needs(resolved.dtype, hardware, packed=resolved.packed).memory(pass_seconds)
    if hardware.on_gpu and context.machines.here and context.machines.memory_gib is None:
        memory = replace(memory, context=0)  # this process already has a context, so free memory excludes it
    needed = memory.total
    if not hardware.on_gpu:
        needed += PROCESS_BYTES + int(2**30 * resolved.feature_cache_gib)
    found = (
        f"about {format_bytes(needed)} per process: base {format_bytes(memory.base)}, rows with gradients and moments "
        f"{format_bytes(memory.rows)}, gathered for a pass {format_bytes(memory.gathered)}, a forward pass of "
        f"{pass_seconds:,.0f} s in {resolved.dtype} {format_bytes(memory.activations)}{_device_parts(memory)}"
    )
    available, where = _available(context, hardware)
    if available is None:
        yield ok(f"{found}; {where}")
        return
    found = f"{found}; {format_bytes(available)} {where}"
    fix = "lower rounds.forward_seconds or rounds.slots, or set model.activation_checkpointing true"
    if context.longest_seconds > resolved.forward_seconds:
        longest = f"the longest has {context.longest_seconds:,.0f} s"
        fix = f"leave out long utterances with data.max_seconds ({longest}), {fix}"
    if needed > available:
        yield failed(found, fix)
    elif needed > TIGHT * available:
        yield warning(f"{found}: little is left", fix)
    else:
        yield ok(found)


def _device_parts(memory: Memory) -> str:
    parts = {"CUDA's context": memory.context, "NCCL's buffers": memory.communication}
    return "".join(f", {name} {format_bytes(size)}" for name, size in parts.items() if size)


def _available(context: Context, hardware: Hardware) -> tuple[float | None, str]:
    """Return the bytes available to a process, and where they are."""
    machines = context.machines
    if machines.memory_gib is not None:
        return machines.memory_gib * 2**30, "there"
    if not machines.here:
        return None, "compare this with the memory of one device there (--memory-gib)"
    if hardware.on_gpu:
        total = min(torch.cuda.get_device_properties(number).total_memory for number in range(_gpus()))
        return hardware.free_bytes, f"free of a GPU's {format_bytes(total)}"
    processes = machines.processes_on_machine(0)
    return (
        host_bytes(os.environ) / processes,
        f"available to each of {processes} processes" if processes > 1 else "available",
    )


def host_bytes(environment: Mapping[str, str]) -> float:
    """Return this machine's unused memory, within the limits of a container and of a SLURM job."""
    limits = [float(free_host_bytes())]
    if environment.get("SLURM_MEM_PER_NODE", "0") != "0":  # MiB; 0 means all memory of the machine
        limits.append(float(environment["SLURM_MEM_PER_NODE"]) * 2**20)
    elif "SLURM_MEM_PER_CPU" in environment:
        limits.append(float(environment["SLURM_MEM_PER_CPU"]) * 2**20 * len(os.sched_getaffinity(0)))
    return min(limits)


def _gpus() -> int:
    return torch.cuda.device_count()

"""Do the base, the rows of all slots with gradients and moments, and the longest forward pass fit into memory?"""

import os
from collections.abc import Mapping
from dataclasses import replace

import torch

from launcher.doctor.amount import amount
from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.errors import ConfigError
from mms_dist.machine import free_host_bytes
from mms_dist.training.hardware import Hardware
from mms_dist.training.memory import Load, Memory, needs_of
from mms_dist.training.resolve import resolve

PROCESS_BYTES = 512 << 20
"""Of Python with torch and what else it imports, before a base is loaded."""
TIGHT = 0.9
"""Of what there is: activations are an estimate, and allocators leave gaps."""


def look(context: Context, notes: Notes) -> None:
    """An estimate of what a process needs, beside what it has."""
    config, shape = context.config, context.shape
    if config is None or shape is None or not context.languages:
        notes.skip("needs the configuration, the base and the shards")
        return
    hardware = context.hardware
    if hardware is None:
        notes.skip("there is no such device to look at")
        return
    slots = min(config.rounds.slots, len(context.languages)) + hardware.base_is_sharded
    load = Load(shape, slots, max(entry.vocabulary_size for entry in context.languages))
    try:
        resolve(config, hardware, kept=context.kept)
    except ConfigError:
        notes.skip("needs settings that the device can do, see there")
        return
    try:
        resolved = resolve(config, hardware, kept=context.kept, load=load)
    except ConfigError as error:
        notes.error(error)
        return
    passing = max(resolved.forward_seconds, context.longest_seconds)  # an utterance that is longer passes alone
    memory = needs_of(config, load, resolved.dtype, hardware, packed=resolved.packed).memory(passing)
    if hardware.on_gpu and context.site.here and context.site.memory_gib is None:
        memory = replace(memory, context=0)  # what is free here is so beside the context of this process
    needed = memory.total
    if not hardware.on_gpu:
        needed += PROCESS_BYTES + int(2**30 * resolved.feature_cache_gib)
    told = (
        f"about {amount(needed)} a process: base {amount(memory.base)}, rows with gradients and moments "
        f"{amount(memory.rows)}, gathered for a pass {amount(memory.gathered)}, a forward pass of {passing:,.0f} s in "
        f"{resolved.dtype} {amount(memory.activations)}{_of_the_device(memory)}"
    )
    available, where = _available(context, hardware)
    if available is None:
        notes.ok(f"{told}; {where}")
        return
    told = f"{told}; {amount(available)} {where}"
    fix = "lower rounds.forward_seconds or rounds.slots, or set model.activation_checkpointing true"
    if context.longest_seconds > resolved.forward_seconds:
        longest = f"the longest has {context.longest_seconds:,.0f} s"
        fix = f"leave out what is too long with data.max_seconds ({longest}); {fix}"
    if needed > available:
        notes.fail(told, fix)
    elif needed > TIGHT * available:
        notes.warn(f"{told}: little is left", fix)
    else:
        notes.ok(told)


def _of_the_device(memory: Memory) -> str:
    parts = {"CUDA's context": memory.context, "NCCL's buffers": memory.communication}
    return "".join(f", {name} {amount(size)}" for name, size in parts.items() if size)


def _available(context: Context, hardware: Hardware) -> tuple[float | None, str]:
    """Bytes that a process can have, and where they are."""
    site = context.site
    if site.memory_gib is not None:
        return site.memory_gib * 2**30, "there"
    if not site.here:
        return None, "compare it with the memory of one device there (--memory-gib)"
    if hardware.on_gpu:
        total = min(torch.cuda.get_device_properties(number).total_memory for number in range(_gpus()))
        return hardware.free_bytes, f"free of the {amount(total)} of a GPU"
    processes = site.on_each(0)
    return host_bytes(os.environ) / processes, f"available for each of {processes}" if processes > 1 else "available"


def host_bytes(environment: Mapping[str, str]) -> float:
    """Memory of this machine that is not in use, within the bounds of a container and of a SLURM job."""
    bounds = [float(free_host_bytes())]
    if environment.get("SLURM_MEM_PER_NODE", "0") != "0":  # MiB; 0 is all of the machine's
        bounds.append(float(environment["SLURM_MEM_PER_NODE"]) * 2**20)
    elif "SLURM_MEM_PER_CPU" in environment:
        bounds.append(float(environment["SLURM_MEM_PER_CPU"]) * 2**20 * len(os.sched_getaffinity(0)))
    return min(bounds)


def _gpus() -> int:
    return torch.cuda.device_count()

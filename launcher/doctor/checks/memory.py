"""Do the base, the rows of all slots with gradients and moments, and the longest forward pass fit into memory?"""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

from launcher.doctor.amount import amount
from launcher.doctor.finding import Notes
from launcher.doctor.subject import Subject
from mms_dist.distributed.device import computes_on_cpu
from mms_dist.planning.memory import process_memory
from mms_dist.training.devices import feature_cache_gib, forward_seconds

PROCESS_BYTES = 512 << 20
"""Of Python with torch and what else it imports, before a base is loaded."""
TIGHT = 0.9
"""Of what there is: activations are an estimate, and allocators leave gaps."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def look(subject: Subject, notes: Notes) -> None:
    """An estimate of what a process needs, beside what it has."""
    config, shape = subject.config, subject.shape
    if config is None or shape is None or not subject.languages:
        notes.skip("needs the configuration, the base and the shards")
        return
    on_cpu = computes_on_cpu(config.run.device) if subject.site.here else config.run.device == "cpu"
    if subject.site.here and not on_cpu and not _gpus():
        notes.skip("there is no such device to look at")
        return
    device = torch.device("cpu" if on_cpu else "cuda")
    padded = forward_seconds(config.rounds.forward_seconds, device)
    passing = max(padded, subject.longest_seconds)  # an utterance that is longer passes alone
    memory = process_memory(
        config,
        shape,
        slots=min(config.rounds.slots, len(subject.languages)),
        largest_vocabulary=max(entry.vocabulary_size for entry in subject.languages),
        forward_seconds=passing,
    )
    base = memory.base // subject.site.world(_gpus()) if subject.base_is_sharded else memory.base
    needed = base + memory.total - memory.base
    if on_cpu:
        needed += PROCESS_BYTES + int(2**30 * feature_cache_gib(config.model.feature_cache_gib, device))
    told = (
        f"about {amount(needed)} a process: base {amount(base)}, rows with gradients and moments "
        f"{amount(memory.rows)}, gathered for a pass {amount(memory.gathered)}, a forward pass of {passing:,.0f} s "
        f"{amount(memory.activations)}"
    )
    available, where = _available(subject, on_cpu)
    if available is None:
        notes.ok(f"{told}; {where}")
        return
    told = f"{told}; {amount(available)} {where}"
    mend = "lower rounds.forward_seconds or rounds.slots, or set model.activation_checkpointing true"
    if subject.longest_seconds > padded:
        longest = f"the longest has {subject.longest_seconds:,.0f} s"
        mend = f"leave out what is too long with data.max_seconds ({longest}); {mend}"
    if needed > available:
        notes.fail(told, mend)
    elif needed > TIGHT * available:
        notes.warn(f"{told}: little is left", mend)
    else:
        notes.ok(told)


def _available(subject: Subject, on_cpu: bool) -> tuple[float | None, str]:
    """Bytes that a process can have, and where they are."""
    site = subject.site
    if site.memory_gib is not None:
        return site.memory_gib * 2**30, "there"
    if not site.here:
        return None, "compare it with the memory of one device there (--memory-gib)"
    if not on_cpu:
        sizes = [torch.cuda.get_device_properties(number).total_memory for number in range(_gpus())]
        return float(min(sizes)), "on a GPU"
    processes = site.on_each(0)
    return host_bytes(os.environ) / processes, f"available for each of {processes}" if processes > 1 else "available"


def host_bytes(environment: Mapping[str, str]) -> float:
    """Memory of this machine that is not in use, within the bounds of a container and of a SLURM job."""
    bounds = [float(psutil.virtual_memory().available)]
    for limit in _CGROUP_LIMITS:
        text = Path(limit).read_text().strip() if Path(limit).is_file() else ""
        if text.isdigit():
            bounds.append(float(text))
    if environment.get("SLURM_MEM_PER_NODE", "0") != "0":  # MiB; 0 is all of the machine's
        bounds.append(float(environment["SLURM_MEM_PER_NODE"]) * 2**20)
    elif "SLURM_MEM_PER_CPU" in environment:
        bounds.append(float(environment["SLURM_MEM_PER_CPU"]) * 2**20 * len(os.sched_getaffinity(0)))
    return min(bounds)


def _gpus() -> int:
    return torch.cuda.device_count()

"""Check that the requested device exists and that every GPU works."""

import os
from pathlib import Path

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.doctor.gpus import try_all
from launcher.doctor.hardware import hardware_of
from launcher.doctor.kernels import missing_for_kernels
from mms_dist.distributed.device import choose_device, computes_on_cpu, nvidia_gpu, why_no_gpu
from mms_dist.hardware.hardware_record import read_kept_settings
from mms_dist.hardware.resolve import Resolved, resolve


def look(context: Context, notes: Notes) -> None:
    """Check the GPUs with CUDA and NCCL, or the number of CPU cores."""
    config, site = context.config, context.site
    if config is None:
        notes.skip("needs the configuration, which names the device")
        return
    if not site.here:
        context.hardware = hardware_of(context)
        resolve(config, context.hardware)
        notes.skip("the run uses other machines; run this command there too (srun mms-dist doctor …)")
        return
    choose_device(config.run.device)  # raises if there is no such device
    if not computes_on_cpu(config.run.device):
        _gpus(context, notes)
    elif config.run.device == "auto" and nvidia_gpu():
        found, fix = why_no_gpu()
        notes.fail(found, f"{fix}, or set run.device cpu")
        return
    else:
        _cpu(context, notes)
    context.hardware = hardware_of(context)
    context.kept = read_kept_settings(Path(config.run.directory), on_gpu=context.hardware.on_gpu)
    _warn_of_float32(resolve(config, context.hardware, kept=context.kept), notes)
    if context.hardware.on_gpu and (missing := ", ".join(missing_for_kernels())):
        notes.warn(
            f"Triton cannot build kernels here without {missing}: layers stay uncompiled, and CTC waits for the GPU",
            "install what is missing on the training machines (gcc and python3-dev, or a module)",
        )


def _warn_of_float32(resolved: Resolved, notes: Notes) -> None:
    hardware = resolved.hardware
    if hardware.on_gpu and hardware.has_bfloat16 and resolved.dtype == "float32":
        notes.warn(
            f"model.dtype is float32 on {hardware}: twice the memory of bfloat16, and a fraction of its speed",
            "set model.dtype to auto or bfloat16, unless you need the precision",
        )


def _cpu(context: Context, notes: Notes) -> None:
    cores, processes = len(os.sched_getaffinity(0)), context.site.on_each(0)
    found = f"CPU, {cores} cores for {processes} {'process' if processes == 1 else 'processes'} on this machine"
    if cores < processes:
        notes.warn(found, "start fewer processes here, or request more cores (--cpus-per-task)")
    else:
        notes.ok(found)


def _gpus(context: Context, notes: Notes) -> None:
    assert context.config is not None
    count = torch.cuda.device_count()
    names = sorted({torch.cuda.get_device_name(number) for number in range(count)})
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    context.identity["CUDA of torch"] = str(torch.version.cuda)
    context.identity["NCCL"] = nccl
    processes = context.site.on_each(count)
    if not _is_one_of_several():
        if processes > count:
            notes.fail(
                f"{count} GPUs for {processes} processes on this machine, but each process needs its own GPU",
                "start fewer processes per machine, or request more GPUs for the job",
            )
        try_all(count, notes)
    notes.ok(f"{count} x {', '.join(names)}; CUDA {torch.version.cuda}, NCCL {nccl}")


def _is_one_of_several() -> bool:
    """Return whether there are other processes. Each may see only its own GPUs; `together` binds and tries them all."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1

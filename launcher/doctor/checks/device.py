"""Check that the requested device exists and that every GPU works."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, count_failures, failed, failed_with, not_checked, ok, warning
from mms_dist.distributed.binding import GPU_TEST_SECONDS, silent_gpu
from mms_dist.distributed.connection_test import FIXES, LONGEST_SECONDS, one_line
from mms_dist.distributed.device import choose_device, computes_on_cpu, nvidia_gpu, why_no_gpu
from mms_dist.distributed.gpu import try_gpu
from mms_dist.distributed.startup_waits import in_thread
from mms_dist.errors import DeviceError
from mms_dist.hardware.hardware import Hardware, assumed_hardware, inspect_this_rank, minimum_share
from mms_dist.hardware.hardware_record import read_kept_settings
from mms_dist.hardware.resolve import Resolved, resolve


def check(context: Context) -> Findings:
    """Check the GPUs with CUDA and NCCL, or the number of CPU cores."""
    config, machines = context.config, context.machines
    if config is None:
        yield not_checked("needs the configuration, which names the device")
        return
    if not machines.here:
        context.hardware = hardware_of(context)
        resolve(config, context.hardware)
        yield not_checked("the run uses other machines; run this command there too (srun mms-dist doctor …)")
        return
    choose_device(config.run.device)  # raises if there is no such device
    if not computes_on_cpu(config.run.device):
        yield from _gpus(context)
    elif config.run.device == "auto" and nvidia_gpu():
        found, fix = why_no_gpu()
        yield failed(found, f"{fix}, or set run.device cpu")
        return
    else:
        yield from _cpu(context)
    context.hardware = hardware_of(context)
    context.kept = read_kept_settings(Path(config.run.directory), on_gpu=context.hardware.on_gpu)
    yield from _warn_of_float32(resolve(config, context.hardware, kept=context.kept))
    if context.hardware.on_gpu and (missing := ", ".join(missing_for_kernels())):
        yield warning(
            f"Triton cannot build kernels here without {missing}: layers stay uncompiled, and CTC waits for the GPU",
            "install what is missing on the training machines (gcc and python3-dev, or a module)",
        )


def _warn_of_float32(resolved: Resolved) -> Findings:
    hardware = resolved.hardware
    if hardware.on_gpu and hardware.has_bfloat16 and resolved.dtype == "float32":
        yield warning(
            f"model.dtype is float32 on {hardware}: twice the memory of bfloat16, and a fraction of its speed",
            "set model.dtype to auto or bfloat16, unless you need the precision",
        )


def _cpu(context: Context) -> Findings:
    cores, processes = len(os.sched_getaffinity(0)), context.machines.processes_on_machine(0)
    found = f"CPU, {cores} cores for {processes} {'process' if processes == 1 else 'processes'} on this machine"
    if cores < processes:
        yield warning(found, "start fewer processes here, or request more cores (--cpus-per-task)")
    else:
        yield ok(found)


def _gpus(context: Context) -> Findings:
    assert context.config is not None
    count = torch.cuda.device_count()
    names = sorted({torch.cuda.get_device_name(number) for number in range(count)})
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    context.identity["CUDA of torch"] = str(torch.version.cuda)
    context.identity["NCCL"] = nccl
    processes = context.machines.processes_on_machine(count)
    if not _is_one_of_several():
        if processes > count:
            yield failed(
                f"{count} GPUs for {processes} processes on this machine, but each process needs its own GPU",
                "start fewer processes per machine, or request more GPUs for the job",
            )
        yield from try_gpus(count)
    yield ok(f"{count} x {', '.join(names)}; CUDA {torch.version.cuda}, NCCL {nccl}")


def _is_one_of_several() -> bool:
    """Return whether there are other processes. Each may see only its own GPU; `process_group` tries them all."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


def try_gpus(count: int) -> Findings:
    """Compute on each GPU, and sum over all of them with NCCL from this one process; yield what fails.

    There is a time limit: a broken GPU may never respond.
    """
    failures = 0
    for number in range(count):
        failures += yield from count_failures(_try_gpu(torch.device("cuda", number)))
    if count > 1 and not failures:
        yield from _try_nccl(count)


def _try_gpu(device: torch.device) -> Findings:
    try:
        in_thread(lambda: try_gpu(device), longest_seconds=GPU_TEST_SECONDS, check=_nothing)
    except TimeoutError:
        yield failed_with(silent_gpu(device))
    except DeviceError as error:
        yield failed_with(error)


def _try_nccl(count: int) -> Findings:
    try:
        found = in_thread(lambda: sums_of_ones(count), longest_seconds=LONGEST_SECONDS, check=_nothing)
        wrong = None if found == [count] * count else f"the sum of {count} ones is {found}"
    except TimeoutError:
        wrong = f"no result within {LONGEST_SECONDS:.0f} s"
    except RuntimeError as error:
        wrong = one_line(error)
    if wrong is not None:
        yield failed(f"NCCL cannot sum over the {count} GPUs of this machine ({wrong})", FIXES["cuda"])


def sums_of_ones(count: int) -> list[float]:
    """Sum a 1 from every GPU with NCCL, and return the sum on each GPU."""
    ones = [torch.ones(1, device=torch.device("cuda", number)) for number in range(count)]
    torch.cuda.nccl.all_reduce(ones)
    return [float(one) for one in ones]


def _nothing() -> None:
    """Do nothing: a signal ends the wait by itself."""


def hardware_of(context: Context) -> Hardware:
    """Return the least that every process has: as found here, or as the command line says for other machines."""
    config, machines = context.config, context.machines
    assert config is not None
    sharded = context.base_is_sharded
    if not machines.here or machines.memory_gib is not None:
        on_gpu = config.run.device != "cpu" if not machines.here else not computes_on_cpu(config.run.device)
        world = machines.world(torch.cuda.device_count() if machines.here else 0)
        return assumed_hardware(on_gpu=on_gpu, memory_gib=machines.memory_gib, world=world, base_is_sharded=sharded)
    if computes_on_cpu(config.run.device):
        devices = [torch.device("cpu")] * machines.processes_on_machine(0)
    else:
        devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    ranks = [inspect_this_rank(device, base_is_sharded=sharded) for device in devices]
    return minimum_share(ranks, world=machines.world(len(devices)))


def missing_for_kernels() -> Iterator[str]:
    """Yield what is missing for kernels: Triton compiles a small C library against Python's headers."""
    if find_spec("triton") is None:
        yield "the package triton, which comes with torch's CUDA builds"
    if shutil.which(os.environ.get("CC") or "gcc") is None and shutil.which("clang") is None:
        yield "a C compiler"
    # Debian's Python installs packages under /usr/local, but its headers are under /usr as usual.
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    headers = Path(sysconfig.get_path("include", scheme))
    if not (headers / "Python.h").is_file():
        yield f"Python's headers ({headers})"

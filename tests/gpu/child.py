"""The process that one part runs in: what it breaks (a CUDA context, its memory) is broken for it alone.

    python -m tests.gpu.child PART MODULE:FUNCTION FINDINGS SECONDS [--smoke]

It is forked from a server that has imported everything and touched no GPU, as importing again would take minutes of the
suite's time. Should the server have asked for a GPU all the same (then CUDA refuses to work in a fork), the process
starts itself anew.
"""

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.gpu.record import Record

IMPORTED = (
    "tests.gpu.preload",
    "transformers.models.wav2vec2.modeling_wav2vec2",
    "launcher.cli",
    "mms_dist.training.run",
)
"""By the process that others are forked from, in this order: no thread, and no use of CUDA."""
_PR_SET_PDEATHSIG = 1


def forked(name: str, function: str, findings: str, log: str, seconds: float, smoke: bool) -> None:
    """The body of the forked process."""
    os.setsid()  # it is killed with all that it has started
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # and goes when the suite goes
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    import torch

    if torch.cuda._is_in_bad_fork():  # torch.cuda._lazy_init refuses to work then
        words = [name, function, findings, str(seconds), *(["--smoke"] if smoke else [])]
        os.execv(sys.executable, [sys.executable, "-m", "tests.gpu.child", *words])
    work(name, function, Path(findings), seconds, smoke=smoke)


def work(name: str, function: str, findings: Path, seconds: float, *, smoke: bool) -> None:
    """Run a part, say how it ended, and leave."""
    import torch

    from tests.gpu.part import Part

    record = Record(findings, name)
    device = torch.device("cpu" if smoke else "cuda:0")
    part = Part(record, device, smoke, time.monotonic() + seconds, findings)
    try:
        module, _, attribute = function.partition(":")
        getattr(importlib.import_module(module), attribute)(part)
        record.end_by_checks()
    except BaseException:
        record.end("failed", error=traceback.format_exc()[-4000:])
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(0)  # after an error of the device, an ordinary end may wait for it for ever


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), smoke="--smoke" in sys.argv[5:])

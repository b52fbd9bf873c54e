"""Freed memory stays with the process."""

import subprocess
import sys

from mms_dist.hardware.process_settings import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from mms_dist.hardware.process_settings import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("glibc refused a setting")
for turn in range(40):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.full((12_000_000,), 1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    run = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_memory_that_was_freed_is_used_again_without_page_faults() -> None:
    if not keep_freed_memory():
        assert page_faults("leave") > 0  # another C library: nothing was promised
        return
    assert page_faults("keep") < page_faults("leave") / 5

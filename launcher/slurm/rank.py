"""`launcher.train` as a rank of a SLURM job: one that has come to its end in order has not failed.

Its launcher would print a traceback for any exit code but 0, and end the other ranks while they save. Whether the run
is finished, incomplete or was stopped is in RUN/status.json, by which the batch script goes.
"""

import sys

from launcher.cli import main
from launcher.leave import leave
from mms_dist.errors import ExitCode

IN_ORDER = (ExitCode.PREEMPTED, ExitCode.INCOMPLETE)

if __name__ == "__main__":
    status = main(["train", *sys.argv[1:]])
    leave(0 if status in IN_ORDER else status)

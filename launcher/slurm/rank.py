"""`launcher.train` as a rank of a SLURM job: one that was stopped on a signal has not failed.

Its launcher would print a traceback for any exit code but 0, and end the other ranks while they save. Whether the run
is finished or was stopped is in RUN/status.json.
"""

import sys

from launcher.cli import main
from launcher.commands.train import EXIT_PREEMPTED
from launcher.leave import leave

if __name__ == "__main__":
    status = main(["train", *sys.argv[1:]])
    leave(0 if status == EXIT_PREEMPTED else status)

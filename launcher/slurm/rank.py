"""Run `launcher.train` as a rank of a SLURM job, with exit status 0 after every orderly end.

For any other status the launcher would print a traceback, and end the other ranks while they save. The batch script
reads from RUN/status.json whether the run is finished, incomplete or stopped.
"""

import sys

from launcher.cli import main
from launcher.process_exit import exit_process
from mms_dist.errors import ExitCode

IN_ORDER = (ExitCode.PREEMPTED, ExitCode.INCOMPLETE)

if __name__ == "__main__":
    status = main(["train", *sys.argv[1:]])
    exit_process(0 if status in IN_ORDER else status)

"""Entry point of `accelerate launch -m launcher.train --config FILE [--section.setting VALUE …]`."""

import sys

from launcher.cli import main
from launcher.process_exit import exit_process

LOCAL_RANK = ("--local_rank=", "--local-rank=")
"""The `deepspeed` launcher passes the local rank as an argument as well as in the environment."""

if __name__ == "__main__":
    exit_process(main(["train", *(word for word in sys.argv[1:] if not word.startswith(LOCAL_RANK))]))

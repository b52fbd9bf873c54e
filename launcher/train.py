"""The entry of `accelerate launch -m launcher.train --config FILE [--section.setting VALUE …]`."""

import sys

from launcher.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

"""Everything that has to be known about mms-dist on a GPU, in one call: is it right, how fast, and where the time goes.

    python -m tests.gpu --out results                     on a machine with an NVIDIA GPU, in the root of a checkout
    python -m tests.gpu --out results --parts correctness product
    python -m tests.gpu --out results --smoke             on a CPU, with tiny shapes: does the suite itself run?

Bases are random and made from their configuration, or the one that ships: nothing is downloaded. exit status: 0 every
check was made and passed · 1 a check failed, or a part did not come to its end · 2 there is no GPU, or no such part ·
3 nothing failed, but something was left out: the table says what
"""

import argparse
import sys
from pathlib import Path

from tests.gpu.schedule import ITEMS, chosen


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results.json, table.md and log.txt")
    parser.add_argument("--budget", type=float, default=450, metavar="SECONDS", help="for all parts (default: 450)")
    names = ", ".join(item.name for item in ITEMS)
    parser.add_argument("--parts", nargs="+", default=[], metavar="PART", help=f"only these, of {names}")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes on the CPU")
    asked = parser.parse_args(arguments)
    try:
        items = chosen([name for word in asked.parts for name in word.split(",") if name])
    except ValueError as error:
        parser.error(str(error))
    if not asked.smoke and (reason := _no_gpu()):
        parser.error(f"{reason}; `--smoke` runs the suite's own code on a CPU")
    from tests.gpu.runner import Runner
    from tests.gpu.summary import TABLE, exit_status

    parts = Runner(asked.out.resolve(), asked.budget, asked.smoke).run(items)
    print(f"\n{(asked.out / TABLE).read_text(encoding='utf-8')}")
    return exit_status(parts)


def _no_gpu() -> str:
    """Why there is nothing to look at; empty if there is a GPU. (No part is forked from this process.)"""
    from tests.gpu.marker import no_gpu

    return no_gpu()


if __name__ == "__main__":
    sys.exit(main())

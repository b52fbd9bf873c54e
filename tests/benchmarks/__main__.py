"""Every benchmark of DESIGN.md section 6 that needs one process: `python -m tests.benchmarks --help`."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from tests.benchmarks.measure import Measurement

BENCHMARKS = {
    "padding": "streaming:run_padding",
    "loader": "streaming:run_loader",
    "optimizer": "optimizer:run",
    "routing": "routing:run",
    "packed": "packed:run",
    "registered": "registered:run",
    "checkpointing": "checkpointing:run",
    "evaluation": "evaluation:run",
    "arithmetic": "arithmetic:run",
    "comparator": "comparator:run",
}


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for and print it; a missed target is a result, and a failure with `--strict` only."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="show that all of them run; the figures mean nothing")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of torch, on every side")
    parser.add_argument("--output", type=Path, nargs="+", default=[], metavar="FILE", help=".json or .md")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a target is missed")
    asked = parser.parse_args(arguments)
    for path in asked.output:
        if path.suffix not in (".json", ".md"):
            parser.error(f"--output {path}: expected a name ending in .json or .md")
    found = run(asked.only, quick=asked.quick, threads=asked.threads, outputs=asked.output)
    return int(asked.strict and any(measurement.verdict == "missed" for measurement in found))


def run(names: list[str], *, quick: bool, threads: int, outputs: list[Path]) -> list[Measurement]:
    """Set up the environment that all sides share, before torch is imported, and run."""
    os.environ |= {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from tests.benchmarks.conditions import conditions
    from tests.benchmarks.report import line, markdown, to_json

    torch.set_num_threads(threads)
    under = conditions(threads=threads)
    print("\n".join(f"{name:<14} {value}" for name, value in under.items()), flush=True)
    measurements: list[Measurement] = []
    for name in names:
        print(f"\n{name}", flush=True)
        for measurement in benchmark(name)(quick=quick):
            measurements.append(measurement)
            print(f"  {line(measurement)}", flush=True)
            for path in outputs:  # after each, so that an interruption loses nothing
                write = markdown if path.suffix == ".md" else to_json
                path.write_text(write(measurements, under), encoding="utf-8")
    print(f"\n{markdown(measurements, under)}")
    return measurements


def benchmark(name: str) -> Callable[..., Iterator[Measurement]]:
    module, function = BENCHMARKS[name].split(":")
    found: Callable[..., Iterator[Measurement]] = getattr(import_module(f"tests.benchmarks.{module}"), function)
    return found


if __name__ == "__main__":
    sys.exit(main())

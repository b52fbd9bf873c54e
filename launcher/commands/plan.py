"""`mms-dist plan`: predict a run's time, memory and traffic on a cluster from its configuration alone."""

import argparse
from pathlib import Path
from typing import Any

from launcher.arguments import count, positive
from launcher.console import print_json

ACCEPTS_SETTINGS = True
MOST_PROCESSES = 100_000
"""More than any cluster has. The plan simulates every process."""

DESCRIPTION = """\
Simulate a run with the same placement code that trains it. The plan shows how many languages each process has, the
duration compared with the lower bound, the traffic between processes, and the memory and shard reads of each process.
Nothing is trained or written."""

EPILOG = """\
examples:
  mms-dist plan --config configs/train/mms-300m.yaml --nodes 4 --gpus 8 --speed 600
  mms-dist plan --config configs/train/mms-300m.yaml --nodes 1 2 4 8 --gpus 8 --measure        compare cluster sizes
  mms-dist plan --config configs/train/mms-1b-all.yaml --hours hours.tsv --nodes 64 --gpus 8    without shards
  mms-dist plan --config configs/train/mms-1b-all.yaml --hours hours.tsv --rounds.slots 16 --json

The table of hours has one line per language: `ron<TAB>12.5`, optionally with the numbers of utterances, steps and
tokens. CSV and JSON work too. A decimal comma is accepted if columns are separated by tabs or semicolons; an ambiguous
number such as 1,234 is an error."""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "plan",
        help="predict the time, memory and traffic of a run on a cluster",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration file, see configs/train/")
    parser.add_argument("--hours", metavar="TABLE", type=Path, help="table of hours per language, instead of shards")
    parser.add_argument(
        "--nodes", metavar="N", type=count, nargs="+", default=[1], help="one or more numbers of machines (default: 1)"
    )
    parser.add_argument("--gpus", metavar="N", type=count, default=1, help="processes per machine (default: 1)")
    parser.add_argument(
        "--memory-gib", metavar="GIB", type=positive, help="memory of a process, to check whether the run fits"
    )
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--speed", metavar="X", type=positive, help="training speed of a process, in seconds of audio per second"
    )
    speed.add_argument("--measure", action="store_true", help="measure the speed here, on a few rounds of training")
    parser.add_argument(
        "--bandwidth-gbit",
        metavar="GBIT",
        type=positive,
        default=25.0,
        help="network bandwidth of a process in Gbit/s (default: 25)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Plan the run for each cluster, and print the plans."""
    from mms_dist.config import load_config
    from mms_dist.data.language_summaries import summarise_languages
    from mms_dist.errors import ConfigError
    from mms_dist.model.base_shape import BaseShape
    from mms_dist.planning.cluster import Cluster
    from mms_dist.planning.cluster_plan import ClusterPlan, make_plan
    from mms_dist.planning.hours_table import read_hours
    from mms_dist.planning.measured_speed import measured_speed
    from shards.display.current_work import at_work
    from shards.wording import counted

    config = load_config(args.config, args.settings)
    if args.hours and args.measure:
        raise ConfigError("--measure trains on shards, but --hours replaces them", fix="pass --speed instead")
    largest = max(args.nodes) * args.gpus
    if largest > MOST_PROCESSES:
        raise ConfigError(
            f"found {largest:,} processes, expected {MOST_PROCESSES:,} at most", fix="lower --nodes or --gpus"
        )
    if args.hours:
        index, summaries = (
            None,
            read_hours(
                args.hours,
                lambda language: config.for_language(language).optim,
                languages=config.data.languages,
                overridden=config.languages,
            ),
        )
    else:
        with at_work(f"reading the indexes of {config.data.shards}") as work:
            index, summaries = summarise_languages(config, on_progress=work.describe)
    shape = BaseShape.of(config.model.base)
    with at_work("measuring the speed in a few rounds of training" if args.measure else "planning") as work:
        speed = measured_speed(config, summaries) if args.measure else args.speed
        plans: list[ClusterPlan] = []
        for nodes in args.nodes:
            cluster = Cluster(nodes, args.gpus, speed, args.bandwidth_gbit, args.memory_gib)
            work.describe(f"planning {counted(nodes, 'machine')}, {len(plans)} of {len(args.nodes)} plans done")
            plans.append(make_plan(config, summaries, index, shape, cluster))
    if args.json:
        print_json([plan.as_dict() for plan in plans], indent=1)
    else:
        from mms_dist.monitor.console import standard_console
        from mms_dist.planning.plan_view import show_plans

        show_plans(plans, summaries, standard_console(), base=config.model.base, placement=config.rounds.placement)
    return 0

"""Print the languages of a source that this task of a job array builds, one per line.

    python -m launcher.slurm.language_groups SOURCE SHARDS [options of `mms-dist shards build`]

Groups have about the same number of utterances, and every task computes the same groups.
"""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from launcher.cli import Parser
from launcher.commands import shards
from launcher.commands.shards.build import rows_to_build
from launcher.console import print_error
from launcher.slurm.environment import array_task
from mms_dist.errors import ExitCode, MmsDistError
from shards.errors import ShardsError
from shards.sources.source_rows import SourceRows


def main(arguments: Sequence[str]) -> int:
    """Print this task's languages. The arguments are parsed as the build itself will parse them."""
    parser = Parser(prog="launcher.slurm.language_groups", description=__doc__)
    shards.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["shards", "build", *arguments])
    try:
        number, count = array_task(os.environ)
        print(*group(utterances_by_language(rows_to_build(args, kept=())), number, count), sep="\n")
    except (MmsDistError, ShardsError) as error:
        print_error(f"error: {error}")
        return int(getattr(error, "exit_code", ExitCode.USER_ERROR))
    return 0


def utterances_by_language(rows: SourceRows) -> Counter[str]:
    """Count the utterances of each language.

    A language without usable utterances counts too: its build prints the reason.
    """
    return Counter({code: rows.utterances[code] for code in rows.languages})


def group(amounts: Mapping[str, int], number: int, count: int) -> list[str]:
    """Return group `number` of `count`. The largest language goes first, always to the smallest group so far."""
    groups: list[list[str]] = [[] for _ in range(count)]
    totals = [0] * count
    for language in sorted(amounts, key=lambda code: (-amounts[code], code)):
        least = totals.index(min(totals))
        groups[least].append(language)
        totals[least] += amounts[language]
    return sorted(groups[number])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

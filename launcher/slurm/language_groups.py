"""The languages of a source that one task of a job array builds, one a line.

    python -m launcher.slurm.language_groups SOURCE [--lang CODE …] [--audio-root DIR]

Groups have about the same number of utterances, and are the same whichever task asks.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.arguments import Languages
from launcher.slurm.environment import array_task
from mms_dist.errors import EXIT_USER, MmsDistError
from shards.errors import ShardsError


def main(arguments: Sequence[str]) -> int:
    """Print this task's languages; arguments that are for the build only are passed over."""
    parser = argparse.ArgumentParser(prog="launcher.slurm.language_groups", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--lang", "--languages", dest="languages", nargs="+", action=Languages, default=[])
    parser.add_argument("--audio-root", type=Path)
    parser.add_argument("--skip-bad-rows", action="store_true")
    args, _ = parser.parse_known_args(arguments)
    try:
        number, count = array_task(os.environ)
        amounts = utterances_by_language(args.source, args.languages, args.audio_root, skip_bad_rows=args.skip_bad_rows)
        print(*group(amounts, number, count), sep="\n")
    except (MmsDistError, ShardsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", EXIT_USER))
    return 0


def utterances_by_language(
    source: Path, languages: Sequence[str], audio_root: Path | None, *, skip_bad_rows: bool = False
) -> Counter[str]:
    """How many utterances of each language there are in a manifest or a folder; of all if none are named.

    Raises:
        ShardsError: the source cannot be read.
    """
    from shards.manifest import read_manifest
    from shards.sources import read_folder

    alone = languages[0] if len(languages) == 1 else None
    if os.path.isdir(source):
        rows = read_folder(source, language=alone, skip_bad_rows=skip_bad_rows)
    else:
        rows = read_manifest(source, language=alone, audio_root=audio_root, skip_bad_rows=skip_bad_rows)
    amounts = Counter(row.language for row in rows)
    # A language without an utterance that can be used is built as well, which says why it can not be.
    return Counter({code: amounts[code] for code in rows.languages if not languages or code in languages})


def group(amounts: Mapping[str, int], number: int, count: int) -> list[str]:
    """Group `number` of `count`: the largest languages are dealt first, each to the group with the least so far."""
    groups: list[list[str]] = [[] for _ in range(count)]
    totals = [0] * count
    for language in sorted(amounts, key=lambda code: (-amounts[code], code)):
        least = totals.index(min(totals))
        groups[least].append(language)
        totals[least] += amounts[language]
    return sorted(groups[number])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

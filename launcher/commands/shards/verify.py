"""`mms-dist shards verify`: check every byte of the shards."""

import argparse
from typing import Any

from launcher.commands.shards.options import add_command, add_shards_and_languages, add_workers


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "verify", help="check checksums, every sample, label lengths and splits")
    add_shards_and_languages(parser)
    add_workers(parser)
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.verify import verify_shards
    from shards.wording import counted

    console = make_console()
    with WorkProgress(console, 0, "utterances") as work:
        work.describe(f"reading {args.shards}")
        findings = verify_shards(
            args.shards, args.languages or None, workers=args.workers, advance=work.advance, begin=work.begin
        )
    wrong = 0
    for found in findings:
        for problem in found.problems:
            say(console, f"{found.language}: WRONG: {problem}")
        if found.fix:
            say(console, f"{found.language}: fix: {found.fix}")
        for note in found.notes:
            say(console, f"{found.language}: note: {note}")
        state = counted(len(found.problems), "problem") if found.problems else "sound"
        read = counted(found.utterances, "utterance")
        if found.utterances < found.expected:
            read = f"{found.utterances:,} of {counted(found.expected, 'utterance')}"
        say(console, f"{found.language}: {read} read, {state}")
        wrong += len(found.problems)
    languages = counted(len(findings), "language")
    say(console, f"{counted(wrong, 'problem')} in {languages}" if wrong else f"all sound: {languages}")
    return 1 if wrong else 0

"""`mms-dist adapters`: look at, roll back, copy and delete the checkpoints of single languages."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.console import print_json
from mms_dist.run_directory.paths import RunPaths
from shards.wording import counted

if TYPE_CHECKING:
    from mms_dist.checkpoint.store import CheckpointStore

DESCRIPTION = """\
Each language of a run has its own checkpoints in RUN/adapters/LANG. These commands change only those of the language
that you name. They fail while the run is training, except `list`, which only reads."""

EPILOG = """\
examples:
  mms-dist adapters list runs/mms-300m
  mms-dist adapters rollback runs/mms-300m ron 1200     train Romanian again from step 1200
  mms-dist adapters copy runs/mms-300m ron runs/other   continue Romanian in another run
  mms-dist adapters delete runs/mms-300m ron --dry-run  show what would be deleted

exit status: 0 done · 2 something to fix"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "adapters",
        help="list, roll back, copy or delete the checkpoints of single languages",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = _action(actions, "list", "show the checkpoints of every language", dry_run=False)
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    rollback = _action(actions, "rollback", "make an earlier step the newest, and delete the later ones")
    rollback.add_argument("language", metavar="LANG", help="code of the language")
    rollback.add_argument("step", metavar="STEP", type=int, help="a step that `list` shows")
    copy = _action(actions, "copy", "copy a language's checkpoints into another run")
    copy.add_argument("language", metavar="LANG", help="code of the language")
    copy.add_argument("to", metavar="OTHER_RUN", type=Path, help="folder of the other run, which has no LANG yet")
    delete = _action(actions, "delete", "delete all checkpoints of a language; the next start trains it from scratch")
    delete.add_argument("language", metavar="LANG", help="code of the language")


def _action(actions: Any, name: str, what: str, *, dry_run: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of the run")
    if dry_run:
        parser.add_argument("--dry-run", action="store_true", help="check everything and show what would change")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do one of the four."""
    from mms_dist.checkpoint.store import CheckpointStore
    from mms_dist.errors import CheckpointError
    from mms_dist.run_directory.lock import RunLock

    directory = RunPaths(args.run).adapters
    if not directory.is_dir():
        raise CheckpointError(f"{directory} does not exist", fix="pass the folder of a run, such as runs/demo")
    with ExitStack() as stack:
        store = stack.enter_context(CheckpointStore(directory, keep=1))
        if args.action == "list":
            return _list(store, as_json=args.json)
        if not args.dry_run:
            stack.enter_context(RunLock(args.run))
        if args.language not in store.languages():
            raise CheckpointError(
                f"found no checkpoint of {args.language!r} in {directory}",
                fix=f"choose one of {', '.join(store.languages()) or 'none'}",
            )
        {"rollback": _rollback, "copy": _copy, "delete": _delete}[args.action](store, args, stack)
    return 0


def _list(store: "CheckpointStore", *, as_json: bool) -> int:
    from mms_dist.run_directory.quarantine import is_quarantined

    found: dict[str, dict[str, Any]] = {
        code: {
            "steps": store.steps(code),
            "last": store.pointed(code, "last"),
            "best": store.pointed(code, "best"),
            "quarantined": is_quarantined(store.directory, code),
        }
        for code in store.languages()
    }
    if as_json:
        print_json(found)
        return 0
    from rich.table import Table

    from mms_dist.monitor.console import standard_console

    table = Table("language", "steps", "last", "best", "", box=None, pad_edge=False)
    for code, one in found.items():
        numbers = [f"{step:,}" for step in one["steps"]]
        pointers = ["–" if one[name] is None else f"{one[name]:,}" for name in ("last", "best")]
        table.add_row(code, ", ".join(numbers), *pointers, "in quarantine" if one["quarantined"] else "")
    standard_console().print(table)
    return 0


def _rollback(store: "CheckpointStore", args: argparse.Namespace, _: ExitStack) -> None:
    store.load(args.language, step=args.step)  # raises if there is no whole checkpoint of that step
    later = [step for step in store.steps(args.language) if step > args.step]
    if not args.dry_run:
        store.roll_back(args.language, args.step)
    steps = ", ".join(f"{step:,}" for step in later)
    gone = f"{_done(args, 'deleted', 'delete')} the later steps {steps}" if later else "it has no later step"
    print(f"{args.language}: {_done(args, 'rolled', 'roll')} back to step {args.step:,}; {gone}")


def _copy(store: "CheckpointStore", args: argparse.Namespace, stack: ExitStack) -> None:
    from mms_dist.checkpoint.store import CheckpointStore
    from mms_dist.errors import CheckpointError
    from mms_dist.run_directory.lock import RunLock

    store.load(args.language)  # raises if no checkpoint is whole
    adapters = RunPaths(args.to).adapters
    target = adapters / args.language
    if target.exists():
        raise CheckpointError(f"{target} already exists", fix="delete that language there before copying it")
    if not args.dry_run:
        stack.enter_context(RunLock(args.to))
        adapters.mkdir(exist_ok=True)
        other = stack.enter_context(CheckpointStore(adapters, keep=1))
        store.copy(args.language, other)
    print(f"{args.language}: {_done(args, 'copied', 'copy')} it to {target}")


def _delete(store: "CheckpointStore", args: argparse.Namespace, _: ExitStack) -> None:
    steps = store.steps(args.language)
    if not args.dry_run:
        store.delete(args.language)
    deleted = _done(args, "deleted", "delete")
    print(f"{args.language}: {deleted} {counted(len(steps), 'checkpoint')}")


def _done(args: argparse.Namespace, past: str, verb: str) -> str:
    """Say what was done, or with --dry-run what would be."""
    return f"would {verb}" if args.dry_run else past

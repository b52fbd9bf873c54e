"""`mms-dist init`: a folder with the shipped configurations and SLURM scripts, to edit and to submit from."""

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Copy the shipped configurations (configs/) and SLURM scripts (slurm/) into a folder. Commands such as
`mms-dist train --config configs/train/mms-300m.yaml` and `mms-dist submit` then work there, as in a clone of the
repository. Existing files are never changed."""

EPILOG = """\
examples:
  mms-dist init work && cd work
  $EDITOR slurm/site.sh                                  partition, account, GPUs per node, modules
  mms-dist submit configs/train/mms-300m.yaml --nodes 4

exit status: 0 done · 2 something to fix"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "init",
        help="copy the shipped configurations and SLURM scripts into a folder",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="created if it does not exist")


def run(args: argparse.Namespace) -> int:
    """Copy what is not there yet, and say what to do next."""
    from mms_dist.errors import ConfigError
    from mms_dist.shipped import shipped_folder

    copied, kept = [], []
    for name in ("configs", "slurm"):
        source = shipped_folder(name)
        if source is None:
            raise ConfigError(f"this installation has no folder {name}", fix="install mms-dist again, or clone it")
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                target = args.folder / name / path.relative_to(source)
                if target.exists():
                    kept.append(target)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
                copied.append(target)
    print(f"copied {len(copied)} files into {args.folder}" + (f"; {len(kept)} were there already" if kept else ""))
    print(f"next: edit {args.folder}/configs/train/mms-300m.yaml, and on a SLURM cluster {args.folder}/slurm/site.sh")
    return 0

"""Identify the installed mms-dist by a hash of its source, so that machines can be compared."""

import hashlib
from pathlib import Path

import launcher
import mms_dist
import shards
from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, ok


def check(context: Context) -> Findings:
    """Store a hash of the code in the context: in a checkout the version number alone does not identify it."""
    digest = code_digest()
    context.identity["mms-dist"] = f"{mms_dist.__version__} ({digest})"
    yield ok(f"mms-dist {mms_dist.__version__} (code {digest}) in {Path(mms_dist.__file__).parent.parent}")


def code_digest() -> str:
    """Return a hash of all source files of the packages: 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for package in (launcher, mms_dist, shards):
        folder = Path(package.__file__).parent  # type: ignore[arg-type]  # none of them is a namespace package
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{package.__name__}/{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]

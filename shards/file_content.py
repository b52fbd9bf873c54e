"""Recognise files that were not fetched: a Git LFS pointer, a web page or nothing in place of the content."""

import contextlib
import re
from pathlib import Path

from shards.errors import Problem

HEAD_BYTES = 1024
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
_ANNEX = re.compile(rb"^(/annex/objects/|\.\./.*\.git/annex/objects/)")
_PAGE = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|error)\b", re.IGNORECASE)


def stand_in(path: Path) -> Problem | None:
    """Return what a file holds in place of its content; None if it looks like the file itself.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return stand_in_of(file.read(HEAD_BYTES), path.parent)


def fix_of(path: Path | None, otherwise: str) -> str:
    """Return how to fix a file of the wrong length, by its content, or else `otherwise`. `path` None: not local."""
    with contextlib.suppress(OSError):
        if path is not None and (instead := stand_in(path)):
            return f"it {instead}"
    return otherwise


def stand_in_of(head: bytes, folder: Path | str) -> Problem | None:
    """Return the same as `stand_in`, given the first bytes of a file in `folder`."""
    head = head[:HEAD_BYTES]
    if not head:
        return Problem("is empty (0 bytes)", "its copy or download was interrupted: fetch it again")
    if head.startswith(_POINTER):
        size = _POINTER_SIZE.search(head)
        target = f" to a file of {int(size[1]):,} bytes" if size else ""
        return Problem(f"is a Git LFS pointer{target}, not the file itself", f"run `git lfs pull` in {folder}")
    if _ANNEX.match(head):
        return Problem("is a git-annex pointer, not the file itself", f"run `git annex get` in {folder}")
    if _PAGE.match(head):
        return Problem("is a web page, not the file itself", "the server sent a login or error page: download it again")
    if not any(head) and len(head) > 8:
        return Problem("begins with zero bytes only", "its copy or download was interrupted: fetch it again")
    return None

"""What lies in a file's place when it was not fetched whole: a Git LFS pointer, a web page, nothing."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 1024
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
_ANNEX = re.compile(rb"^(/annex/objects/|\.\./.*\.git/annex/objects/)")
_PAGE = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|error)\b", re.IGNORECASE)


@dataclass(frozen=True)
class StandIn:
    """What was found in place of the content, and how to get that."""

    found: str
    fix: str

    def __str__(self) -> str:
        return f"{self.found}; {self.fix}"


def stand_in(path: Path) -> StandIn | None:
    """What stands in for a file's content; None if nothing says that it is not the file itself.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return stand_in_of(file.read(HEAD_BYTES), path.parent)


def fix_of(path: Path | None, otherwise: str) -> str:
    """What to do about a file of the wrong length: by what it holds, or else `otherwise` (None: it is not here)."""
    with contextlib.suppress(OSError):
        if path is not None and (instead := stand_in(path)):
            return f"it {instead}"
    return otherwise


def stand_in_of(head: bytes, folder: Path | str) -> StandIn | None:
    """The same by the beginning of a file in `folder`."""
    head = head[:HEAD_BYTES]
    if not head:
        return StandIn("is empty (0 bytes)", "its copy or download was broken off: fetch it again")
    if head.startswith(_POINTER):
        size = _POINTER_SIZE.search(head)
        of = f" to a file of {int(size[1]):,} bytes" if size else ""
        return StandIn(f"is a Git LFS pointer{of}, and not the file itself", f"run `git lfs pull` in {folder}")
    if _ANNEX.match(head):
        return StandIn("is a git-annex pointer, and not the file itself", f"run `git annex get` in {folder}")
    if _PAGE.match(head):
        return StandIn(
            "is a web page, and not the file itself", "its address gave a login or an error: download it again"
        )
    if not any(head) and len(head) > 8:
        return StandIn("begins with zeros only", "its copy or download was broken off: fetch it again")
    return None

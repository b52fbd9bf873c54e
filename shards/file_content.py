"""Recognise files by their first bytes: what was not fetched (a Git LFS pointer, a web page), and what is packed."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from shards.errors import Problem

HEAD_BYTES = 1024
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
ANNEX_POINTER = b"/annex/objects/"
_POINTER_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
_ANNEX = re.compile(rb"^(" + ANNEX_POINTER + rb"|\.\./.*\.git" + ANNEX_POINTER + rb")")
_PAGE = re.compile(rb"^(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml|error)\b", re.IGNORECASE)


def detect_placeholder(path: Path) -> Problem | None:
    """Return what a file holds in place of its content; None if it looks like the file itself.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return detect_placeholder_in(file.read(HEAD_BYTES), path.parent)


def fix_of(path: Path | None, otherwise: str) -> str:
    """Return how to fix a file of the wrong length, by its content, or else `otherwise`. `path` None: not local."""
    with contextlib.suppress(OSError):
        if path is not None and (instead := detect_placeholder(path)):
            return f"it {instead}"
    return otherwise


def detect_placeholder_in(head: bytes, folder: Path | str) -> Problem | None:
    """Return the same as `detect_placeholder`, given the first bytes of a file in `folder`."""
    head = head[:HEAD_BYTES]
    if not head:
        return Problem("is empty (0 bytes)", "its copy or download was interrupted: fetch it again")
    if head.startswith(LFS_POINTER):
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


@dataclass(frozen=True, slots=True)
class Archive:
    """A compressed file or an archive: its first bytes, what it is called, and the command that unpacks it.

    Attributes:
        endings: the names of tars that are packed in this way.
        holds_files: whether it holds files, which are not a tar after they are unpacked.
    """

    magic: bytes
    name: str
    command: str
    endings: tuple[str, ...]
    holds_files: bool = False

    @property
    def fix(self) -> str:
        """How to get at the content."""
        return f"{'unpack' if self.holds_files else 'decompress'} it with '{self.command}'"

    @property
    def fix_for_tars(self) -> str:
        """How to make a tar of it."""
        return self.fix + (" and write its files again with 'tar --sort=name -cf'" if self.holds_files else "")


ARCHIVES = (
    Archive(b"\x1f\x8b", "compressed with gzip", "gunzip", (".tar.gz", ".tgz")),
    Archive(b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "unzstd", (".tar.zst", ".tar.zstd", ".tzst")),
    Archive(b"\xfd7zXZ", "compressed with xz", "unxz", (".tar.xz", ".txz")),
    Archive(b"BZh", "compressed with bzip2", "bunzip2", (".tar.bz2", ".tbz", ".tbz2")),
    Archive(b"\x04\x22\x4d\x18", "compressed with LZ4", "unlz4", (".tar.lz4",)),
    Archive(b"PK\x03\x04", "a ZIP archive", "unzip", (".zip",), holds_files=True),
    Archive(b"7z\xbc\xaf", "a 7z archive", "7z x", (".7z",), holds_files=True),
    Archive(b"Rar!\x1a\x07", "a RAR archive", "unrar x", (".rar",), holds_files=True),
)


def detect_archive(head: bytes) -> Archive | None:
    """Return how a file is packed, given its first bytes; None if it is not."""
    return next((archive for archive in ARCHIVES if head.startswith(archive.magic)), None)

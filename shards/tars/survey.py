"""Locate the samples of a tar, from its headers alone."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shards.audio.extensions import is_audio
from shards.errors import ShardsError, StorageError, TruncatedShardError
from shards.file_content import detect_archive, detect_placeholder_in
from shards.tars.headers import BLOCK_BYTES, HeaderCutShortError, HeaderError, Member, read_member
from shards.tars.spans import Span, split_name

_CHUNK_BYTES = 1 << 20
_MAGIC, _MAGIC_OFFSET = b"ustar", 257


@dataclass(slots=True)
class TarContents:
    """The samples of a tar, in order, and the members that belong to none, as `(member, why)`."""

    spans: list[Span] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def scan(path: Path) -> list[Span]:
    """Return the samples of an uncompressed tar, in order. Raises as `survey`."""
    return survey(path).spans


def survey(path: Path, name: str | None = None) -> TarContents:
    """Return the samples of an uncompressed tar, in order.

    Concatenated archives (`cat a.tar b.tar`) are read to the end of the file, as with `tar --ignore-zeros`.

    Args:
        name: the name for messages, if `path` is a temporary copy.

    Raises:
        TruncatedShardError: the tar ends within a member, or without the closing block of zeros. The latter detects a
            tar cut exactly between two samples.
        ShardsError: the file is not a tar, is damaged, or a sample's members are not adjacent.
        StorageError: the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"shard {path} cannot be opened: {error.strerror}") from error
    try:
        return _TarSurvey(name or str(path), descriptor).contents()
    except OSError as error:
        raise StorageError(f"shard {path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


class _TarSurvey:
    """One pass over the headers of a tar."""

    def __init__(self, name: str, descriptor: int) -> None:
        self._name = name
        self._descriptor = descriptor
        self._bytes = os.fstat(descriptor).st_size
        self._contents = TarContents()
        self._runs: list[_Run] = []

    def contents(self) -> TarContents:
        offset = 0
        closed = True  # whether the last archive ended with a block of zeros
        open_run: _Run | None = None
        while offset < self._bytes:
            member = self._member(offset, closed)
            if member is None:
                closed, open_run = True, None
                offset = self._after_zeros(offset)
                continue
            closed, offset = False, member.end
            if member.is_file or member.target is not None:
                open_run = self._add(member, open_run)
        if not self._bytes:
            raise ShardsError(
                f"shard {self._name} is empty (0 bytes), expected a tar",
                fix="fetch or create it again, or move it away",
            )
        if not closed:  # also if the last member extends beyond the end of the file
            raise self._cut_short(offset + 2 * BLOCK_BYTES)
        runs = [part for run in self._runs for part in run.by_whole_stem()]
        self._check_order(runs)
        self._contents.spans = [run.span() for run in runs]
        return self._contents

    def _read(self, offset: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def _member(self, offset: int, closed: bool) -> Member | None:
        """Parse the member at `offset`; None for zeros, or for data after the end of the archive that is not a tar."""
        try:
            return read_member(self._read, offset)
        except HeaderCutShortError as error:
            if not closed or error.expected_bytes > offset + BLOCK_BYTES:
                raise self._cut_short(max(error.expected_bytes, self._bytes) + 2 * BLOCK_BYTES) from error
            reason = str(error)
        except HeaderError as error:
            reason = str(error)
        if not offset:
            raise self._no_tar(reason)
        after = self._header_after(offset)
        if not closed or after is not None:
            fix = "recreate it from its files" if after is None else "join tars member by member ('tar -A')"
            raise ShardsError(
                f"shard {self._name} is damaged at byte {offset:,} of {self._bytes:,}: found no tar header ({reason})",
                fix=f"fetch it again, or {fix}",
            )
        self._contents.skipped.append(
            (f"bytes {offset:,} to {self._bytes:,}", "they follow the end of the archive and are not a tar")
        )
        self._bytes = offset
        return None

    def _after_zeros(self, offset: int) -> int:
        """Return the end of the blocks of zeros that begin at `offset`."""
        while offset < self._bytes:
            chunk = self._read(offset, min(_CHUNK_BYTES, self._bytes - offset))
            if not chunk:
                return self._bytes
            zeros = len(chunk) - len(chunk.lstrip(b"\0"))
            offset += zeros
            if zeros < len(chunk):
                return offset // BLOCK_BYTES * BLOCK_BYTES
        return offset

    def _header_after(self, offset: int) -> int | None:
        """Find a header after `offset`, on a block boundary or not: data that skipping the damage would lose."""
        place = offset
        while place < self._bytes:
            chunk = self._read(place, _CHUNK_BYTES + BLOCK_BYTES)
            found = chunk.find(_MAGIC, _MAGIC_OFFSET)
            while found >= 0:
                candidate = place + found - _MAGIC_OFFSET
                try:
                    if candidate > offset and read_member(self._read, candidate) is not None:
                        return candidate
                except HeaderError:
                    pass
                found = chunk.find(_MAGIC, found + 1)
            place += _CHUNK_BYTES
        return None

    def _add(self, member: Member, open_run: _Run | None) -> _Run | None:
        named = split_name(member.name)
        if named is None:
            self._contents.skipped.append((member.name, "its name does not belong to a sample"))
            return open_run
        key, extension = named
        if open_run is None or open_run.key != key or extension in open_run.extensions:
            open_run = _Run(key)
            self._runs.append(open_run)
        open_run.members.append((member, extension))
        open_run.extensions.add(extension)
        return open_run

    def _check_order(self, runs: Sequence[_Run]) -> None:
        """Check that a repeated key is another sample. If only one of its runs has audio, one sample was split up."""
        by_key: dict[str, list[_Run]] = defaultdict(list)
        for run in runs:
            by_key[run.key].append(run)
        for key, same in by_key.items():
            if len(same) > 1 and len({run.has_audio() for run in same}) > 1:
                raise ShardsError(
                    f"shard {self._name}: the members of sample {key!r} are not adjacent",
                    fix="recreate the tar with sorted names ('tar --sort=name')",
                )

    def _no_tar(self, reason: str) -> ShardsError:
        beginning = self._read(0, BLOCK_BYTES)
        if placeholder := detect_placeholder_in(beginning, os.path.dirname(self._name) or "."):
            return ShardsError(f"shard {self._name} {placeholder.found}", fix=f"{placeholder.fix}, or move it away")
        if archive := detect_archive(beginning):
            return ShardsError(f"shard {self._name} is {archive.name}", fix=f"{archive.fix_for_tars}, or move it away")
        if beginning.lstrip().startswith(b"{"):
            return ShardsError(f"shard {self._name} is JSON, not a tar", fix="fetch the tar again, or move it away")
        return ShardsError(
            f"shard {self._name} is not an uncompressed tar ({reason})", fix="fetch or create it again, or move it away"
        )

    def _cut_short(self, bytes_expected: int) -> TruncatedShardError:
        return TruncatedShardError(
            self._name,
            bytes_found=self._bytes,
            bytes_expected=bytes_expected,
            fix="fetch or create it again (it was cut short)",
            declared_by="its headers and closing blocks require at least",
        )


class _Run:
    """Consecutive members with the same key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.members: list[tuple[Member, str]] = []
        self.extensions: set[str] = set()

    def has_audio(self) -> bool:
        return any(is_audio(extension) for _, extension in self.members)

    def by_whole_stem(self) -> Iterator[_Run]:
        """Yield this run, or one run for each name without its last extension.

        The latter applies if several samples seem to share a key only because their names contain dots
        (`clip.001.wav`, `clip.001.txt`, `clip.002.wav` …).
        """
        stems = [extension.rpartition(".")[0] for _, extension in self.members]
        audio = {stem for stem, (_, extension) in zip(stems, self.members, strict=True) if is_audio(extension)}
        companions = [stem for stem, (_, extension) in zip(stems, self.members, strict=True) if not is_audio(extension)]
        if len(audio) < 2 or "" in audio or audio.isdisjoint(companions):
            yield self
            return
        for stem, together in itertools.groupby(zip(stems, self.members, strict=True), key=lambda pair: pair[0]):
            members = [member for _, member in together]
            run = _Run(members[0][0].name.rpartition(".")[0] if stem else self.key)
            run.members = members
            yield run

    def span(self) -> Span:
        files = [(member, extension) for member, extension in self.members if member.is_file]
        offset = self.members[0][0].offset
        links = tuple(f"{member.name} -> {member.target}" for member, _ in self.members if not member.is_file)
        return Span(
            self.key,
            offset,
            self.members[-1][0].end - offset,
            tuple(extension for _, extension in files),
            links,
        )

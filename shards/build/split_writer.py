"""Write the utterances of one split into shards. Each finished shard is recorded, so that a build can be resumed.

This uses webdataset's `TarWriter` rather than `ShardWriter`, which wraps it. `ShardWriter` opens a tar before there is
an utterance for it, and closes it only at the next write or when the build is interrupted, so the record of a finished
shard would be wrong or late.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

from shards.build.candidates import Candidate
from shards.build.encode import Encoded
from shards.build.language_output import LanguageOutput
from shards.drops import Drops, Rejected
from shards.index.parts import ShardPart, UtteranceFacts, describe_shard
from shards.tars.sample import info_of, members_to_write


class SplitWriter:
    """Writes one split: `add` every candidate in order, starting with number `consumed`, then `close`.

    Args:
        output: where the tars go.
        shard_utterances: close a shard when it holds this many utterances.
        shard_bytes: close a shard when it holds this many bytes.
    """

    def __init__(
        self,
        output: LanguageOutput,
        *,
        language: str,
        split: str,
        shard_utterances: int,
        shard_bytes: int,
    ) -> None:
        self._output = output
        self._language = language
        self._split = split
        self._shard_utterances = shard_utterances
        self._shard_bytes = shard_bytes
        self.parts = self._finished_parts()
        self.consumed = self.parts[-1].consumed if self.parts else 0
        self.tail_drops = Drops()
        self._open: _OpenShard | None = None

    def add(self, candidate: Candidate, result: Encoded | Rejected) -> None:
        """Write the next candidate, or count it as left out."""
        self.consumed += 1
        if isinstance(result, Rejected):
            self.tail_drops.add(result.at(candidate.where))
            return
        if self._open is None:
            self._open = _OpenShard(self._output.folder / self._name(len(self.parts)))
        self._open.write(candidate, result, self._language)
        if len(self._open.utterances) >= self._shard_utterances or self._open.bytes >= self._shard_bytes:
            self._finish_shard()

    def close(self) -> None:
        """Finish the last shard; `tail_drops` then holds what was left out after it."""
        if self._open is not None:
            self._finish_shard()

    def abandon(self) -> None:
        """Close the open shard of an interrupted build. The next build writes it again."""
        if self._open is not None:
            self._open.discard()
            self._open = None

    def _finish_shard(self) -> None:
        assert self._open is not None
        self._open.close()
        shard, self._open = self._open, None
        name = shard.path.name
        part = describe_shard(shard.path, name, self._split, shard.utterances)
        part.consumed, part.drops = self.consumed, self.tail_drops
        self._output.keep(part)
        self.parts.append(part)
        self.tail_drops = Drops()

    def _finished_parts(self) -> list[ShardPart]:
        parts: list[ShardPart] = []
        while (part := self._output.finished_part(self._name(len(parts)))) is not None and part.is_complete:
            parts.append(part)
        return parts

    def _name(self, number: int) -> str:
        return f"{self._split}-{number:06d}.tar"


class _OpenShard:
    """A tar being written."""

    def __init__(self, path: Path) -> None:
        from webdataset import TarWriter

        self.path = path
        self.bytes = 0
        self.utterances: list[UtteranceFacts] = []
        self._stream: IO[bytes] = open(path, "wb")  # noqa: SIM115 - closed with the tar
        # No machine, user or time, so that equal samples give equal bytes. An integer mtime also
        # keeps tarfile from writing a pax header before every member.
        self._writer = TarWriter(self._stream, user="", group="", mode=0o644, mtime=0, encoder=False, compress=False)

    def write(self, candidate: Candidate, encoded: Encoded, language: str) -> None:
        info = info_of(
            text=candidate.text,
            raw_text=candidate.raw_text,
            language=language,
            samples=encoded.samples,
            speaker=candidate.speaker,
            source=candidate.source,
            tags=candidate.tags,
            align_score=candidate.align_score,
            align_model=candidate.align_model,
        )
        self.bytes += self._writer.write(members_to_write(candidate.key, encoded.flac, info))
        self.utterances.append(
            UtteranceFacts(
                key=candidate.key,
                text=candidate.text,
                samples=encoded.samples,
                measures=encoded.measures,
                speaker=candidate.speaker,
                length_unknown=encoded.length_unknown,
                part=candidate.part,
                align_score=candidate.align_score,
                align_model=candidate.align_model,
                source=candidate.source,
                tags=candidate.tags,
            )
        )

    def close(self) -> None:
        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def discard(self) -> None:
        """Close the file of a shard that will not be finished, in whatever state it is."""
        with contextlib.suppress(OSError):
            self._writer.close()
        self._stream.close()
